// The whole job as AWS runs it, on an imitation of AWS: the real functions with events in and out, the real agent as a process
// of its own, Debian's named serving what Route 53 holds. The test stands in for EventBridge, SQS's event source and API Gateway.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import {
  CreateHostedZoneCommand,
  ListResourceRecordSetsCommand,
  Route53Client,
} from '@aws-sdk/client-route-53';
import {
  GetSecretValueCommand,
  ListSecretsCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { LambdaEvent } from 'hono/aws-lambda';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createKmsSigner } from '../../adapters/aws/kms-signer.ts';
import { fleetEntry, loadIdentity } from '../../agent/identity.ts';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import { compileFleet } from '../../core/compiled-fleet.ts';
import { defaultPolicy, type Fleet } from '../../core/policy.ts';
import { seconds } from '../../core/time.ts';
import type { DomainStatus } from '../../engine/status.ts';
import * as dkimpy from '../oracles/dkimpy.ts';
import * as mailauth from '../oracles/mailauth.ts';
import { lines, type Records } from '../oracles/records.ts';
import { freePort } from '../tools/free-port.ts';
import { createTable } from '../tools/ledger-table.ts';
import { describeWith } from '../tools/machine.ts';
import { type Moto, motoClient, motoEnv, startMoto } from '../tools/moto.ts';
import { startNamed } from '../tools/named.ts';
import { makeFolder } from '../tools/temporary-folder.ts';

/** As API Gateway's IAM authorizer says it. */
const operator = 'arn:aws:iam::123456789012:user/ada';
const zoneName = 'dev.example.jp';
const domain = `mail.${zoneName}`;
const hostName = `mx1.${zoneName}`;
const agentProgram = join(import.meta.dirname, '../../agent/main.ts');
const patience = 100_000;

const make = async (moto: Moto) => {
  const folder = makeFolder();
  const [dnsPort, pushPort, milterPort] = [await freePort(), await freePort(), await freePort()];
  const config = motoClient(moto.url);
  const [kms, sqs, route53, secrets, dynamo] = [
    new KMSClient(config),
    new SQSClient(config),
    new Route53Client(config),
    new SecretsManagerClient(config),
    new DynamoDBClient(config),
  ];

  await createTable(dynamo, 'selkie');
  const { QueueUrl: queueUrl = '' } = await sqs.send(
    new CreateQueueCommand({ QueueName: 'selkie', Attributes: { VisibilityTimeout: '5' } }),
  );
  const secretKey = await kms.send(new CreateKeyCommand({}));
  const bundleKey = await kms.send(
    new CreateKeyCommand({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' }),
  );
  const bundleKeyId = bundleKey.KeyMetadata?.KeyId ?? '';
  const hosted = await route53.send(
    new CreateHostedZoneCommand({ Name: zoneName, CallerReference: randomUUID() }),
  );
  const zoneId = (hosted.HostedZone?.Id ?? '').replace('/hostedzone/', '');

  const keyFile = join(folder, 'bundle-key.json');
  writeFileSync(
    keyFile,
    JSON.stringify(await createKmsSigner({ client: kms, keyId: bundleKeyId }).publicKey()),
  );
  const dir = join(folder, 'agent');
  const enrolment = ['--dir', dir, '--name', hostName, '--bundle-key', keyFile];
  const endpoint = ['--endpoint-host', '127.0.0.1', '--push-port', String(pushPort)];
  await promisify(execFile)(process.execPath, [agentProgram, 'enrol', ...enrolment, ...endpoint]);
  const identity = await loadIdentity(dir);
  if (identity === undefined) throw new Error('enrol made no identity');

  const fleet: Fleet = {
    version: Date.now(),
    pools: ['main'],
    zones: new Map([[zoneName, { name: zoneName, id: zoneId, nameServers: [`127.0.0.1:${dnsPort}`] }]]),
    domains: new Map([
      [
        domain,
        {
          domain,
          zone: zoneName,
          pool: 'main',
          leaving: false,
          policy: {
            ...defaultPolicy,
            algorithms: ['rsa2048', 'ed25519'],
            ttl: seconds(60),
            // Both rotations fall on one calendar day, at whatever hour the test runs.
            timeZone: new Date().getUTCHours() < 23 ? 'UTC' : 'Asia/Tokyo',
          },
        },
      ],
    ]),
    hosts: new Map([
      [
        hostName,
        {
          name: hostName,
          pool: 'main',
          ...fleetEntry(identity, { endpointHost: '127.0.0.1', pushPort }),
        },
      ],
    ]),
  };
  const fleetFile = join(folder, 'fleet.json');
  writeFileSync(fleetFile, compileFleet(fleet));
  Object.assign(process.env, motoEnv(moto.url), {
    SELKIE_TABLE: 'selkie',
    SELKIE_QUEUE_URL: queueUrl,
    SELKIE_SECRET_PREFIX: 'selkie',
    SELKIE_SECRET_KEY: secretKey.KeyMetadata?.Arn ?? '',
    SELKIE_BUNDLE_KEY: bundleKeyId,
    SELKIE_DISCLOSED_BUCKET: 'disclosed',
    SELKIE_FLEET: fleetFile,
  });
  return { folder, dir, dnsPort, milterPort, sqs, route53, secrets, queueUrl, zoneId };
};

type Place = Awaited<ReturnType<typeof make>>;

const startAgent = async ({ dir, milterPort }: Place): Promise<{ child: ChildProcess; said(): string }> => {
  const child = spawn(
    process.execPath,
    [agentProgram, 'run', '--dir', dir, '--milter', `inet:${milterPort}@127.0.0.1`],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  for (const until = Date.now() + 30_000; !said.includes('bundles are taken'); await sleep(20))
    if (child.exitCode !== null || Date.now() > until) throw new Error(`the agent did not start:\n${said}`);
  return { child, said: () => said };
};

/** The TXT records of the hosted zone, as lines of a zone file. */
const txtLines = async ({ route53, zoneId }: Place): Promise<string[]> => {
  const { ResourceRecordSets: sets = [] } = await route53.send(
    new ListResourceRecordSetsCommand({ HostedZoneId: zoneId }),
  );
  return sets
    .filter(({ Type }) => Type === 'TXT')
    .flatMap(({ Name, TTL, ResourceRecords = [] }) =>
      ResourceRecords.map(({ Value }) => `${Name} ${TTL} IN TXT ${Value}`),
    );
};

const records = async (place: Place): Promise<Records> =>
  Object.fromEntries(
    (await txtLines(place)).map((line) => [
      line.slice(0, line.indexOf(' ')).replace(/\.$/, ''),
      [...line.matchAll(/"([^"]*)"/g)].map(([, text]) => text).join(''),
    ]),
  );

/** named with the hosted zone's records; started anew where they changed. */
const serve = (place: Place) => {
  let shown: string | undefined;
  let running: Awaited<ReturnType<typeof startNamed>> | undefined;
  return {
    refresh: async () => {
      const text = (await txtLines(place)).join('\n');
      if (text === shown) return;
      await running?.close();
      // No negative caching: SOA with TTL and minimum 0 (RFC 2308 §5).
      const head = `@ 0 IN SOA ns1.${zoneName}. hostmaster.${zoneName}. 1 3600 600 86400 0\n@ 60 IN NS ns1.${zoneName}.\nns1.${zoneName}. 60 IN A 127.0.0.1`;
      running = await startNamed({ port: place.dnsPort, zones: { [zoneName]: `${head}\n${text}\n` } });
      shown = text;
    },
    close: async () => running?.close(),
  };
};

const context = {} as Context;

const send = async ({ milterPort }: Place, id: string): Promise<Uint8Array> => {
  const text = `From: Jo <jo@${domain}>\r\nTo: rcpt@example.com\r\nSubject: ${id}\r\nDate: ${new Date().toUTCString()}\r\nMessage-ID: <${id}@${domain}>\r\n\r\nHello.\r\n`;
  const { verdict, raw } = await sendThroughMilter(
    { host: '127.0.0.1', port: milterPort },
    { macros: { i: id }, from: `jo@${domain}`, to: ['rcpt@example.com'], raw: Buffer.from(text) },
  );
  expect(verdict).toBe('accept');
  return raw;
};

const expectSigned = async (raw: Uint8Array, selectors: readonly string[], known: Records) => {
  const wanted = selectors.map((selector) => `${selector} ${domain} pass`).toSorted();
  expect(lines(await dkimpy.verify(raw, known)).toSorted()).toEqual(wanted);
  expect(lines(await mailauth.verify(raw, known)).toSorted()).toEqual(wanted);
};

describeWith(['moto_server', 'named', 'dkimpy'], 'a rotation on AWS', () => {
  const output: string[] = [];
  const closers: (() => unknown)[] = [];
  let place: Place;
  let zone: ReturnType<typeof serve>;
  let agent: Awaited<ReturnType<typeof startAgent>>;
  let functions: {
    tick(): Promise<void>;
    reconcile(event: SQSEvent): Promise<SQSBatchResponse>;
    api(method: string, path: string, headers?: Record<string, string>): Promise<Answer>;
  };
  interface Answer {
    readonly status: number;
    readonly body: unknown;
  }

  beforeAll(async () => {
    vi.spyOn(process.stdout, 'write').mockImplementation((said) => {
      output.push(String(said).trimEnd());
      return true;
    });
    for (const method of ['log', 'info', 'warn', 'error'] as const)
      vi.spyOn(console, method).mockImplementation((...said) => {
        output.push(said.map(String).join(' '));
      });
    const moto = await startMoto();
    closers.push(() => moto.stop());
    place = await make(moto);
    closers.push(() => rmSync(place.folder, { recursive: true, force: true }));
    zone = serve(place);
    closers.push(() => zone.close());
    await zone.refresh();
    agent = await startAgent(place);
    closers.push(async () => {
      if (agent.child.exitCode !== null || agent.child.signalCode !== null) return;
      agent.child.kill('SIGTERM');
      await once(agent.child, 'exit');
    });

    const { handler: tick } = await import('../../functions/tick/handler.ts');
    const { handler: reconcile } = await import('../../functions/reconcile/handler.ts');
    const { handler: api } = await import('../../functions/api/handler.ts');
    functions = {
      tick,
      reconcile,
      api: async (method, path, headers = {}) => {
        const event = {
          version: '2.0',
          routeKey: '$default',
          rawPath: path,
          rawQueryString: '',
          headers: { host: 'api.example.com', ...headers },
          body: null,
          isBase64Encoded: false,
          requestContext: {
            domainName: 'api.example.com',
            stage: '$default',
            requestId: randomUUID(),
            authorizer: { iam: { userArn: operator } },
            http: { method, path, protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'test' },
          },
        } as unknown as LambdaEvent;
        const { statusCode, body } = (await api(event, context as never)) as {
          statusCode: number;
          body: string;
        };
        return { status: statusCode, body: JSON.parse(body) };
      },
    };
  }, 120_000);

  afterAll(async () => {
    for (const close of closers.toReversed()) await close();
    vi.restoreAllMocks();
  });

  const takeFromQueue = async (): Promise<void> => {
    const { sqs, queueUrl: QueueUrl } = place;
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }),
    );
    if (Messages.length === 0) return void (await sleep(100));
    const event = {
      Records: Messages.map(({ MessageId: messageId, Body: body }) => ({ messageId, body })),
    } as SQSEvent;
    const { batchItemFailures } = await functions.reconcile(event);
    const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    for (const { MessageId = '', ReceiptHandle } of Messages)
      if (!failed.has(MessageId)) await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
  };

  const status = async (): Promise<DomainStatus | undefined> => {
    const { status: code, body } = await functions.api('GET', `/v1/domains/${domain}`);
    return code === 200 ? (body as DomainStatus) : undefined;
  };

  /** Runs the functions until the domain's rotation number `n` signs everywhere; returns its selectors. */
  const driveUntilDone = async (n: number): Promise<readonly string[]> => {
    for (const until = Date.now() + patience; ; ) {
      await functions.tick();
      await takeFromQueue();
      await zone.refresh();
      const now = await status();
      const rotation = now?.rotations.at(n - 1);
      if (rotation?.state === 'done') {
        const states = now?.keys.filter(({ selector }) => rotation.selectors.includes(selector));
        expect(states?.map(({ state }) => state)).toEqual(['active', 'active']);
        return rotation.selectors;
      }
      if (Date.now() > until)
        throw new Error(`not done: ${JSON.stringify(now)}\n${output.join('\n')}\n${agent.said()}`);
    }
  };

  test('installs the fleet, provisions, rotates on request, and every message verifies', async () => {
    const first = await driveUntilDone(1);
    expect(first).toEqual([expect.stringMatching(/^\d{6}$/), expect.stringMatching(/^\d{6}e$/)]);
    const before = await send(place, 'BEFORE');
    const published = await records(place);
    await expectSigned(before, first, published);

    const path = `/v1/domains/${domain}/rotations`;
    const key = { 'idempotency-key': randomUUID() };
    const asked = await functions.api('POST', path, key);
    expect(asked).toMatchObject({ status: 202, body: { domain, joined: false } });
    const again = await functions.api('POST', path, key);
    expect(again).toMatchObject({ status: 202, body: { joined: true } });
    const idOf = ({ body }: Answer) => (body as { rotation: { id: string } }).rotation.id;
    expect(idOf(again)).toBe(idOf(asked));

    const second = await driveUntilDone(2);
    expect(second).toEqual(first.map((selector) => `${selector}-2`));
    const present = await records(place);
    expect(present).toMatchObject(published);
    expect(Object.keys(present)).toHaveLength(4);
    await expectSigned(await send(place, 'AFTER'), second, present);
    // The old record stands for mail that is still under way.
    await expectSigned(before, first, present);
    expect((await status())?.rotations).toHaveLength(2);
    // AWS tells time in whole seconds, so a later session's may be earlier: manifests must be in order all the same.
    expect(output.join('\n')).not.toContain('newer manifest');
  }, 240_000);

  test('answers 404 for a domain that is not in the fleet', async () => {
    expect(await functions.api('GET', '/v1/domains/other.example.jp')).toMatchObject({
      status: 404,
      body: { code: 'not-found', detail: expect.stringContaining('other.example.jp') },
    });
    expect(await functions.api('POST', '/v1/domains/other.example.jp/rotations')).toMatchObject({
      status: 404,
    });
  });

  test('never prints a private key', async () => {
    const { SecretList = [] } = await place.secrets.send(new ListSecretsCommand({ MaxResults: 100 }));
    expect(SecretList).toHaveLength(4);
    const said = [...output, agent.said()].join('\n');
    expect(said).toContain('stored and read back');
    // As the stack's filters read them; metrics, in CloudWatch's embedded format, are of no level.
    const lines = output.map((line) => JSON.parse(line) as { level: string; _aws?: object });
    const levels = lines.filter(({ _aws }) => _aws === undefined).map(({ level }) => level);
    expect(levels.filter((level) => !['step', 'trouble', 'alarm'].includes(level))).toEqual([]);
    expect(said).not.toMatch(/PRIVATE KEY/);
    for (const { ARN } of SecretList) {
      const { SecretBinary, SecretString } = await place.secrets.send(
        new GetSecretValueCommand({ SecretId: ARN }),
      );
      const text =
        SecretBinary === undefined
          ? (SecretString ?? '').replace(/-----[^-]*-----|\s/g, '')
          : Buffer.from(SecretBinary).toString('base64');
      expect(text.length).toBeGreaterThan(40);
      // The end of it: the beginning of PKCS #8 is the same for every key of an algorithm.
      expect(said.includes(text.slice(-40))).toBe(false);
    }
  });
});
