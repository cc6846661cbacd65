// A process that commits to a SQLite ledger until it has done enough or is killed, and prints each number after its
// commit was answered. Arguments: the file, this worker's name, how many commits.
import { writeSync } from 'node:fs';
import { openSqliteLedger } from '../../../adapters/local/ledger.ts';
import { hasCode } from '../../../core/errors.ts';
import { domainRow, logEntry, t } from '../../contracts/ledger-rows.ts';

const [, , path = '', name = '', commits = '0'] = process.argv;
const ledger = openSqliteLedger(path, Date.now);
const domain = `${name}.example.com`;

for (let done = 0; done < Number(commits); ) {
  const row = (await ledger.domain(domain)) ?? domainRow(domain);
  const place = await ledger.nextPlace('main');
  const selector = `${name}-${done}`;
  try {
    await ledger.commit({
      domains: [{ ...row, taken: [...row.taken, { at: t(0), selector, reason: '' }] }],
      reserve: [{ domain, selector }],
      append: { pool: 'main', ...logEntry(place.n, place.epoch, selector) },
    });
  } catch (error) {
    if (hasCode(error, 'conflict')) continue;
    throw error;
  }
  writeSync(1, `${place.n}\n`);
  done++;
}
ledger.close();
