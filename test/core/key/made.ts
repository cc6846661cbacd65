// Made-up keys, rows, hosts and situations for tests of the planner: valid ones, to be changed in one thing.

import type { Situation } from '../../../core/key/actions.ts';
import type { DomainRow, HostView, Key, Place, Rotation, Turn } from '../../../core/key/evidence.ts';
import { emptyRow } from '../../../core/key/row.ts';
import { defaultPolicy } from '../../../core/policy.ts';
import { add, days, instant, minutes } from '../../../core/time.ts';

export const t = instant(Date.parse('2024-01-28T09:00:00Z'));
export const at = { at: t };
export const place: Place = { epoch: 1, n: 5 };
const told = { at: t, place };

/** A key's facts, in the order of its life. */
export const facts = {
  reserved: at,
  stored: { ...at, secret: 'example.com/240128e', fingerprint: '00', publicKey: 'AAAA' },
  publishIntended: { ...at, value: 'v=DKIM1; k=ed25519; p=AAAA', ttl: minutes(60) },
  created: { ...at, changeId: 'C1' },
  inSync: at,
  revocationIntended: at,
  tombstoned: { ...at, changeId: 'C2' },
  tombstoneInSync: at,
  revoked: at,
  removalIntended: at,
  deleted: { ...at, changeId: 'C3' },
  deletionInSync: at,
  removed: at,
  eraseTold: told,
  erased: at,
  destroyed: at,
} as const satisfies Key['evidence'];

/** A turn's facts, in order. */
export const duty = {
  begun: at,
  proved: { ...at, servers: 2, negativeTtl: minutes(15) },
  offered: told,
  standby: at,
  signIntended: told,
  active: at,
  stopIntended: told,
  stopped: at,
} as const satisfies Turn;

const upTo = <T extends object>(all: T, last: keyof T): Partial<T> => {
  const names = Object.keys(all) as (keyof T)[];
  return Object.fromEntries(
    names.slice(0, names.indexOf(last) + 1).map((name) => [name, all[name]]),
  ) as Partial<T>;
};

export const evidenceUpTo = (last: keyof typeof facts): Key['evidence'] => ({
  reserved: at,
  ...upTo(facts, last),
});
export const turnUpTo = (last: keyof typeof duty): Turn => ({ begun: at, ...upTo(duty, last) });

/** A key of a rotation of the same name as its selector, its record in sync. */
export const key = (
  selector: string,
  turn: Turn | keyof typeof duty,
  more: Partial<Key> & { readonly facts?: Partial<Key['evidence']> } = {},
): Key => {
  const { facts: added, ...rest } = more;
  return {
    selector,
    algorithm: 'ed25519',
    rotation: selector,
    evidence: { ...evidenceUpTo('inSync'), ...added },
    turns: [typeof turn === 'string' ? turnUpTo(turn) : turn],
    ...rest,
  };
};

export const rotation = (id: string, more: Partial<Rotation> = {}): Rotation => ({
  ...at,
  id,
  kind: 'requested',
  algorithms: ['ed25519'],
  selectors: [id],
  ...more,
});

/** With a rotation for each key, unless said. */
export const row = (keys: readonly Key[], more: Partial<DomainRow> = {}): DomainRow => ({
  ...emptyRow('example.com', 'example.com', 'mx'),
  keys,
  rotations: keys.map(({ selector }) => rotation(selector)),
  ...more,
});

/** Ready, and up to date. */
export const host = (name = 'mx1', more: Partial<HostView> = {}): HostView => ({
  name,
  ready: true,
  excluded: false,
  epoch: 1,
  cursor: place.n,
  failed: new Map(),
  lastUse: new Map(),
  ...more,
});

/** A minute later, with one host that did what it was told. */
export const situation = (of: DomainRow, more: Partial<Omit<Situation, 'row'>> = {}): Situation => ({
  row: of,
  policy: { ...defaultPolicy, algorithms: ['ed25519'] },
  leaving: false,
  hosts: [host()],
  epoch: 1,
  now: add(t, minutes(1)),
  ...more,
});

/** Long after everything. */
export const later = add(t, days(60));
