// Rows for the ledger's contract: valid ones to mutate, and ones in which every field is there.
import type { DomainRow, Key } from '../../core/key/evidence.ts';
import type { ReportRow } from '../../core/reports/report.ts';
import { days, hours, type Instant, instant, minutes } from '../../core/time.ts';
import type { DriftReport, HostRow, LogEntry, RequestRow } from '../../engine/ports.ts';

/** With every optional field, however deep: a new field is a type error here until the fixture has it. */
type Whole<T> = T extends number | string | boolean
  ? T
  : T extends readonly unknown[]
    ? { [K in keyof T]: Whole<T[K]> }
    : { [K in keyof T]-?: Whole<Exclude<T[K], undefined>> };

/** 2024-01-28T09:00:00Z and n milliseconds. */
export const t = (n: number): Instant => instant(Date.UTC(2024, 0, 28, 9) + n);

export const domainRow = (domain: string, fields: Partial<DomainRow> = {}): DomainRow => ({
  domain,
  zone: 'example.com',
  pool: 'main',
  version: 0,
  keys: [],
  rotations: [],
  taken: [],
  troubles: [],
  ...fields,
});

export const hostRow = (name: string, fields: Partial<HostRow> = {}): HostRow => ({
  name,
  pool: 'main',
  version: 0,
  complete: false,
  failed: {},
  lastUse: {},
  ...fields,
});

export const requestRow = (domain: string, idempotencyKey: string): RequestRow => ({
  domain,
  idempotencyKey,
  fingerprint: 'ab'.repeat(32),
  rotation: 'rotation-1',
  at: t(5),
});

export const logEntry = (n: number, epoch = 1, selector = '240128'): LogEntry => ({
  place: { epoch, n },
  changes: [
    {
      domain: 'a.example.com',
      selector,
      algorithm: 'rsa2048',
      duty: 'standby',
      secret: 'vault:1',
      publicKey: 'MII+/=',
    },
  ],
});

/** What JSON and tables like to lose: quotes, control characters, other planes, an empty string. */
const odd = 'he said "no"\n\\ \u0000 ü 🦭';

const place = { epoch: 2, n: 41 };

export const wholeKey: Whole<Key> = {
  selector: '240128e-2',
  algorithm: 'ed25519',
  rotation: 'rotation-1',
  evidence: {
    reserved: { at: t(1) },
    stored: { at: t(2), secret: 'vault:1', fingerprint: '0f'.repeat(32), publicKey: 'AAAA+/=' },
    adopted: { at: t(2), publicKey: 'AAAA+/=' },
    publishIntended: {
      at: t(3),
      value: 'v=DKIM1; k=ed25519; p=AAAA+/=',
      ttl: hours(1),
      name: '240128e-2._domainkey.keys.example.net',
    },
    created: { at: t(4), changeId: '/change/C1' },
    inSync: { at: t(5) },
    compromised: { at: t(6), reason: odd },
    unsigned: { at: t(6) },
    abandoned: { at: t(7), reason: '' },
    revocationIntended: { at: t(8) },
    tombstoned: { at: t(9), changeId: 'C2' },
    tombstoneInSync: { at: t(10) },
    revoked: { at: t(11) },
    removalIntended: { at: t(12) },
    deleted: { at: t(13), changeId: 'C3' },
    deletionInSync: { at: t(14) },
    removed: { at: t(15) },
    eraseTold: { at: t(16), place },
    erased: { at: t(17) },
    disclosureIntended: { at: t(17) },
    disclosed: { at: t(18) },
    destroyed: { at: t(18) },
  },
  turns: [
    {
      begun: { at: t(1) },
      proved: { at: t(20), servers: 4, negativeTtl: minutes(15) },
      offered: { at: t(21), place },
      standby: { at: t(22) },
      signIntended: { at: t(23), place },
      active: { at: t(24) },
      stopIntended: { at: t(25), place },
      stopped: { at: t(26), queues: days(5) },
      reported: { at: t(29), until: t(28), by: odd, messages: 3 },
    },
    {
      begun: { at: t(30) },
      proved: { at: t(31), servers: 0, negativeTtl: minutes(0) },
      offered: { at: t(32), place },
      standby: { at: t(33) },
      signIntended: { at: t(34), place },
      active: { at: t(35) },
      stopIntended: { at: t(36), place },
      stopped: { at: t(37), queues: days(1) },
      reported: { at: t(39), until: t(38), by: 'receiver.example', messages: 1 },
    },
  ],
};

export const wholeDomain: Whole<DomainRow> = {
  domain: 'whole.example.com',
  zone: '_domainkey.whole.example.com',
  hostedZone: { id: 'Z0123456789', role: 'arn:aws:iam::123456789012:role/zones' },
  pool: 'main',
  cname: 'keys.example.net',
  version: 0,
  keys: [wholeKey],
  rotations: [
    {
      at: t(0),
      id: 'rotation-1',
      kind: 'emergency',
      by: 'ada@example.com',
      reason: odd,
      unsigned: true,
      algorithms: ['rsa2048', 'ed25519'],
      selectors: ['240128', '240128e'],
      aborted: { at: t(99), reason: odd, by: 'operator' },
    },
  ],
  taken: [{ at: t(1), selector: '240127', reason: odd }],
  troubles: [{ step: 'prove', since: t(1), last: t(2), times: 3, message: odd }],
  records: [
    {
      kind: 'spf',
      name: 'whole.example.com',
      zone: 'whole.example.com',
      hostedZone: { id: 'Z0123456789', role: 'arn:aws:iam::123456789012:role/zones' },
      ours: ['v=spf1 -all', 'v=spf1 mx -all'],
      checked: {
        at: t(40),
        value: 'v=spf1 mx -all',
        spf: { lookups: 1, voids: 0, strictVoids: 1, terms: [{ term: 'mx', lookups: 1 }] },
        settled: 'authorized',
      },
      refused: { at: t(41), since: t(40), value: 'v=spf1 mx -all', reason: odd },
      owned: { at: t(42) },
      intended: { at: t(43), value: 'v=spf1 mx -all' },
      created: { at: t(44), changeId: 'C4' },
      inSync: { at: t(45) },
      proved: { at: t(46), servers: 4 },
      removalIntended: { at: t(47) },
      deleted: { at: t(48), changeId: 'C5' },
      deletionInSync: { at: t(49) },
    },
  ],
  restored: { at: t(50), epoch: 2 },
  vanished: { at: t(50) },
  wakeAt: t(60),
  audit: { n: 7, hash: 'ab'.repeat(32) },
};

export const wholeHost: Whole<HostRow> = {
  name: 'mx1.example.com',
  pool: 'main',
  version: 0,
  incarnation: 'c0ffee',
  cursor: place,
  complete: true,
  manifest: { nonce: 'n-1', at: t(1), upTo: place, completes: true },
  failed: { 'a.example.com/240128': odd },
  queueLifetime: hours(120),
  lastUse: { 'a.example.com/240128': t(7), __proto__x: t(8) },
  lastSeen: t(9),
  lastPull: t(13),
  trusts: ['x'.repeat(43)],
  excluded: { at: t(10), reason: odd },
  fenced: { at: t(11), reason: odd },
  trouble: { at: t(12), message: odd },
  audit: { n: 1, hash: 'cd'.repeat(32) },
};

export const wholeDrift: Whole<DriftReport> = {
  subject: 'zone/example.com',
  begun: t(1),
  at: t(2),
  complete: false,
  compared: 6_000,
  found: 101,
  alarms: 1,
  findings: [
    {
      kind: 'record-edited',
      name: '240128._domainkey.example.com',
      says: odd,
      level: 'alarm',
      since: t(1),
      command: `aws 'it' "is"`,
      domain: 'example.com',
      selector: '240128',
      mended: { at: t(2), changeId: 'C3', shown: t(3) },
    },
  ],
  progress: { next: '240129._domainkey.example.com. TXT', upTo: '240128e._domainkey.example.com' },
  known: { 'record-edited 240128._domainkey.example.com': t(0) },
};

export const wholeReport: Whole<ReportRow> = {
  domain: 'example.com',
  day: '2024-01-28',
  reporter: odd,
  id: '1234#$/ü',
  begin: t(-1),
  end: t(0),
  at: t(1),
  policy: 'quarantine',
  tallies: [
    {
      source: '2001:db8::1',
      count: 12,
      dkim: true,
      spf: false,
      disposition: 'none',
      signatures: [{ domain: 'example.com', selector: '240128', result: 'pass' }],
    },
  ],
  expires: t(days(400)),
};
