// What people and programs are shown of a domain's policy records. Reads, never writes.

import { dmarcAdvice, jump } from '../../core/dmarc/advice.ts';
import { readDmarc } from '../../core/dmarc/record.ts';
import {
  isRefused,
  type PolicyRecord,
  recordState,
  sameRecord,
  stands,
} from '../../core/policy-records/evidence.ts';
import { recordOf } from '../../core/policy-records/row.ts';
import type { WantedRecord } from '../../core/policy-records/wanted.ts';
import { spfAdvice } from '../../core/spf/advice.ts';
import { parseSpf } from '../../core/spf/record.ts';
import { formatInstant } from '../../core/time.ts';
import type { Work } from '../work.ts';
import { wantedOf } from './work.ts';

const recordStatus = (record: PolicyRecord, wanted: WantedRecord | undefined) => {
  const { kind, name, zone, intended, proved, refused, checked } = record;
  const value = wanted?.value ?? intended?.value;
  return {
    kind,
    record: name,
    ...(zone === undefined ? {} : { zone }),
    state: recordState(record, wanted?.value),
    ...(value === undefined ? {} : { value }),
    // Until the new one is written.
    ...(intended === undefined || intended.value === value ? {} : { stands: intended.value }),
    ...(proved === undefined ? {} : { proved: formatInstant(proved.at) }),
    ...(refused === undefined || !isRefused(record, wanted?.value) ? {} : { refused: refused.reason }),
    ...(checked?.settled === undefined ? {} : { settled: checked.settled }),
    ...(checked?.spf === undefined || checked.value !== value
      ? {}
      : {
          lookups: checked.spf.lookups,
          terms: checked.spf.terms.map(({ term, lookups }) => ({ term, lookups })),
        }),
  };
};

export const policyStatus = (work: Work) => {
  const wanted = wantedOf(work);
  const known = work.row.records ?? [];
  const records = known.map((record) =>
    recordStatus(
      record,
      wanted.find((one) => sameRecord(one, record)),
    ),
  );
  return records.length === 0 ? {} : { records };
};

const notesOf = (record: PolicyRecord | undefined, { kind, value }: WantedRecord): readonly string[] => {
  const checked = record?.checked?.value === value ? record.checked.spf : undefined;
  if (kind === 'spf') return spfAdvice(parseSpf(value), checked);
  if (kind === 'report') return [];
  const next = readDmarc(value).record;
  const before = record?.intended === undefined ? undefined : readDmarc(record.intended.value).record;
  const step = record !== undefined && stands(record, value) ? undefined : jump(before, next);
  return [...dmarcAdvice(next), ...(step === undefined ? [] : [step])];
};

/** What is allowed in the fleet file, and not wise. */
export const policyNotes = (work: Work): readonly string[] =>
  wantedOf(work).flatMap((wanted) => notesOf(recordOf(work.row, wanted), wanted));
