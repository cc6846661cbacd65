// The name under which every ledger keeps a report of a domain: it sorts by days. Reporters choose their names and ids, which may
// be long and hold anything, so the rest of it is a hash. Touches nothing.

import { createHash } from 'node:crypto';
import type { ReportRow } from '../core/reports/report.ts';

export const reportName = ({ day, reporter, id }: Pick<ReportRow, 'day' | 'reporter' | 'id'>): string =>
  `${day}#${createHash('sha256')
    .update(JSON.stringify([reporter, id]))
    .digest('hex')}`;

/** What the names of some days lie between. `#` sorts before, and `$` behind, what follows a day in a name. */
export const namesOf = (from: string, to: string): readonly [from: string, below: string] => [
  `${from}#`,
  `${to}$`,
];
