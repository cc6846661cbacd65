// Writing facts of policy records into a domain's row: each function returns a new row.

import type { DomainRow } from '../key/evidence.ts';
import { type PolicyRecord, type RecordId, sameRecord } from './evidence.ts';

export const recordOf = (row: Pick<DomainRow, 'records'>, id: RecordId): PolicyRecord | undefined =>
  row.records?.find((record) => sameRecord(record, id));

/** Changes a record; one that is not there yet is begun. */
export const withRecord = (
  row: DomainRow,
  { kind, name, zone }: RecordId,
  change: (record: PolicyRecord) => PolicyRecord,
): DomainRow => {
  const id = { kind, name, ...(zone === undefined ? {} : { zone }) };
  const known = row.records ?? [];
  const found = recordOf(row, id);
  return {
    ...row,
    records:
      found === undefined
        ? [...known, change({ ...id, ours: [] })]
        : known.map((record) => (record === found ? change(record) : record)),
  };
};

export const withoutRecord = (row: DomainRow, id: RecordId): DomainRow => {
  const { records = [], ...rest } = row;
  const left = records.filter((record) => !sameRecord(record, id));
  return left.length === 0 ? rest : { ...rest, records: left };
};

/** The intent to have `value` there in place of all that is ours; `taken`: values that are taken over. */
export const intending = (
  { kind, name, zone, hostedZone, ours, checked, refused, owned }: PolicyRecord,
  intended: NonNullable<PolicyRecord['intended']>,
  taken: readonly string[],
): PolicyRecord => ({
  kind,
  name,
  ...(zone === undefined ? {} : { zone }),
  ...(hostedZone === undefined ? {} : { hostedZone }),
  ours: [...new Set([...ours, ...taken, intended.value])],
  ...(checked === undefined ? {} : { checked }),
  ...(refused === undefined ? {} : { refused }),
  ...(owned === undefined ? {} : { owned }),
  intended,
});
