// The reports in what somebody uploaded or mailed. Touches nothing.

import { SelkieError } from '../../core/errors.ts';
import type { AggregateReport } from '../../core/reports/report.ts';
import { reportsIn } from './unpack.ts';
import { parseReportXml } from './xml.ts';

/** @throws invalid: damaged, more than any report is, or none is in it */
export const readReports = async (bytes: Uint8Array): Promise<readonly AggregateReport[]> => {
  const found: AggregateReport[] = [];
  for await (const text of reportsIn(bytes)) found.push(await parseReportXml(text));
  if (found.length === 0)
    throw new SelkieError(
      'invalid',
      'there is no DMARC aggregate report in it: XML, gzip, zip, or a mail with one of them is taken',
    );
  return found;
};
