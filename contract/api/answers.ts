// What the HTTP API answers, as schemas. For the OpenAPI document and for tests: no function ships them. May use zod/mini and
// core only. They are strict: an answer with a field that is not written here is a defect of one of the two.

import * as z from 'zod/mini';
import { algorithms } from '../../core/algorithm.ts';
import { auditedOrders } from '../../core/audit.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { states } from '../../core/key/state.ts';

export const time = z.iso.datetime().check(z.describe('RFC 3339, UTC, with milliseconds'));
export const algorithm = z.enum(Object.keys(algorithms));
const says = (text: string) => z.string().check(z.describe(text));
const maybe = z.exactOptional;

const errorCodes: Readonly<Record<ErrorCode, true>> = {
  busy: true,
  conflict: true,
  denied: true,
  exists: true,
  'host.refused': true,
  'host.unreachable': true,
  invalid: true,
  'not-found': true,
  rejected: true,
  'stale-fleet': true,
  throttled: true,
  unavailable: true,
  unsafe: true,
  untrusted: true,
};

export const problem = z.strictObject({
  type: z.literal('about:blank'),
  title: says('The phrase of the status'),
  status: z.int().check(z.minimum(400), z.maximum(599)),
  detail: says('What is wrong and what to do, for people'),
  code: z.enum(Object.keys(errorCodes)).check(z.describe('For programs: it says more than the status')),
  field: maybe(says('The field, parameter or header that is wrong')),
});

const keyFields = {
  selector: z.string(),
  algorithm,
  state: z.enum(states).check(z.describe('As docs/lifecycle.md says')),
  record: says('The name of its TXT record'),
  target: maybe(says('Where the record lies in another zone, by a CNAME')),
  reserved: time,
  adopted: maybe(time),
  compromised: maybe(says('Why it is said that others may hold it')),
  abandoned: maybe(says('Why it was given up before it signed')),
  active: maybe(time),
  stillSeen: maybe(
    z
      .strictObject({ by: z.string(), messages: z.int(), until: time })
      .check(z.describe('Retired, and by an aggregate report a receiver still meets mail signed with it')),
  ),
};
export const key = z.strictObject(keyFields);

const detailFields = {
  ...keyFields,
  rotation: says('The id of its rotation'),
  publicKey: maybe(says('p= of its record: base64')),
  nameServers: maybe(z.int().check(z.describe('How many showed its record when it was proved'))),
  disclosed: maybe(time.check(z.describe('When its private half was published'))),
  destroyed: maybe(time),
  times: z.record(z.string(), time).check(z.describe('When each thing that is known of it was so')),
};
export const keyDetail = z.strictObject(detailFields);
export const keyAnswer = z.strictObject({ domain: z.string(), ...detailFields });
export const keys = z.strictObject({ domain: z.string(), keys: z.array(keyDetail) });

const rotationFields = {
  id: z.string(),
  kind: z.enum(['first', 'adopted', 'scheduled', 'requested', 'emergency', 'rollback']),
  state: z
    .enum(['under-way', 'switching', 'done', 'aborted'])
    .check(z.describe('switching: hosts were told, and not every one has confirmed')),
  requested: time,
  algorithms: z.array(algorithm),
  selectors: z.array(z.string()),
  by: maybe(says('Who asked; absent where the schedule did')),
  reason: maybe(z.string()),
  unsigned: maybe(z.literal(true)),
  aborted: maybe(says('Why it was given up')),
};
export const rotation = z.strictObject(rotationFields);
export const rotations = z.strictObject({ domain: z.string(), rotations: z.array(rotation) });

export const blocked = z.strictObject({
  by: z.enum(['wait', 'hosts', 'no-ready-host', 'self-test', 'dns', 'person', 'trouble']),
  says: z.string(),
  selector: maybe(z.string()),
  until: maybe(time),
});

export const rotationAnswer = z.strictObject({
  domain: z.string(),
  ...rotationFields,
  keys: z.array(key),
  blockedBy: z.array(blocked),
  wakeAt: maybe(time),
});

export const policyRecord = z.strictObject({
  kind: z.enum(['spf', 'dmarc', 'report']).check(z.describe('report: that others take its DMARC reports')),
  record: says('The name of the TXT record'),
  zone: maybe(says('The zone of the fleet that holds it; absent: it is only looked at')),
  state: z
    .enum(['checking', 'refused', 'publishing', 'replacing', 'published', 'removing', 'settled'])
    .check(z.describe('As docs/spf-dmarc.md says')),
  value: maybe(says('What the fleet file wants there, or what is ours until it is removed')),
  stands: maybe(says('What is ours there until the new value is')),
  proved: maybe(time),
  refused: maybe(says('Why it is not written')),
  settled: maybe(z.enum(['same-organization', 'authorized'])),
  lookups: maybe(z.int().check(z.describe('DNS lookups that it costs receivers, of 10: RFC 7208 §4.6.4'))),
  terms: maybe(z.array(z.strictObject({ term: z.string(), lookups: z.int() }))),
});

export const domain = z.strictObject({
  domain: z.string(),
  zone: z.string(),
  pool: z.string(),
  leaving: z.boolean(),
  byHand: maybe(z.literal(true).check(z.describe('People change its record zone'))),
  keys: z.array(key),
  rotations: z.array(rotation),
  taken: z.array(z.strictObject({ selector: z.string(), reason: z.string() })),
  notes: maybe(z.array(z.string())),
  records: maybe(z.array(policyRecord)),
  next: z.array(z.string()).check(z.describe('Steps that would be done now')),
  blockedBy: z.array(blocked),
  late: maybe(
    z.array(z.string()).check(z.describe('What takes longer than it should: a person should look')),
  ),
  nextRotation: maybe(time),
  wakeAt: maybe(time),
});

const next = maybe(says('The cursor of the next page: pass it on as after. Absent: this is the last'));
export const domains = z.strictObject({ domains: z.array(domain), next });

export const disclosed = z.strictObject({
  domain: z.string(),
  keys: z.array(
    z.strictObject({
      selector: z.string(),
      algorithm,
      removed: time.check(z.describe('When its record was proved gone')),
      publicKey: says('p= of the record that stood there: base64'),
      privateKey: says('PKCS#8 in PEM: published on purpose'),
    }),
  ),
  next,
});

export const plan = z.strictObject({
  domain: z.string(),
  actions: z.array(
    z.strictObject({
      do: z.string(),
      step: z.string(),
      selector: maybe(z.string()),
      record: maybe(says('The name of an SPF or DMARC record')),
    }),
  ),
  blockedBy: z.array(blocked),
  wakeAt: maybe(time),
});

export const forecast = z.strictObject({
  domain: z.string(),
  events: z.array(
    z.strictObject({
      at: time,
      do: z.enum(['start', 'adopt', 'publish', 'switch', 'revoke', 'remove', 'disclose', 'destroy']),
      does: says('The same for people'),
      selector: maybe(z.string()),
      begins: maybe(z.array(z.string()).check(z.describe('Of a switch: the keys that begin to sign'))),
      ends: maybe(
        z.array(z.string()).check(z.describe('Of a switch: the keys that hosts stop signing with')),
      ),
    }),
  ),
});

export const ordered = z.strictObject({
  domain: z.string(),
  joined: z.boolean().check(z.describe('It was under way already, or this very request was answered before')),
  rotation,
});
export const orderedMany = z.strictObject({
  domains: z.int(),
  until: time.check(z.describe('When the work on the last of them begins')),
  joined: z.boolean().check(z.describe('This very request was answered before')),
});
export const weighedMany = z.strictObject({
  domains: z.int().check(z.describe('How many would rotate')),
  until: time.check(z.describe('When the work on the last of them would begin')),
});
export const declared = z.strictObject({
  domain: z.string(),
  selector: z.string(),
  joined: z.boolean(),
  rotation: maybe(rotation),
});

export const host = z.strictObject({
  host: z.string(),
  pool: z.string(),
  ready: z.boolean().check(z.describe('Whether rotations wait for it')),
  cursor: z.nullable(z.strictObject({ epoch: z.int(), n: z.int() })),
  failed: z.record(z.string(), z.string()).check(z.describe('domain/selector, and why it cannot be used')),
  excluded: maybe(z.string()),
  fenced: maybe(z.string()),
  lastSeen: maybe(time),
  trusts: maybe(z.array(z.string()).check(z.describe('Thumbprints of bundle keys (RFC 7638)'))),
  trouble: maybe(z.string()),
});
export const hosts = z.strictObject({ hosts: z.array(host), next });
export const domainHosts = z.strictObject({
  domain: z.string(),
  zone: says('The record zone'),
  pool: z.string(),
  nameServers: maybe(z.array(z.string()).check(z.describe("Where fleet.yaml names the zone's own"))),
  signing: z.array(z.string()).check(z.describe('The selectors that hosts were told to sign with')),
  hosts: z.array(
    z.strictObject({
      host: z.string(),
      signs: z.array(z.string()).check(z.describe('Those of them whose key type its signer knows')),
      ready: z.boolean().check(z.describe('Whether rotations wait for it')),
      current: z.boolean().check(z.describe('Whether it confirmed that it signs with these selectors')),
      failed: z.record(z.string(), z.string()).check(z.describe('selector, and why it cannot be used')),
      lastUse: z.record(z.string(), time).check(z.describe('Of retired selectors: the last message')),
      lastSeen: maybe(time),
      silent: maybe(z.string()),
      excluded: maybe(z.string()),
      fenced: maybe(z.string()),
      trouble: maybe(z.string()),
    }),
  ),
});

const count = z.int().check(z.minimum(0));
export const health = z.strictObject({
  ledger: z.strictObject({
    at: time,
    epoch: z.int(),
    fleet: count.check(z.describe('The version that is installed: milliseconds since 1970')),
  }),
  skew: z.number().check(z.describe("Milliseconds between this process's clock and the ledger's")),
  fleet: z
    .strictObject({ version: count, domains: count, zones: count, hosts: count })
    .check(z.describe('What this process carries')),
  silent: z.array(z.string()).check(z.describe('Hosts that are not heard of, a sentence each')),
  forgotten: z.array(z.string()).check(z.describe('Domains that nobody looked at in their turn')),
});

export const excluded = z.strictObject({ host: z.string(), excluded: maybe(z.string()) });
export const returned = z.strictObject({ host: z.string(), ready: z.boolean() });

const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));
export const auditEvent = z.strictObject({
  subject: says('The domain, host/NAME, or fleet: what is of no one domain or host'),
  n: z.int().check(z.minimum(1)),
  at: time,
  who: says('As the edge authenticated them; selkie where nobody asked'),
  what: z.enum(auditedOrders),
  why: maybe(z.string()),
  before: z.unknown(),
  after: z.unknown(),
  previous: sha256,
  hash: sha256.check(z.describe('SHA-256 of the event without this field, as RFC 8785 writes it')),
});
const trail = {
  events: z.array(auditEvent),
  last: maybe(
    z
      .strictObject({ n: z.int(), hash: sha256 })
      .check(z.describe('The last event of all: so that one that is missing at the end is seen')),
  ),
  next,
};
export const domainAudit = z.strictObject({ domain: z.string(), ...trail });
export const hostAudit = z.strictObject({ host: z.string(), ...trail });
export const fleetAudit = z.strictObject(trail);
export const newestOrders = z.strictObject({ events: z.array(auditEvent), next });

const finding = z.strictObject({
  kind: z.enum([
    'record-edited',
    'record-missing',
    'record-foreign',
    'record-orphan',
    'zone-gone',
    'zone-refused',
    'delegation',
    'secret-missing',
    'secret-orphan',
    'domain-unknown',
    'host-unknown',
    'host-silent',
    'host-behind',
  ]),
  name: says('The record, the secret, the domain or the host'),
  says: z.string(),
  level: z.enum(['note', 'alarm']),
  since: time,
  command: maybe(says('What a person may do about it, to paste')),
  domain: maybe(z.string()),
  selector: maybe(z.string()),
  mended: maybe(z.strictObject({ change: z.string(), at: time, shown: maybe(time) })),
});
export const drift = z.strictObject({
  audits: z.array(
    z.strictObject({
      subject: says('zone/NAME, or one of domains, secrets and hosts'),
      begun: time,
      at: time,
      complete: z.boolean(),
      compared: z.int(),
      found: z.int(),
      alarms: z.int(),
      findings: z.array(finding).check(z.describe('The first hundred')),
    }),
  ),
  next,
});
export const audits = z.strictObject({ audits: z.int(), subjects: z.array(z.string()) });

const pasted = z.strictObject({
  value: says('The whole value'),
  strings: z.array(z.string()).check(z.describe('The same in strings of at most 255 octets')),
});
export const byHand = z.strictObject({
  zones: z.array(
    z.strictObject({
      zone: z.string(),
      changes: z.array(
        z.strictObject({
          do: z.enum(['add', 'change', 'delete']),
          name: says('The name of the record'),
          host: says('The name as panels want it that add the name of the zone themselves; @ is the zone'),
          type: z.literal('TXT'),
          ttl: z.int().check(z.describe('Seconds; a shorter one will do')),
          add: z.array(pasted),
          remove: z.array(pasted),
          asked: time,
          servers: z.int().check(z.describe('Answers of name servers; 0 where they cannot be asked')),
          shown: z.int().check(z.describe('How many of them show it as it should be')),
          showing: z.array(z.string()).check(z.describe('The first of these')),
          lagging: z.array(z.string()).check(z.describe('What the first of the others say')),
        }),
      ),
    }),
  ),
  next,
});
const day = z.string().check(z.regex(/^\d{4}-\d\d-\d\d$/), z.describe('UTC'));
const messages = z.int().check(z.minimum(0));
const rates = {
  messages,
  passed: messages.check(z.describe('DMARC: DKIM or SPF, aligned with the From')),
  dkim: messages.check(z.describe('Passed by DKIM')),
  spf: messages.check(z.describe('Passed by SPF')),
};
const partial = maybe(
  z.literal(true).check(z.describe('There are more reports than are read for one answer')),
);

export const importedReports = z.strictObject({
  reports: z.array(
    z.strictObject({
      reporter: says('As it calls itself: nobody proves it'),
      id: z.string(),
      begin: time,
      end: time,
      domains: z.array(
        z.strictObject({
          domain: z.string(),
          messages,
          passed: messages,
          kept: z.enum(['saved', 'known', 'full']).check(z.describe('full: there are too many of that day')),
        }),
      ),
      ignored: messages.check(z.describe('Of domains that the fleet does not have')),
      stillSeen: z.array(
        z.strictObject({ domain: z.string(), selector: z.string(), messages, drainsUntil: maybe(time) }),
      ),
    }),
  ),
});
export const reportRates = z.strictObject({
  from: day,
  domains: z.array(z.strictObject({ domain: z.string(), reports: z.int(), ...rates, last: day, partial })),
  next,
});
export const domainReports = z.strictObject({
  from: day,
  domain: z.string(),
  reports: z.int(),
  ...rates,
  days: z.array(z.strictObject({ day, ...rates })),
  selectors: z.array(
    z.strictObject({
      selector: z.string(),
      domain: maybe(says('d=, where it is not the domain itself')),
      messages: messages.check(z.describe('That bear a signature by it')),
      passed: messages.check(z.describe('Whose signature by it verified')),
      first: day,
      last: day,
      reporters: z.array(z.string()),
      state: maybe(z.enum(states)).check(z.describe('Of the key, where it is one of ours')),
      afterRevocation: maybe(
        z.literal(true).check(z.describe('Seen on a day after it was revoked: such mail fails')),
      ),
    }),
  ),
  sources: z.array(z.strictObject({ source: says('An address, unknown, or others'), ...rates })),
  reporters: z.array(z.strictObject({ reporter: z.string(), reports: z.int(), messages, last: day })),
  partial,
});

export const bundleKeys = z.strictObject({
  keys: z.array(
    z.looseObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: z.string(), y: z.string() }),
  ),
});

export const openApi = z.looseObject({ openapi: z.string() });
