// The way of a key set, gate by gate: what was passed and when, what is waited for now and for whom, and when the rest is
// expected.

import type { Blocked, Foreseen } from '../types.ts';
import { At, capital, Said, When } from '../words.tsx';
import { beginsIn, endsIn, isOf, type KeySet } from './sets.ts';

interface Gate {
  /** The fact of the keys' evidence that says it was passed. */
  readonly fact: string;
  readonly says: (set: KeySet) => string;
  /** The forecast's step that comes with it. */
  readonly expected?: (set: KeySet, event: Foreseen) => boolean;
}

const own =
  (kind: Foreseen['do']) =>
  (set: KeySet, event: Foreseen): boolean =>
    isOf(set, kind, event);

const several = ({ selectors }: KeySet, one: string, more: string): string =>
  selectors.length === 1 ? one : more;

const proved = (set: KeySet): string => {
  const n = Math.min(...set.keys.map(({ nameServers = Number.POSITIVE_INFINITY }) => nameServers));
  const who = Number.isFinite(n)
    ? n === 1
      ? 'The name server shows'
      : `All ${n} name servers show`
    : 'Every name server shows';
  return `${who} ${several(set, 'the record, and it verifies', 'the records, and they verify')}`;
};

const gates: readonly Gate[] = [
  { fact: 'reserved', says: (set) => several(set, 'The selector is reserved', 'The selectors are reserved') },
  {
    fact: 'stored',
    says: (set) =>
      several(set, 'The private key is in the vault', 'The private keys are in the vault').concat(
        several(set, ' and was read back', ' and were read back'),
      ),
  },
  {
    fact: 'created',
    says: (set) => several(set, 'The provider took the record', 'The provider took the records'),
    expected: own('publish'),
  },
  { fact: 'inSync', says: () => 'The provider shows it on all its servers' },
  { fact: 'proved', says: proved },
  { fact: 'offered', says: (set) => several(set, 'It was sent to the hosts', 'They were sent to the hosts') },
  { fact: 'standby', says: (set) => `Every ready host holds ${several(set, 'it', 'them')}` },
  {
    fact: 'signIntended',
    says: (set) => `Hosts were told to sign with ${several(set, 'it', 'them')}`,
    expected: beginsIn,
  },
  { fact: 'active', says: (set) => `Every ready host signs with ${several(set, 'it', 'them')}` },
  { fact: 'stopIntended', says: () => 'Hosts were told to stop', expected: endsIn },
  { fact: 'stopped', says: () => 'Every ready host stopped; mail under way drains' },
  { fact: 'revoked', says: () => 'Revoked: every name server shows an empty p=', expected: own('revoke') },
  {
    fact: 'removed',
    says: (set) => several(set, 'The record is gone', 'The records are gone'),
    expected: own('remove'),
  },
  {
    fact: 'destroyed',
    says: () => 'Copies on hosts are erased, the secret is destroyed',
    expected: own('destroy'),
  },
];

/** Of keys that were not made here, or were withdrawn before they signed, some gates never come. */
const concerns = ({ keys: [key], times }: KeySet, { fact }: Gate): boolean => {
  if (key === undefined || times[fact] !== undefined) return true;
  if (key.adopted !== undefined && ['stored', 'created', 'inSync', 'offered', 'standby'].includes(fact))
    return false;
  if (key.abandoned !== undefined && times.signIntended === undefined)
    return fact === 'removed' || fact === 'destroyed';
  return true;
};

export const Gates = ({
  set,
  blockedBy,
  events,
  now,
}: {
  readonly set: KeySet;
  readonly blockedBy: readonly Blocked[];
  readonly events: readonly Foreseen[];
  readonly now: number;
}) => {
  const mine = gates.filter((gate) => concerns(set, gate));
  const lastPassed = mine.findLastIndex(({ fact }) => set.times[fact] !== undefined);
  const next = mine[lastPassed + 1];
  const waits = [
    ...new Set(
      blockedBy.flatMap(({ selector, says }) =>
        selector !== undefined && set.selectors.includes(selector) ? [says] : [],
      ),
    ),
  ];
  return (
    <ol class="gates">
      {mine.map((gate, index) => {
        const at = set.times[gate.fact];
        // Passed over: by an emergency, or by a rollback.
        if (at === undefined && index < lastPassed) return null;
        const here = gate === next && waits.length > 0;
        const expected =
          at === undefined ? events.find((event) => gate.expected?.(set, event) === true)?.at : undefined;
        return (
          <li
            key={gate.fact}
            class={at !== undefined ? 'passed' : here ? 'waiting' : 'ahead'}
            {...(here ? { 'aria-current': 'step' as const } : {})}
          >
            <span class="gate-says">
              {at === undefined && !here ? <span class="hidden">To come: </span> : null}
              {gate.says(set)}
              {here
                ? waits.map((says) => (
                    <span key={says} class="wait">
                      <Said says={capital(says)} />
                    </span>
                  ))
                : null}
            </span>
            <span class="gate-when">
              {at !== undefined ? (
                <At at={at} />
              ) : expected !== undefined ? (
                <>
                  expected <When at={expected} now={now} />
                </>
              ) : null}
            </span>
          </li>
        );
      })}
    </ol>
  );
};
