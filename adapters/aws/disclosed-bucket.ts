// Disclosed keys in an S3 bucket, from which a CDN or `aws s3 sync` brings them to a web server. Touches nothing but S3. What
// S3 has taken is in its lists at once.

import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import type { Disclosure } from '../../engine/ports.ts';
import { createFileDisclosure, type Files } from '../disclosed/files.ts';
import { toSelkieError } from './errors.ts';

const typeOf = (path: string): string =>
  path.endsWith('.json') ? 'application/json' : 'text/plain; charset=utf-8';

/** @param bucket its name */
export const createDisclosedBucket = ({
  client,
  bucket,
}: {
  readonly client: S3Client;
  readonly bucket: string;
}): Disclosure => {
  const files: Files = {
    async read(path) {
      try {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: path }));
        return await Body?.transformToString();
      } catch (error) {
        if (error instanceof Error && error.name === 'NoSuchKey') return undefined;
        throw toSelkieError(error, `Reading ${path} of bucket ${bucket}`);
      }
    },

    async write(path, text) {
      try {
        await client.send(
          new PutObjectCommand({ Bucket: bucket, Key: path, Body: text, ContentType: typeOf(path) }),
        );
      } catch (error) {
        throw toSelkieError(error, `Writing ${path} to bucket ${bucket}`);
      }
    },

    async names(folder) {
      const prefix = `${folder}/`;
      const found: string[] = [];
      let token: string | undefined;
      do {
        try {
          const page = await client.send(
            new ListObjectsV2Command({
              Bucket: bucket,
              Prefix: prefix,
              ...(token === undefined ? {} : { ContinuationToken: token }),
            }),
          );
          for (const { Key: key } of page.Contents ?? [])
            if (key !== undefined && !key.slice(prefix.length).includes('/'))
              found.push(key.slice(prefix.length));
          token = page.NextContinuationToken;
        } catch (error) {
          throw toSelkieError(error, `Listing ${prefix} of bucket ${bucket}`);
        }
      } while (token !== undefined);
      return found;
    },
  };
  return createFileDisclosure(files);
};
