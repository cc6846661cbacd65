// The value of a key record, or of the SPF or DMARC record, from the local ledger.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openSqliteLedger } from '../adapters/local/ledger.ts';
import { SelkieError } from '../core/errors.ts';
import type { DomainRow } from '../core/key/evidence.ts';
import { keyOf } from '../core/key/row.ts';
import { keyRecordName } from '../core/names.ts';
import type { PolicyKind } from '../core/policy-records/evidence.ts';

export interface FoundRecord {
  /** Where it is to be found in DNS. */
  readonly name: string;
  readonly value: string;
}

const policyRecord = (row: DomainRow, kind: PolicyKind): FoundRecord | undefined => {
  const record = row.records?.find((one) => one.kind === kind && one.intended !== undefined);
  return record?.intended === undefined ? undefined : { name: record.name, value: record.intended.value };
};

/** @param which a selector, or `spf` or `dmarc` @throws not-found */
export const lookUpRecord = async (dir: string, domain: string, which: string): Promise<FoundRecord> => {
  const file = join(dir, 'ledger.sqlite');
  if (!existsSync(file))
    throw new SelkieError(
      'not-found',
      `there is no ledger in ${dir}: run npm start, or name its folder with --dir`,
    );
  const ledger = openSqliteLedger(file, Date.now);
  try {
    const row = await ledger.domain(domain);
    if (row === undefined) throw new SelkieError('not-found', `${domain} is not in the ledger of ${dir}`);
    const key = keyOf(row, which)?.evidence.publishIntended;
    if (key !== undefined) return { name: keyRecordName(which, domain), value: key.value };
    const kind = which === 'spf' || which === 'dmarc' ? which : undefined;
    const policy = kind === undefined ? undefined : policyRecord(row, kind);
    if (policy !== undefined) return policy;
    if (kind !== undefined)
      throw new SelkieError(
        'not-found',
        `${domain} has no ${kind.toUpperCase()} record of Selkie's: write ${kind}: under it in fleet.yaml; where it is there, selkie status ${domain} says what it waits for`,
      );
    throw new SelkieError(
      'not-found',
      `${domain} has no record ${which}; it has ${row.keys.map((one) => one.selector).join(', ') || 'none'}`,
    );
  } finally {
    ledger.close();
  }
};
