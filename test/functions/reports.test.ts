// The function that takes in reports by mail, as SES calls it: the mail in moto's S3, the ledger in moto's DynamoDB.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createDynamoLedger } from '../../adapters/aws/ledger.ts';
import { createMailStore } from '../../adapters/aws/mail-store.ts';
import { reportLimits } from '../../adapters/reports/limits.ts';
import { compileFleet } from '../../core/compiled-fleet.ts';
import { dutyTurn } from '../../core/key/state.ts';
import { defaultPolicy, type Fleet } from '../../core/policy.ts';
import { dayOf } from '../../core/reports/report.ts';
import { days, instant } from '../../core/time.ts';
import { key, row, turnUpTo } from '../core/key/made.ts';
import { record, report, xmlOf } from '../reports/made.ts';
import { createTable } from '../tools/ledger-table.ts';
import { describeWith } from '../tools/machine.ts';
import { type Moto, motoClient, motoEnv, startMoto } from '../tools/moto.ts';
import { makeFolder } from '../tools/temporary-folder.ts';

const domain = 'example.com';
const zone = { name: domain, id: 'Z1' };
const fleet: Fleet = {
  version: 1,
  pools: ['mx'],
  hosts: new Map(),
  zones: new Map([[domain, zone]]),
  domains: new Map([[domain, { domain, zone: domain, pool: 'mx', policy: defaultPolicy, leaving: false }]]),
};
const midnight = Math.floor(Date.now() / days(1)) * days(1);
const yesterday = { begin: instant(midnight - days(1)), end: instant(midnight - 1_000) };

describeWith(['moto_server'], 'reports by mail', () => {
  let moto: Moto;
  let s3: S3Client;
  let handler: typeof import('../../functions/reports/handler.ts')['handler'];
  const before = { ...process.env };
  const folder = makeFolder();
  const [table, bucket] = ['ledger', 'mails'];
  const lines: string[] = [];

  beforeAll(async () => {
    moto = await startMoto();
    const file = join(folder, 'fleet.json');
    writeFileSync(file, compileFleet(fleet));
    Object.assign(process.env, motoEnv(moto.url), {
      SELKIE_TABLE: table,
      SELKIE_FLEET: file,
      SELKIE_QUEUE_URL: `${moto.url}/123456789012/none`,
      SELKIE_SECRET_PREFIX: 'selkie',
      SELKIE_SECRET_KEY: 'arn:aws:kms:eu-west-1:123456789012:key/none',
      SELKIE_BUNDLE_KEY: 'arn:aws:kms:eu-west-1:123456789012:key/none',
      SELKIE_DISCLOSED_BUCKET: 'disclosed',
      SELKIE_REPORTS_BUCKET: bucket,
    });
    await createTable(new DynamoDBClient(motoClient(moto.url)), table);
    s3 = new S3Client({ ...motoClient(moto.url), forcePathStyle: true });
    await s3.send(
      new CreateBucketCommand({
        Bucket: bucket,
        CreateBucketConfiguration: { LocationConstraint: 'eu-west-1' },
      }),
    );
    await ledger().installFleet(1);
    const stopped = { ...turnUpTo('stopped'), stopped: { at: instant(midnight - days(2)) } };
    await ledger().commit({
      domains: [{ ...row([key('240128', stopped), key('240201', 'active')]), zone: domain }],
    });
    vi.spyOn(process.stdout, 'write').mockImplementation((line) => lines.push(String(line)) > 0);
    ({ handler } = await import('../../functions/reports/handler.ts'));
  });
  afterAll(async () => {
    vi.restoreAllMocks();
    process.env = before;
    rmSync(folder, { recursive: true });
    await moto.stop();
  });

  const ledger = () => createDynamoLedger({ client: new DynamoDBClient(motoClient(moto.url)), table });
  const put = (id: string, body: string | Uint8Array) =>
    s3.send(new PutObjectCommand({ Bucket: bucket, Key: `incoming/${id}`, Body: body }));
  const call = async (...ids: readonly string[]): Promise<readonly Record<string, unknown>[]> => {
    lines.length = 0;
    await handler({ Records: ids.map((messageId) => ({ ses: { mail: { messageId } } })) });
    return lines.map((line) => JSON.parse(line)).filter(({ level }) => level !== undefined);
  };
  const mailWith = (xml: string): string =>
    [
      'From: noreply@receiver.example',
      'MIME-Version: 1.0',
      'Content-Type: application/gzip; name=report.xml.gz',
      'Content-Transfer-Encoding: base64',
      '',
      gzipSync(xml).toString('base64'),
    ].join('\r\n');
  const kept = async () =>
    (await ledger().reports(domain, { from: '2000-01-01', to: '2999-01-01', limit: 99 })).rows;

  it('keeps what a mail’s report says, notes the retired key, and again is the same', async () => {
    await put('first', mailWith(xmlOf(report([record()], yesterday))));
    const [said] = await call('first');
    expect(said).toMatchObject({
      level: 'step',
      says: 'receiver.example reports',
      domains: [{ domain, messages: 10, passed: 10, kept: 'saved' }],
      stillSeen: [{ domain, selector: '240128', messages: 10 }],
    });
    expect(await kept()).toMatchObject([
      { domain, day: dayOf(yesterday.begin), reporter: 'receiver.example', tallies: [{ count: 10 }] },
    ]);
    const noted = (await ledger().domain(domain))?.keys[0];
    if (noted === undefined) throw new Error('the key is gone');
    expect(dutyTurn(noted).reported).toMatchObject({
      by: 'receiver.example',
      until: yesterday.end,
      messages: 10,
    });
    expect((await call('first'))[0]).toMatchObject({ domains: [{ kept: 'known' }] });
    expect(await kept()).toHaveLength(1);
  });

  it.each([
    ['no report', 'Subject: hello\r\n\r\nhello', 'a mail without a report'],
    ['one that is hostile', mailWith('<!DOCTYPE a [<!ENTITY b "c">]><feedback>&b;</feedback>'), 'DOCTYPE'],
    [
      'one about others',
      mailWith(
        xmlOf(
          report([record({ from: 'other.example', signatures: [] })], {
            domain: 'other.example',
            ...yesterday,
          }),
        ),
      ),
      'no domain of fleet.yaml',
    ],
  ])('a mail with %s is told, and not tried again', async (_, mail, says) => {
    await put('other', mail);
    const all = await call('other');
    expect(all[0]).toMatchObject({ level: 'trouble', mail: 'other' });
    expect(all.map((line) => line.says).join()).toContain(says);
    expect(await kept()).toHaveLength(1);
  });

  it('what is not there yet is asked for again, by Lambda', async () => {
    await expect(call('missing')).rejects.toThrow(/missing/);
  });

  it('an id that is none leads nowhere', async () => {
    await expect(call('../secret')).rejects.toThrow(/no message id of SES/);
  });

  it('a mail that weighs more than any with a report is not loaded', async () => {
    await put('large', new Uint8Array(reportLimits.mail + 1));
    const mails = createMailStore({ client: s3, bucket });
    await expect(mails.read('incoming/large')).rejects.toMatchObject({ code: 'invalid' });
    expect((await mails.read('incoming/first')).length).toBeGreaterThan(100);
  });
});
