// A key record, or the SPF or DMARC record, from the local ledger.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openSqliteLedger } from '../adapters/local/ledger.ts';
import { SelkieError } from '../core/errors.ts';
import type { DomainRow } from '../core/key/evidence.ts';
import { keyOf, recordName } from '../core/key/row.ts';
import { defaultPolicy } from '../core/policy.ts';
import type { ShownRecord } from './record-formats.ts';

const policyRecord = (row: DomainRow, kind: string): ShownRecord | undefined => {
  const record = row.records?.find((one) => one.kind === kind && one.intended !== undefined);
  return record?.intended === undefined
    ? undefined
    : {
        domain: row.domain,
        selector: kind,
        zone: record.zone ?? row.zone,
        name: record.name,
        // Beside others' values it has theirs; alone, that of the policy, which the ledger knows by the keys' records.
        ttl: row.keys.at(-1)?.evidence.publishIntended?.ttl ?? defaultPolicy.ttl,
        value: record.intended.value,
      };
};

/** @param which a selector, or `spf` or `dmarc` @throws not-found */
export const lookUpRecord = async (dir: string, domain: string, which: string): Promise<ShownRecord> => {
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
    if (key !== undefined)
      return {
        domain,
        selector: which,
        zone: row.zone,
        name: recordName(row, which),
        ttl: key.ttl,
        value: key.value,
      };
    const kind = which === 'spf' || which === 'dmarc' ? which : undefined;
    const policy = kind === undefined ? undefined : policyRecord(row, kind);
    if (policy !== undefined) return policy;
    throw new SelkieError(
      'not-found',
      kind === undefined
        ? `${domain} has no record ${which}; it has ${row.keys.map((one) => one.selector).join(', ') || 'none'}`
        : `${domain} has no ${kind.toUpperCase()} record of Selkie's: write ${kind}: under it in fleet.yaml; where it is there, selkie status ${domain} says what it waits for`,
    );
  } finally {
    ledger.close();
  }
};
