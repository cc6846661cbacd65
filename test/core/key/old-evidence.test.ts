// Rows as versions 0.1 and 0.2 wrote them, one for each step of a key's life and each kind of rotation, with what their planner
// did next. A newer planner goes on from each in the same way, and what it does not know in a row it leaves there. The files
// are frozen: a version that writes other rows adds a folder of its own beside them. 0.2 adds adopted keys, and records
// that lie where a CNAME leads.

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Algorithm } from '../../../core/algorithm.ts';
import type { Plan, Situation } from '../../../core/key/actions.ts';
import type { DomainRow, HostView, RotationKind } from '../../../core/key/evidence.ts';
import { plan } from '../../../core/key/plan.ts';
import {
  tidied,
  withEvidence,
  withNewTurn,
  withoutTrouble,
  withRotation,
  withTrouble,
  withTurn,
} from '../../../core/key/row.ts';
import { assertSafe } from '../../../core/key/safety.ts';
import { stateOf, states } from '../../../core/key/state.ts';
import type { Policy } from '../../../core/policy.ts';
import { days, hours, type Instant, instant, minutes } from '../../../core/time.ts';

interface Old {
  readonly now: Instant;
  readonly leaving: boolean;
  readonly algorithms: readonly Algorithm[];
  readonly hosts: readonly (Omit<HostView, 'failed' | 'lastUse'> & {
    readonly failed: Readonly<Record<string, string>>;
    readonly lastUse: Readonly<Record<string, Instant>>;
  })[];
  readonly row: DomainRow;
  readonly plan: Plan;
}

const read = (version: string): [string, Old][] => {
  const folder = new URL(`./evidence-${version}/`, import.meta.url);
  return readdirSync(folder).map((file): [string, Old] => [
    `${version}, ${file.replace('.json', '')}`,
    JSON.parse(readFileSync(new URL(file, folder), 'utf8')),
  ]);
};
const first = read('0.1');
const second = read('0.2');
const corpus = [...first, ...second];

/** The defaults of 0.1: written out, because defaults may change, and evidence may not. */
const policy: Policy = {
  rotateEvery: days(90),
  algorithms: ['ed25519'],
  timeZone: 'UTC',
  tags: {},
  ttl: hours(1),
  downstreamQueue: days(5),
  drainMargin: days(2),
  reportedDrain: days(14),
  hold: days(7),
  skewBound: minutes(5),
  fenceAfter: minutes(10),
};

const situation = (old: Old): Situation => ({
  row: old.row,
  policy: { ...policy, algorithms: old.algorithms },
  leaving: old.leaving,
  hosts: old.hosts.map((host) => ({
    ...host,
    failed: new Map(Object.entries(host.failed)),
    lastUse: new Map(Object.entries(host.lastUse)),
  })),
  epoch: 1,
  now: old.now,
});

/** The same with hosts that have done all that they were told. */
const obeyed = (old: Old): Situation => {
  const s = situation(old);
  return { ...s, hosts: s.hosts.map((host) => ({ ...host, ready: true, cursor: Number.MAX_SAFE_INTEGER })) };
};

/** A row of a later version than this one: something unknown wherever something can be added. */
const fromLater = (row: DomainRow): DomainRow => {
  const later = { later: { is: 'unknown here' } };
  return {
    ...row,
    ...later,
    keys: row.keys.map((key) => {
      const [first, ...rest] = key.turns.map((turn) => ({ ...turn, ...later }));
      return {
        ...key,
        ...later,
        evidence: { ...key.evidence, ...later },
        turns: [first ?? key.turns[0], ...rest],
      };
    }),
    rotations: row.rotations.map((rotation) => ({ ...rotation, ...later })),
    taken: row.taken.map((taken) => ({ ...taken, ...later })),
    troubles: row.troubles.map((trouble) => ({ ...trouble, ...later })),
  };
};

const unknowns = (row: DomainRow): number => JSON.stringify(row).split('"unknown here"').length - 1;

describe.each(corpus)('a row of version %s', (_, old) => {
  it('is gone on from as it was then', () => {
    expect(plan(situation(old))).toEqual(old.plan);
  });

  it('waits for nothing that does not come: with obedient hosts there is something to do, now or at wakeAt', () => {
    const s = obeyed(old);
    const now = plan(s);
    if (now.actions.length > 0) return;
    if (now.wakeAt !== undefined) expect(plan({ ...s, now: now.wakeAt }).actions).not.toEqual([]);
    else expect(old.plan).toEqual({ actions: [], blockedBy: [] });
  });

  it('is safe to write, whatever else was written before', () => {
    const { row: _row, ...context } = situation(old);
    expect(() => assertSafe({ ...old.row, keys: [] }, old.row, context)).not.toThrow();
  });

  it('of a later version, keeps what this one does not know, and the plan is the same', () => {
    const row = fromLater(old.row);
    expect(plan({ ...situation(old), row })).toEqual(old.plan);
    const at = { at: old.now };
    const written = row.keys.reduce(
      (next, { selector }) =>
        withTurn(withEvidence(next, selector, { compromised: { ...at, reason: 'a test' } }), selector, {
          stopped: at,
        }),
      withRotation(row, row.rotations[0]?.id ?? '', (rotation) => ({ ...rotation, reason: 'a test' })),
    );
    const again = row.keys.reduce((next, { selector }) => withNewTurn(next, selector, old.now), written);
    const last = tidied(withoutTrouble(withTrouble(again, 'a step', old.now, 'a test'), 'a step'), old.now);
    expect(unknowns(last)).toBe(unknowns(row));
    expect(unknowns(row)).toBeGreaterThan(0);
  });
});

describe('the corpus of version 0.1', () => {
  it('has every state of a key', () => {
    const found = new Set(first.flatMap(([, { row }]) => row.keys.map(stateOf)));
    expect([...found].toSorted()).toEqual(states.toSorted());
  });

  it('has every kind of rotation', () => {
    const kinds: Readonly<Record<Exclude<RotationKind, 'adopted'>, true>> = {
      first: true,
      scheduled: true,
      requested: true,
      emergency: true,
      rollback: true,
    };
    const found = new Set(first.flatMap(([, { row }]) => row.rotations.map(({ kind }) => kind)));
    expect([...found].toSorted()).toEqual(Object.keys(kinds).toSorted());
  });
});

describe('the corpus of version 0.2', () => {
  it('has adopted keys in every state that one can be in', () => {
    const found = new Set(
      second.flatMap(([, { row }]) =>
        row.keys.filter(({ evidence }) => evidence.adopted !== undefined).map(stateOf),
      ),
    );
    // Reserved, stored and publishing come before a key is anybody's to adopt.
    expect([...found].toSorted()).toEqual([
      'active',
      'draining',
      'published',
      'removed',
      'revoked',
      'standby',
    ]);
  });

  it('has rotations back to an adopted key, and records that lie elsewhere', () => {
    expect(second.some(([, { row }]) => row.rotations.some(({ kind }) => kind === 'rollback'))).toBe(true);
    const elsewhere = second.filter(([, { row }]) => row.cname !== undefined);
    expect(elsewhere.length).toBeGreaterThan(10);
    const [, { row }] = elsewhere[0] ?? ['', { row: undefined }];
    expect(row?.keys[0]?.evidence.publishIntended?.name).toBe('customer1.keys.example.com');
  });
});

it('a row keeps what it does not know when it drops keys that are long gone', () => {
  const destroyed = corpus.find(([name]) => name === '0.1, scheduled-35-destroyed')?.[1].row;
  const gone = destroyed?.keys[0];
  if (destroyed === undefined || gone === undefined) throw new Error('the corpus has no destroyed key');
  const many = Array.from({ length: 14 }, (_, n) => ({ ...gone, selector: `240128e-${n + 2}` }));
  const row = fromLater({ ...destroyed, keys: many });
  const kept = tidied(row, instant(0));
  expect(kept.keys).toEqual(row.keys.slice(2));
  expect(kept).toMatchObject({ later: { is: 'unknown here' } });
});
