// The bucket into which SES puts the mails that it receives. Reads what it is told of, and nothing else.

import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { SelkieError } from '../../core/errors.ts';
import { reportLimits } from '../reports/limits.ts';
import { toSelkieError } from './errors.ts';

export interface MailStore {
  /** @throws invalid: more than any mail with a report weighs; unavailable, denied, throttled; not-found: it is gone */
  read(key: string): Promise<Uint8Array>;
}

export const createMailStore = ({
  client,
  bucket,
}: {
  readonly client: S3Client;
  readonly bucket: string;
}): MailStore => ({
  read: async (key) => {
    try {
      const { Body: body, ContentLength: length } = await client.send(
        new GetObjectCommand({ Bucket: bucket, Key: key }),
      );
      if (body === undefined || length === undefined)
        throw new SelkieError('unavailable', `S3 did not send ${key}, nor say why`);
      if (length > reportLimits.mail)
        throw new SelkieError('invalid', `the mail ${key} is ${length} bytes, and no mail with a report is`);
      return await body.transformToByteArray();
    } catch (error) {
      throw error instanceof SelkieError ? error : toSelkieError(error, `reading the mail ${key}`);
    }
  },
});
