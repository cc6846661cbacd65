// Writes policy records. The value that is ours shares its set of TXT records with others', which are never lost: the exact
// set that stands there is deleted and the merged one created, in one batch (invariant 4). Where somebody changed the set in
// between, the batch is refused, and the next try looks again.

import { jump } from '../../core/dmarc/advice.ts';
import { readDmarc } from '../../core/dmarc/record.ts';
import { SelkieError } from '../../core/errors.ts';
import { hostedZone } from '../../core/fleet-change.ts';
import type { FleetZone } from '../../core/policy.ts';
import type { PolicyKind, PolicyRecord } from '../../core/policy-records/evidence.ts';
import { intending, recordOf, withRecord } from '../../core/policy-records/row.ts';
import { isOfKind, type WantedRecord } from '../../core/policy-records/wanted.ts';
import type { Change, TxtSet } from '../ports.ts';
import type { Work } from '../work.ts';
import { refuse } from './check.ts';

export const kindName: Readonly<Record<PolicyKind, string>> = {
  spf: 'SPF record',
  dmarc: 'DMARC record',
  report: 'authorization of DMARC reports',
};

const shown = (value: string): string => `"${value.length > 120 ? `${value.slice(0, 120)}…` : value}"`;

/** The values of a set that are of this kind and not ours. */
export const foreignIn = (
  record: Pick<PolicyRecord, 'kind' | 'ours'>,
  set: TxtSet | undefined,
): readonly string[] =>
  (set?.values ?? []).filter((value) => isOfKind(record.kind, value) && !record.ours.includes(value));

/**
 * The one value that somebody made of ours: ours is gone, and another of its kind stands in its place. A record is ours from the
 * CREATE to its removal, later edits included.
 */
export const editIn = (record: PolicyRecord, set: TxtSet | undefined): readonly string[] => {
  const foreign = foreignIn(record, set);
  const gone = !(set?.values ?? []).some((value) => record.ours.includes(value));
  return record.owned !== undefined && gone && foreign.length === 1 ? foreign : [];
};

/** The set with `value` in place of all that is ours; all else stays as it is. */
export const merged = (
  there: TxtSet | undefined,
  ours: readonly string[],
  value: string | undefined,
  ttl: TxtSet['ttl'],
): TxtSet => ({
  ttl: there?.ttl ?? ttl,
  values: [
    ...(there?.values ?? []).filter((other) => other !== value && !ours.includes(other)),
    ...(value === undefined ? [] : [value]),
  ],
});

const sameValues = (a: TxtSet | undefined, b: TxtSet): boolean =>
  a !== undefined && JSON.stringify(a.values.toSorted()) === JSON.stringify(b.values.toSorted());

/** A value that the writer could not read stands for itself, with its quotes: written again, it would be another. */
export const unreadable = (set: TxtSet | undefined): string | undefined =>
  set?.values.find((value) => value.startsWith('"'));

export const rewriting = (name: string, value: string): string =>
  `${name} has a TXT value beside ours that cannot be read (${shown(value)}), and the set can only be written as a whole: rewrite that value, or take it out`;

/** The change that makes `set` of what is there; undefined: it is so already. */
export const changeTo = (name: string, there: TxtSet | undefined, set: TxtSet): Change | undefined => {
  if (set.values.length === 0) return there === undefined ? undefined : { do: 'delete', name, set: there };
  if (sameValues(there, set)) return undefined;
  return there === undefined ? { do: 'create', name, set } : { do: 'replace', name, old: there, set };
};

/** Why nothing may be written where records that are not ours stand; undefined: it may. */
const inTheWay = (
  work: Work,
  wanted: WantedRecord,
  record: PolicyRecord,
  there: TxtSet | undefined,
  foreign: readonly string[],
): string | undefined => {
  const { kind, name, adopt } = wanted;
  const odd = unreadable(there);
  if (odd !== undefined) return rewriting(name, odd);
  if (foreign.length === 0) return undefined;
  const what = kindName[kind];
  if (foreign.length > 1)
    return `${name} has ${foreign.length} ${what}s that are not Selkie's, and receivers take none of several: delete all but one (${foreign.map(shown).join(', ')})`;
  if (adopt && record.owned === undefined) return undefined;
  return record.owned === undefined
    ? `${name} has ${kind === 'dmarc' ? 'a' : 'an'} ${what} that is not Selkie's: ${shown(foreign[0] ?? '')}. It is left alone: delete it, or write adopt: true under ${kind} of ${work.row.domain} in fleet.yaml to take it over`
    : `${name} has a second ${what}, which is not Selkie's: ${shown(foreign[0] ?? '')}. Receivers take none of several: delete it`;
};

const warnOfJump = (work: Work, { kind, value }: WantedRecord, before: string | undefined): void => {
  if (kind !== 'dmarc') return;
  const from = before === undefined ? undefined : readDmarc(before).record;
  const says = jump(from, readDmarc(value).record);
  if (says !== undefined) work.report('trouble', says);
};

/** Saves the intent, and says how the set is to change; undefined: nothing is to be submitted. */
export const publication = async (
  work: Work,
  zone: FleetZone,
  wanted: WantedRecord,
): Promise<Change | undefined> => {
  const { kind, name, value } = wanted;
  const there = await work.world.writer.lookup(zone, name);
  const known: PolicyRecord = recordOf(work.row, wanted) ?? { kind, name, ours: [] };
  const edit = editIn(known, there);
  const foreign = foreignIn(known, there).filter((other) => !edit.includes(other));
  if (kind === 'report' && foreign.length > 0) {
    // Whoever wrote it, it says what is wanted.
    await work.save(
      withRecord(work.row, wanted, (record) => ({
        ...record,
        checked: { at: work.now(), value, settled: 'authorized' },
      })),
    );
    return undefined;
  }
  const reason = inTheWay(work, wanted, known, there, foreign);
  if (reason !== undefined) {
    await refuse(work, wanted, reason);
    return undefined;
  }
  const taken = [...edit, ...foreign];
  if (known.intended?.value !== value || known.removalIntended !== undefined || taken.length > 0) {
    warnOfJump(
      work,
      wanted,
      (there?.values ?? []).find((other) => isOfKind(kind, other)),
    );
    await work.save(
      withRecord(work.row, wanted, (record) => ({
        ...intending(record, { at: work.now(), value }, taken),
        hostedZone: hostedZone(zone),
      })),
    );
    if (foreign.length > 0)
      work.report('step', `the ${kindName[kind]} at ${name} is taken over: ${shown(foreign[0] ?? '')}`);
  }
  const { ours = [] } = recordOf(work.row, wanted) ?? {};
  const change = changeTo(name, there, merged(there, ours, value, work.policy.ttl));
  if (change === undefined) await written(work, wanted, 'present');
  return change;
};

/** The provider took the change. */
export const written = async (work: Work, wanted: WantedRecord, changeId: string): Promise<void> => {
  const at = work.now();
  const there = changeId === 'present';
  await work.save(
    withRecord(work.row, wanted, ({ refused: _over, ...record }) => ({
      ...record,
      owned: record.owned ?? { at },
      created: { at, changeId },
      ...(there ? { inSync: { at } } : {}),
    })),
  );
  work.report(
    'step',
    there
      ? `the ${kindName[wanted.kind]} stands at ${wanted.name} already`
      : `the ${kindName[wanted.kind]} at ${wanted.name} is written; waiting for the name servers`,
  );
};

/** How the set is to change so that nothing of ours is left; undefined: nothing is to be submitted. */
export const deletion = async (
  work: Work,
  zone: FleetZone,
  record: PolicyRecord,
): Promise<Change | undefined> => {
  const { name, ours } = record;
  const there = await work.world.writer.lookup(zone, name);
  const odd = unreadable(there);
  if (odd !== undefined) throw new SelkieError('unsafe', rewriting(name, odd));
  if (there?.values.some((value) => ours.includes(value)) === true)
    return changeTo(name, there, merged(there, ours, undefined, there.ttl));
  await deleted(work, record, 'absent');
  return undefined;
};

export const deleted = async (work: Work, record: PolicyRecord, changeId: string): Promise<void> => {
  const at = work.now();
  await work.save(
    withRecord(work.row, record, (old) => ({
      ...old,
      deleted: { at, changeId },
      ...(changeId === 'absent' ? { deletionInSync: { at } } : {}),
    })),
  );
  work.report(
    'step',
    `the ${kindName[record.kind]} at ${record.name} is deleted; waiting for the name servers`,
  );
};
