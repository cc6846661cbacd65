// The bucket of disclosed keys, on moto.
import { randomUUID } from 'node:crypto';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDisclosedBucket } from '../../../adapters/aws/disclosed-bucket.ts';
import { disclosureContract, retiredKey } from '../../contracts/disclosure.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Moto, motoClient, startMoto } from '../../tools/moto.ts';

describeWith(['moto_server'], 'S3', () => {
  const bucket = 'disclosed';
  let moto: Moto;
  let client: S3Client;
  beforeAll(async () => {
    moto = await startMoto();
    client = new S3Client(motoClient(moto.url));
    await client.send(
      new CreateBucketCommand({
        Bucket: bucket,
        CreateBucketConfiguration: { LocationConstraint: 'eu-west-1' },
      }),
    );
  });
  afterAll(async () => {
    client.destroy();
    await moto.stop();
  });

  disclosureContract('a bucket', async () => ({ open: () => createDisclosedBucket({ client, bucket }) }));

  test('objects are what a web server shows: text, and an index', async () => {
    const domain = `${randomUUID()}.example`;
    await createDisclosedBucket({ client, bucket }).publish(retiredKey(domain, '240128e'));
    const { Contents = [] } = await client.send(
      new ListObjectsV2Command({ Bucket: bucket, Prefix: `${domain}/` }),
    );
    expect(Contents.map(({ Key }) => Key)).toEqual([`${domain}/240128e.pem`, `${domain}/index.json`]);
    const types: (string | undefined)[] = [];
    for (const { Key } of Contents)
      types.push((await client.send(new GetObjectCommand({ Bucket: bucket, Key }))).ContentType);
    expect(types).toEqual(['text/plain; charset=utf-8', 'application/json']);
  });

  test('more files than one list of S3 holds', { timeout: 60_000 }, async () => {
    const domain = `${randomUUID()}.example`;
    const key = retiredKey(domain, 'zz');
    const disclosure = createDisclosedBucket({ client, bucket });
    for (let n = 0; n < 1_005; n += 15)
      await Promise.all(
        Array.from({ length: 15 }, (_, m) =>
          client.send(
            new PutObjectCommand({ Bucket: bucket, Key: `${domain}/a-file-beside-${n + m}.txt`, Body: 'x' }),
          ),
        ),
      );
    await disclosure.publish(key);
    expect((await disclosure.list(domain, { limit: 9 })).keys).toEqual([key]);
  });

  test('a bucket that is not there', async () => {
    const disclosure = createDisclosedBucket({ client, bucket: 'not-there' });
    const key = retiredKey('example.com', '240128e');
    await expect(disclosure.publish(key)).rejects.toMatchObject({ code: 'not-found' });
    await expect(disclosure.list('example.com', { limit: 9 })).rejects.toMatchObject({ code: 'not-found' });
  });

  test('a connection that fails may succeed later', async () => {
    const closed = new S3Client({ ...motoClient('http://127.0.0.1:9'), maxAttempts: 1 });
    await expect(
      createDisclosedBucket({ client: closed, bucket }).publish(retiredKey('example.com', '240128e')),
    ).rejects.toMatchObject({ code: 'unavailable', retry: 'later' });
    closed.destroy();
  });
});
