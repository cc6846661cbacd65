// Mails with DMARC aggregate reports: SES has put one into the bucket and says so. Who sent it is not proved and does not matter
// (docs/adr/0012-reports.md). What cannot be read is told and done with; what the ledger did not take is tried again by Lambda.

import { S3Client } from '@aws-sdk/client-s3';
import type { SESEvent } from 'aws-lambda';
import { createMailStore, type MailStore } from '../../adapters/aws/mail-store.ts';
import { reportsIn } from '../../adapters/reports/unpack.ts';
import { parseReportXml } from '../../adapters/reports/xml.ts';
import { describe, hasCode, SelkieError } from '../../core/errors.ts';
import { importReport } from '../../engine/reports.ts';
import { openSession, type World } from '../../engine/world.ts';
import { say, sayTrouble } from '../say.ts';
import { lazily, metered, wire } from '../wire.ts';

/** Under which SES puts mails (infra/constructs/reports.ts). */
const prefix = 'incoming/';

/** One of a report, which no retry mends. */
const isOfReport = (error: unknown): error is SelkieError => hasCode(error, 'invalid', 'not-found');

const takeIn = async (world: World, mails: MailStore, mail: string): Promise<void> => {
  const bytes = await mails.read(`${prefix}${mail}`);
  const session = await openSession(world);
  const about = { mail };
  let found = 0;
  try {
    for await (const text of reportsIn(bytes)) {
      found += 1;
      try {
        const { reporter, id, domains, stillSeen } = await importReport(
          world,
          session,
          await parseReportXml(text),
        );
        say({ level: 'step', says: `${reporter} reports`, id, domains, stillSeen, ...about });
      } catch (error) {
        if (!isOfReport(error)) throw error;
        sayTrouble(describe(error), about);
      }
    }
  } catch (error) {
    if (!isOfReport(error)) throw error;
    sayTrouble(describe(error), about);
  }
  if (found === 0) sayTrouble('a mail without a report', about);
};

const world = lazily(() => wire(process.env));
const mails = lazily((): MailStore => {
  const bucket = process.env.SELKIE_REPORTS_BUCKET;
  if (bucket === undefined || bucket === '')
    throw new SelkieError('invalid', 'SELKIE_REPORTS_BUCKET is not set: deploy the stack again');
  return createMailStore({ client: new S3Client({ maxAttempts: 4 }), bucket });
});

/** As much of SES's event as is read. */
type Mails = {
  readonly Records: readonly {
    readonly ses: { readonly mail: Pick<SESEvent['Records'][number]['ses']['mail'], 'messageId'> };
  }[];
};

export const handler = (event: Mails): Promise<void> =>
  metered(world(), async () => {
    for (const { ses } of event.Records) {
      const { messageId } = ses.mail;
      // SES makes them; a key that leads elsewhere would still be below the prefix.
      if (!/^[\w-]{1,200}$/.test(messageId)) throw new SelkieError('invalid', 'this is no message id of SES');
      await takeIn(world(), mails(), messageId);
    }
  });
