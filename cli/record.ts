// A key record, from the local ledger.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openSqliteLedger } from '../adapters/local/ledger.ts';
import { SelkieError } from '../core/errors.ts';
import { keyOf, recordName } from '../core/key/row.ts';
import type { ShownRecord } from './record-formats.ts';

/** @throws not-found */
export const lookUpRecord = async (dir: string, domain: string, selector: string): Promise<ShownRecord> => {
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
    const record = keyOf(row, selector)?.evidence.publishIntended;
    if (record === undefined)
      throw new SelkieError(
        'not-found',
        `${domain} has no record ${selector}; it has ${row.keys.map((key) => key.selector).join(', ') || 'none'}`,
      );
    return {
      domain,
      selector,
      zone: row.zone,
      name: recordName(row, selector),
      ttl: record.ttl,
      value: record.value,
    };
  } finally {
    ledger.close();
  }
};
