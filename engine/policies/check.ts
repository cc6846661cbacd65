// What is looked at before a policy record is written: what an SPF record costs receivers, counted by resolving it, and whether
// the domain of a report mailbox belongs to the same organisation, or says that it takes the reports.

import { isAuthorized, needsAuthorization } from '../../core/dmarc/organization.ts';
import { readDmarc } from '../../core/dmarc/record.ts';
import type { Checked } from '../../core/policy-records/evidence.ts';
import { recordOf, withRecord } from '../../core/policy-records/row.ts';
import type { WantedRecord } from '../../core/policy-records/wanted.ts';
import { countLookups, limitFault } from '../../core/spf/lookups.ts';
import { parseSpf } from '../../core/spf/record.ts';
import type { Work } from '../work.ts';
import { answered } from './resolve.ts';

/** What was found; or, in words, why the value may not be written or does no good. */
type Verdict = Omit<Checked, 'at' | 'value'> | { readonly refused: string };

const checkSpf = async ({ world, row }: Work, { value }: WantedRecord): Promise<Verdict> => {
  const count = await answered(countLookups(parseSpf(value), row.domain), world.resolver);
  const fault = limitFault(count);
  if (fault !== undefined)
    return {
      refused: `the SPF record of ${row.domain} would make every message fail with permerror (RFC 7208 §4.6.4), and is not published: ${fault}`,
    };
  const { lookups, voids, strictVoids, costs } = count;
  return {
    spf: {
      lookups,
      voids,
      strictVoids,
      terms: costs.map((one) => ({ term: one.term, lookups: one.lookups })),
    },
  };
};

const checkReport = async ({ world, row }: Work, wanted: WantedRecord): Promise<Verdict> => {
  const { host = '', name, zone } = wanted;
  const dmarc = world.fleet.domains.get(row.domain)?.dmarc;
  if (dmarc === undefined) return {};
  const planned = { domain: row.domain, record: readDmarc(dmarc.value).record };
  if (!(await answered(needsAuthorization(planned, host), world.resolver)))
    return { settled: 'same-organization' };
  if (zone !== undefined) return {};
  return (await answered(isAuthorized(row.domain, host), world.resolver))
    ? { settled: 'authorized' }
    : {
        refused: `reports of ${row.domain} to a mailbox at ${host} are not sent before ${host} says that it takes them (RFC 9990 §4); ask its administrator for this record: ${name}. IN TXT "${wanted.value}"`,
      };
};

/** Says what is in the way, once for each reason, and when to look again. */
export const refuse = async (work: Work, wanted: WantedRecord, reason: string): Promise<void> => {
  const { value } = wanted;
  const before = recordOf(work.row, wanted)?.refused;
  const at = work.now();
  const since = before?.value === value ? before.since : at;
  await work.save(
    withRecord(work.row, wanted, (record) => ({ ...record, refused: { at, since, value, reason } })),
  );
  if (before?.value !== value || before.reason !== reason)
    work.report(wanted.zone === undefined ? 'trouble' : 'alarm', reason);
};

/** @throws unavailable where DNS does not tell */
export const check = async (work: Work, wanted: WantedRecord): Promise<void> => {
  const { kind, value } = wanted;
  const verdict: Verdict =
    kind === 'spf' ? await checkSpf(work, wanted) : kind === 'report' ? await checkReport(work, wanted) : {};
  if ('refused' in verdict) return refuse(work, wanted, verdict.refused);
  const before = recordOf(work.row, wanted)?.checked;
  await work.save(
    withRecord(work.row, wanted, (record) => ({
      ...record,
      checked: { at: work.now(), value, ...verdict },
    })),
  );
  if (verdict.spf !== undefined && (before?.value !== value || before.spf?.lookups !== verdict.spf.lookups))
    work.report(
      'step',
      `the SPF record of ${work.row.domain} costs receivers ${verdict.spf.lookups} of 10 DNS lookups`,
    );
};
