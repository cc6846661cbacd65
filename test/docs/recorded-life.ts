// Lives of keys in the simulated world, recorded write by write: which facts each write added to which key, and which
// action or order it was that added them. An order can be given right after any write, between two of the engine's.

import type { Action } from '../../core/key/actions.ts';
import type { DomainRow, Evidence, Key, Turn } from '../../core/key/evidence.ts';
import { type State, stateOf } from '../../core/key/state.ts';
import type { Policy } from '../../core/policy.ts';
import type { Commit } from '../../engine/ports.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

/** What changes a key: an action of a plan, or an operator's order. */
export type Cause = Action['do'] | 'order';

/** One fact of a key, through the write of its row that saved it or took it back. */
export interface Step {
  /** Undefined: the key is new. */
  readonly from: State | undefined;
  readonly cause: Cause;
  readonly to: State;
  /** Undefined: a fact was taken back. */
  readonly saves: keyof Evidence | keyof Turn | undefined;
}

/** Which action saves which fact of a key. `abandoned` has several. */
const savers: Readonly<Record<Exclude<keyof Evidence, 'abandoned'>, Cause>> = {
  reserved: 'reserve',
  stored: 'store',
  adopted: 'adopt',
  publishIntended: 'publish',
  created: 'publish',
  inSync: 'ask',
  compromised: 'order',
  unsigned: 'order',
  revocationIntended: 'revoke',
  tombstoned: 'entomb',
  tombstoneInSync: 'ask',
  revoked: 'prove',
  removalIntended: 'remove',
  deleted: 'delete',
  deletionInSync: 'ask',
  removed: 'prove',
  eraseTold: 'erase',
  erased: 'latch',
  disclosureIntended: 'disclose',
  disclosed: 'disclose',
  destroyed: 'destroy',
};

/** The same of a turn's facts; a turn after the first begins by an order. */
const turnSavers: Readonly<Record<keyof Turn, Cause>> = {
  begun: 'order',
  proved: 'prove',
  offered: 'offer',
  standby: 'latch',
  signIntended: 'switch',
  active: 'latch',
  stopIntended: 'switch',
  stopped: 'latch',
  // An operator's import, of whatever a receiver sent.
  reported: 'order',
};

/** A key is given up with its rotation, by an order or because its domain leaves; alone, where another's record stands. */
const giverUp = (row: DomainRow, key: Key): Cause => {
  const by = row.rotations.find(({ id }) => id === key.rotation)?.aborted?.by;
  if (by === undefined) return 'publish';
  return by === 'leaving' ? 'abort' : 'order';
};

const fieldsOf = <T extends object>(value: T): readonly (keyof T)[] => Object.keys(value) as (keyof T)[];

const savedBy = (row: DomainRow, before: Key, after: Key): readonly (readonly [Cause, Step['saves']])[] => {
  const facts = fieldsOf(after.evidence).filter((fact) => !(fact in before.evidence));
  const turns = after.turns.flatMap((turn, index) =>
    fieldsOf(turn).filter((fact) => before.turns[index]?.[fact] === undefined),
  );
  const lost = fieldsOf(before.evidence).filter((fact) => !(fact in after.evidence));
  return [
    ...facts.map((fact) => {
      if (fact === 'abandoned') return [giverUp(row, after), fact] as const;
      // Where nothing of ours stands, deleting is done in one write.
      const absent = after.evidence.deleted?.changeId === 'absent' && facts.includes('deleted');
      return [absent ? 'delete' : savers[fact], fact] as const;
    }),
    ...turns.map((fact) => [turnSavers[fact], fact] as const),
    ...lost.map(() => ['ask', undefined] as const),
  ];
};

/** What one write of a row did to its keys. */
export const stepsOf = (before: DomainRow | undefined, after: DomainRow): readonly Step[] =>
  after.keys.flatMap((key): readonly Step[] => {
    const old = before?.keys.find(({ selector }) => selector === key.selector);
    const to = stateOf(key);
    if (old === undefined) {
      const cause = key.evidence.adopted === undefined ? 'reserve' : 'adopt';
      return [{ from: undefined, cause, to, saves: cause === 'adopt' ? 'adopted' : 'reserved' }];
    }
    return savedBy(after, old, key).map(([cause, saves]) => ({ from: stateOf(old), cause, to, saves }));
  });

export interface RecordedLife extends Simulation {
  readonly steps: readonly Step[];
  /** How often the domain's row was written. */
  readonly writes: number;
}

/** Called when a write of the domain's row is done, with its number from 1 on: orders may be given from here. */
export type AfterWrite = (life: RecordedLife, write: number, row: DomainRow) => Promise<void>;

export const record = async (
  policy: Partial<Policy>,
  hosts: readonly string[],
  afterWrite: AfterWrite,
): Promise<RecordedLife> => {
  const simulation = await simulate('2024-01-28T09:00:00Z', policy, hosts);
  const { ledger } = simulation.world;
  const steps: Step[] = [];
  let writes = 0;
  const life: RecordedLife = {
    ...simulation,
    steps,
    get writes() {
      return writes;
    },
  };
  const commit = async (what: Commit): Promise<void> => {
    const before = await ledger.domain(domain);
    await ledger.commit(what);
    const [row] = what.domains ?? [];
    if (row === undefined) return;
    steps.push(...stepsOf(before, row));
    writes += 1;
    await afterWrite(life, writes, row);
  };
  Object.assign(simulation.world, { ledger: { ...ledger, commit } });
  return life;
};
