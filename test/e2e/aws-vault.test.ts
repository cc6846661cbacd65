// The layouts of the vault as AWS runs them: keys of their own secrets first; then a deployment with shared secrets and copies in
// another region, after which rotations move the keys. The handlers are the real ones, Secrets Manager is moto's, and the mail
// host's signatures are judged by mailauth.
import { randomUUID } from 'node:crypto';
import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import * as mailauth from '../oracles/mailauth.ts';
import { lines } from '../oracles/records.ts';
import { describeWith } from '../tools/machine.ts';
import { motoClient } from '../tools/moto.ts';
import { type AwsPlace, isDone, makeAwsPlace } from './aws-place.ts';

const zone = 'example.jp';
const names = Array.from({ length: 3 }, (_, n) => `d${n}.${zone}`);
const elsewhere = 'eu-central-1';

describeWith(['moto_server', 'named'], 'the layouts of the vault on AWS', () => {
  let place: AwsPlace;
  let secrets: SecretsManagerClient;

  beforeAll(async () => {
    vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    for (const method of ['log', 'info', 'warn', 'error'] as const)
      vi.spyOn(console, method).mockImplementation(() => {});
    place = await makeAwsPlace({
      zones: [{ name: zone }],
      domains: names.map((domain) => ({ domain, zone })),
      hosts: [{ name: 'mx1.example.jp', reached: 'push' }],
    });
    secrets = new SecretsManagerClient(motoClient(place.moto.url));
    await untilDone(1);
  }, 120_000);
  afterAll(async () => {
    await place?.close();
    vi.restoreAllMocks();
  }, 60_000);

  const untilDone = (rotations: number): Promise<void> =>
    place.until(async () => {
      for (const name of names) if (!isDone(await place.status(name), rotations)) return false;
      return true;
    });
  const secretNames = async (): Promise<readonly string[]> =>
    ((await secrets.send(new ListSecretsCommand({}))).SecretList ?? [])
      .flatMap(({ Name }) => Name ?? [])
      .toSorted();
  const signingOf = async (domain: string): Promise<string> =>
    (await place.status(domain))?.keys.find(({ state }) => state === 'active')?.selector ?? '';
  const expectSigned = async (domain: string): Promise<void> => {
    const { raw } = await sendThroughMilter(
      { host: '127.0.0.1', port: place.hosts[0]?.milter ?? 0 },
      {
        macros: { i: 'A' },
        from: `jo@${domain}`,
        to: ['rcpt@example.com'],
        raw: Buffer.from(
          `From: jo@${domain}\r\nTo: rcpt@example.com\r\nSubject: A\r\nDate: ${new Date().toUTCString()}\r\nMessage-ID: <${randomUUID()}@${domain}>\r\n\r\nHello.\r\n`,
        ),
      },
    );
    const known = Object.fromEntries(
      ((await place.txtLines()).get(zone) ?? []).map((line) => [
        line.slice(0, line.indexOf(' ')).replace(/\.$/, ''),
        [...line.matchAll(/"([^"]*)"/g)].map(([, text]) => text).join(''),
      ]),
    );
    expect(lines(await mailauth.verify(raw, known))).toEqual([`${await signingOf(domain)} ${domain} pass`]);
  };

  test('per-key: each key has a secret', async () => {
    const selectors = await Promise.all(names.map(signingOf));
    expect(await secretNames()).toEqual(names.map((name, n) => `selkie/${name}/${selectors[n]}`).toSorted());
    for (const name of names) await expectSigned(name);
  }, 60_000);

  test('sharded, with copies in another region: rotations of a zone, made together, share one secret', async () => {
    const before = await secretNames();
    await place.deploy(() => ({ vault: { layout: 'sharded', replicas: [elsewhere] } }));
    const order = JSON.stringify({ reason: 'to shared secrets' });
    expect((await place.functions.api('POST', `/v1/zones/${zone}/rotations`, order)).status).toBe(202);
    await untilDone(2);
    const made = (await secretNames()).filter((name) => !before.includes(name));
    expect(made).toEqual([expect.stringMatching(/^selkie\/shard\//)]);
    for (const name of names) await expectSigned(name);

    const [shard = ''] = made;
    const about = await secrets.send(new DescribeSecretCommand({ SecretId: shard }));
    expect(about.ReplicationStatus).toMatchObject([{ Region: elsewhere }]);
    const copy = await new SecretsManagerClient({ ...motoClient(place.moto.url), region: elsewhere }).send(
      new GetSecretValueCommand({ SecretId: shard }),
    );
    const own = await secrets.send(new GetSecretValueCommand({ SecretId: shard }));
    expect(Buffer.from(copy.SecretBinary ?? '')).toEqual(Buffer.from(own.SecretBinary ?? 'none'));
    // The keys of before are where they were: they drain.
    expect(await secretNames()).toEqual(expect.arrayContaining([...before]));
  }, 90_000);

  test('an audit finds nothing amiss in either layout', async () => {
    await place.functions.tick({ audit: true });
    const reportOf = async () => {
      const { body } = await place.functions.api('GET', '/v1/drift');
      const { audits } = body as {
        audits: readonly { subject: string; complete: boolean; compared: number; alarms: number }[];
      };
      return audits.find(({ subject }) => subject === 'secrets');
    };
    await place.until(async () => (await reportOf())?.complete === true);
    expect(await reportOf()).toMatchObject({ compared: 2 * names.length, alarms: 0 });
  }, 60_000);

  test('back to per-key: the next rotation makes secrets of their own again', async () => {
    const before = await secretNames();
    await place.deploy(() => ({ vault: { layout: 'per-key', replicas: [] } }));
    const [name = ''] = names;
    expect((await place.functions.api('POST', `/v1/domains/${name}/rotations`)).status).toBe(202);
    await place.until(async () => isDone(await place.status(name), 3));
    expect((await secretNames()).filter((one) => !before.includes(one))).toEqual([
      `selkie/${name}/${await signingOf(name)}`,
    ]);
    await expectSigned(name);
  }, 90_000);
});
