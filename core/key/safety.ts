// The rules that no write may break, as a table. Each is checked on the row before and after: a write is refused only
// where it breaks what held, so that a row that is broken already may still heal. The numbers are those of the
// invariants in docs/lifecycle.md. The planner should never propose what these forbid; they are the net below it.

import { SelkieError } from '../errors.ts';
import type { Situation } from './actions.ts';
import type { DomainRow, Key } from './evidence.ts';
import { hostsBehind } from './gate.ts';
import { dutyTurn, isServing, mayBeHeld, mayHaveSigned } from './state.ts';
import { drainEnds } from './waits.ts';

type Context = Omit<Situation, 'row'>;

interface Rule {
  readonly invariant: number;
  readonly says: string;
  /** The selectors (or other things) for which it does not hold. */
  readonly broken: (row: DomainRow, context: Context) => readonly string[];
}

const selectorsWhere = (row: DomainRow, bad: (key: Key) => boolean): readonly string[] =>
  row.keys.filter(bad).map((key) => key.selector);

/** The intent and the deed are forbidden each by itself: whoever meant to before the policy changed may not do it after. */
const disclosing = (row: DomainRow, bad: (key: Key) => boolean): readonly string[] =>
  row.keys
    .filter(bad)
    .flatMap(({ selector, evidence: e }) => [
      ...(e.disclosureIntended === undefined ? [] : [selector]),
      ...(e.disclosed === undefined ? [] : [`the private half of ${selector}`]),
    ]);

/** The keys that hosts were last told to stop signing with. */
const lastStopped = (row: DomainRow): readonly Key[] => {
  const place = (key: Key): number => dutyTurn(key).stopIntended?.place.n ?? 0;
  const last = Math.max(...row.keys.map(place));
  return row.keys.filter((key) => place(key) === last);
};

export const safetyRules: readonly Rule[] = [
  {
    invariant: 1,
    says: 'revoked before mail signed with it had drained',
    broken: (row, context) =>
      selectorsWhere(row, (key) => {
        const { revocationIntended, revoked, compromised } = key.evidence;
        if (revocationIntended === undefined || revoked !== undefined || compromised !== undefined)
          return false;
        const ends = drainEnds(row.domain, key, context.hosts, context.policy);
        return mayHaveSigned(key) && (ends === undefined || context.now < ends);
      }),
  },
  {
    invariant: 1,
    says: 'removed without a tombstone though hosts may have signed with it',
    broken: (row) =>
      selectorsWhere(
        row,
        (key) =>
          key.evidence.removalIntended !== undefined &&
          mayHaveSigned(key) &&
          key.evidence.revoked === undefined,
      ),
  },
  {
    invariant: 2,
    says: 'told to sign before its record was proved and every ready host held it',
    broken: (row) =>
      selectorsWhere(row, (key) =>
        key.turns.some(
          (turn, n) =>
            turn.signIntended !== undefined &&
            (turn.proved === undefined ||
              // An adopted key signed already where hosts have it; the others say that they do not.
              (turn.standby === undefined && (n > 0 || key.evidence.adopted === undefined))),
        ),
      ),
  },
  {
    invariant: 3,
    says: 'left without a key to sign with',
    broken: (row, context) =>
      row.keys.some(mayHaveSigned) &&
      !row.keys.some(isServing) &&
      !context.leaving &&
      !lastStopped(row).every((key) => key.evidence.unsigned !== undefined)
        ? [row.domain]
        : [],
  },
  {
    invariant: 4,
    says: 'a selector with two keys',
    broken: (row) =>
      row.keys.map((key) => key.selector).filter((selector, index, all) => all.indexOf(selector) !== index),
  },
  {
    invariant: 5,
    says: 'published before it was stored',
    broken: (row) =>
      selectorsWhere(
        row,
        ({ evidence: e }) =>
          e.publishIntended !== undefined && e.stored === undefined && e.adopted === undefined,
      ),
  },
  {
    invariant: 5,
    says: 'destroyed before its record and its copies on hosts were gone',
    broken: (row) =>
      selectorsWhere(
        row,
        (key) =>
          key.evidence.destroyed !== undefined &&
          ((key.evidence.publishIntended !== undefined && key.evidence.removed === undefined) ||
            (mayBeHeld(key) && key.evidence.erased === undefined)),
      ),
  },
  {
    invariant: 6,
    says: 'revoked while a ready host may sign with it',
    broken: (row, context) =>
      selectorsWhere(row, (key) => {
        if (key.evidence.revocationIntended === undefined || key.evidence.revoked !== undefined) return false;
        if (!mayHaveSigned(key) || key.evidence.unsigned !== undefined) return false;
        const { stopIntended, stopped } = dutyTurn(key);
        if (stopIntended === undefined || stopped === undefined) return true;
        return hostsBehind({ ...context, row }, stopIntended.place).length > 0;
      }),
  },
  {
    invariant: 9,
    says: 'disclosed before its record and its copies on hosts were gone',
    broken: (row) => disclosing(row, ({ evidence: e }) => e.removed === undefined || e.erased === undefined),
  },
  {
    invariant: 9,
    says: 'disclosed though the policy does not say so',
    broken: (row, { policy }) => disclosing(row, () => policy.disclose !== 'after-removal'),
  },
];

interface Violation {
  readonly invariant: number;
  readonly says: string;
  readonly of: readonly string[];
}

/** What the step from `before` to `after` would break. */
const violations = (before: DomainRow, after: DomainRow, context: Context): readonly Violation[] =>
  safetyRules.flatMap(({ invariant, says, broken }) => {
    const found = broken(after, context);
    if (found.length === 0) return [];
    const already = new Set(broken(before, context));
    const of = found.filter((name) => !already.has(name));
    return of.length === 0 ? [] : [{ invariant, says, of }];
  });

/** @throws unsafe */
export const assertSafe = (before: DomainRow, after: DomainRow, context: Context): void => {
  const [first] = violations(before, after, context);
  if (first !== undefined)
    throw new SelkieError(
      'unsafe',
      `refused: ${first.of.join(', ')} of ${after.domain} would be ${first.says} (invariant ${first.invariant})`,
    );
};
