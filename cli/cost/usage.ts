// How much one rotation, one pull, one minute takes of what AWS sells. Data only, each with where it comes from.
//
// `measured`: counted in the simulated world, over four rotations of a domain in a zone of its own by two and by four hosts.
// `set`: as the stack sets it. `assumed`: no account was there to measure it; on the high side.

/** A month of 30 days. */
export const month = { days: 30, hours: 720, minutes: 43_200, seconds: 2_592_000 } as const;

/** Of one cohort: the domains that rotate together, and share what can be shared. */
export const cohortRotation = {
  /** measured: units of work. */
  units: 13,
  /** measured: how often each host of the pool is told something, by an entry of its log. A bundle each, signed by KMS. */
  tellings: 4,
  /** set: domains of one entry (engine/tell.ts). */
  domainsOfEntry: 40,
  /** measured: units of work for one host, of which the others find that nothing is missing. */
  hostUnits: 11,
  /** measured: leases taken and given back by its units. */
  writeUnits: 60,
} as const;

/** Of each zone of a cohort. */
export const zoneRotation = {
  /** measured by bench:scale, and rounded up: turns for three requests that change it, and what they and their looks take of the quota. */
  writeUnits: 30,
} as const;

/** Of one domain, beside the others of its cohort. */
export const domainRotation = {
  /** measured: some 33 versions of its row and its entries of the pool's log, each written as a transaction. */
  writeUnits: 730,
  /** measured: reads of its row, consistent. */
  readUnits: 540,
  /** assumed: its reads, writes and name servers, one after the other. Seconds of the reconcile function. */
  seconds: 3,
} as const;

/** Of each key. */
export const keyRotation = {
  /** measured: by the engine: it reads back what it stored, and signs with it to compare its record. */
  secretReads: 5,
  /** measured: its secret is made, looked for, and scheduled for deletion. */
  secretWrites: 3,
  /** Bytes of a host's bundle: the key in base64, encrypted, signed. */
  bundleBytes: 3_000,
} as const;

export const hostUnit = {
  /** measured: rows of the host, head and log. */
  readUnits: 8,
  /** measured: the host's row, before and after. Only where something is told. */
  writeUnits: 8,
  /** assumed: a bundle is made, sent and acknowledged. */
  seconds: 0.5,
  /** assumed: nothing is missing. */
  idleSeconds: 0.1,
} as const;

/** An agent asks once a minute. Nothing is there for it, as a rule. */
export const pull = {
  everyMinutes: 1,
  /** measured: head, host and the end of the log. */
  readUnits: 4,
  /** measured: the host's row, once in five minutes. */
  writeUnits: 4 / 5,
  /** assumed */
  seconds: 0.04,
  /** assumed: answer and TLS. */
  bytes: 1_000,
  /** assumed: of the access log and the function's. */
  logBytes: 1_000,
} as const;

/** The clock. */
export const sweep = {
  /** assumed */
  seconds: 0.3,
  /** measured: head and an index that names nobody. Each fifth counts hosts and reads their rows. */
  readUnits: 3,
  /** assumed */
  logBytes: 1_000,
} as const;

/** Once a day for each zone. */
export const audit = {
  /** assumed: beside its rows. */
  seconds: 1,
  /** assumed: lists records, and reads their rows. */
  recordsPerSecond: 100,
  /** Of a row's read. */
  readUnits: 3,
} as const;

/** set: gigabytes of the functions. */
export const memory = { tick: 0.5, reconcile: 1769 / 1024, api: 1 } as const;

/** set: by SQS, for a function: it asks five queues' ends at once, 20 s each, when there is nothing. */
export const idleQueueRequests = (5 * 60) / 20;
/** Sent, received, deleted. */
export const requestsPerUnit = 3;

/** assumed: of the reconcile function, one unit. */
export const unitSeconds = 0.5;
export const unitLogBytes = 1_500;

/** measured: bytes of a domain's row, some years old; and what a rotation leaves in the pool's log and the audit trail. */
export const stored = { row: 12_000, rotation: 3_000, host: 2_000 } as const;

/** set: alarms on 21 metrics, one more where reports come by mail, of which the functions write 9. */
export const watched = { alarmMetrics: 21, metrics: 9, dashboards: 1 } as const;

/** set: one for the secrets, whose material changes each year and is paid for twice more; one that signs bundles. */
export const kmsKeys = 4;

/** X-Ray records the first request of each second, and a twentieth of the others. */
export const sampledShare = 0.05;
