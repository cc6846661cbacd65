// A deployment on an imitation of AWS, in true time: an account as the stack makes it, the handlers as Lambda starts them, the
// API over HTTP, mail hosts with agents that keep their trust on disk, and named with what Route 53 holds. It stands in for
// EventBridge, SQS's event source and API Gateway.
import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import {
  CreateHostedZoneCommand,
  ListResourceRecordSetsCommand,
  Route53Client,
} from '@aws-sdk/client-route-53';
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { LambdaEvent } from 'hono/aws-lambda';
import { vi } from 'vitest';
import { createKmsSigner } from '../../adapters/aws/kms-signer.ts';
import { type Agent, startAgent } from '../../agent/start.ts';
import { succeed, trust, trustedKeys } from '../../agent/trust.ts';
import { compileFleet } from '../../core/compiled-fleet.ts';
import { defaultPolicy, type Fleet, type FleetDomain, type FleetZone } from '../../core/policy.ts';
import { seconds } from '../../core/time.ts';
import type { DomainStatus } from '../../engine/status.ts';
import { freePort } from '../tools/free-port.ts';
import { createTable } from '../tools/ledger-table.ts';
import { motoClient, motoEnv, startMoto } from '../tools/moto.ts';
import { startNamed } from '../tools/named.ts';
import { makeFolder } from '../tools/temporary-folder.ts';

/** As the stack's queue: after this many receipts a message goes to the dead letters. */
const mostReceipts = 5;

export interface PlaceOptions {
  /** `account`: of twelve digits, where the zone is not in the deployment's own. */
  readonly zones: readonly (Omit<FleetZone, 'id' | 'nameServers'> & { readonly account?: string })[];
  readonly domains: readonly (Pick<FleetDomain, 'domain' | 'zone'> & Partial<FleetDomain>)[];
  readonly hosts: readonly { readonly name: string; readonly reached: 'push' | 'pull' }[];
  /** Where named answers; 127.0.0.1 and a free port. */
  readonly dns?: { readonly address: string; readonly port: number };
  /** Further variables of the functions. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Seconds until a unit that failed is received again; 5. */
  readonly visibility?: number;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface Handlers {
  /** With `{ audit: true }`: as the schedule of each day calls it. */
  tick(event?: unknown): Promise<void>;
  reconcile(event: SQSEvent): Promise<SQSBatchResponse>;
  api(method: string, path: string, body?: string, headers?: Record<string, string>): Promise<Answer>;
}

export interface Host {
  readonly name: string;
  readonly dir: string;
  readonly milter: number;
  readonly agent: Agent;
  readonly said: readonly string[];
}

export type AwsPlace = Awaited<ReturnType<typeof makeAwsPlace>>;

const pool = 'main';
/** As API Gateway's IAM authorizer names whoever signed the request. */
const operator = 'arn:aws:iam::123456789012:user/operator';

/** The credentials of a role, which moto gives to anybody: whoever has them is in that account. */
const credentialsIn = async (url: string, account: string) => {
  const { Credentials } = await new STSClient(motoClient(url)).send(
    new AssumeRoleCommand({ RoleArn: `arn:aws:iam::${account}:role/operator`, RoleSessionName: 'test' }),
  );
  return {
    accessKeyId: Credentials?.AccessKeyId ?? '',
    secretAccessKey: Credentials?.SecretAccessKey ?? '',
    sessionToken: Credentials?.SessionToken ?? '',
  };
};

export const route53In = async (url: string, account?: string): Promise<Route53Client> =>
  new Route53Client({
    ...motoClient(url),
    ...(account === undefined ? {} : { credentials: await credentialsIn(url, account) }),
  });

const context = {} as never;

/** An HTTP request as API Gateway hands it to the function (payload format 2.0). */
const apiEvent = (
  method: string,
  path: string,
  body: string,
  headers: Record<string, string>,
  operator?: string,
): LambdaEvent => {
  const url = new URL(path, 'https://api.example.com');
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: url.pathname,
    rawQueryString: url.search.slice(1),
    headers: { host: url.host, 'content-type': 'application/json', ...headers },
    body: body === '' ? null : body,
    isBase64Encoded: false,
    requestContext: {
      ...(operator === undefined ? {} : { authorizer: { iam: { userArn: operator } } }),
      domainName: url.host,
      stage: '$default',
      requestId: randomUUID(),
      http: { method, path: url.pathname, protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'test' },
    },
  } as unknown as LambdaEvent;
};

interface LambdaAnswer {
  readonly statusCode: number;
  readonly body?: string;
}

/** The functions as three cold starts: with the environment and the fleet as they are now. */
const coldStart = async () => {
  vi.resetModules();
  const { handler: tick } = await import('../../functions/tick/handler.ts');
  const { handler: reconcile } = await import('../../functions/reconcile/handler.ts');
  const { handler: api } = await import('../../functions/api/handler.ts');
  const call = async (event: LambdaEvent): Promise<LambdaAnswer> =>
    (await api(event, context)) as unknown as LambdaAnswer;
  const handlers: Handlers = {
    tick,
    reconcile,
    api: async (method, path, body = '', headers = {}) => {
      const answer = await call(apiEvent(method, path, body, headers, operator));
      const said = answer.body ?? '';
      return { status: answer.statusCode, body: /^[[{]/.test(said) ? JSON.parse(said) : said };
    },
  };
  return { handlers, call };
};

type Closers = (() => unknown)[];

export const makeAwsPlace = async (options: PlaceOptions) => {
  const closers: Closers = [];
  const close = async (): Promise<void> => {
    for (const one of closers.toReversed()) await one();
  };
  try {
    return await wirePlace(options, closers, close);
  } catch (error) {
    await close();
    throw error;
  }
};

const wirePlace = async (options: PlaceOptions, closers: Closers, close: () => Promise<void>) => {
  closers.push(() => {
    for (const name of Object.keys(process.env)) if (/^(SELKIE|AWS)_/.test(name)) delete process.env[name];
  });
  const folder = makeFolder();
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  const moto = await startMoto();
  closers.push(() => moto.stop());
  const config = motoClient(moto.url);
  const [kms, sqs, dynamo] = [new KMSClient(config), new SQSClient(config), new DynamoDBClient(config)];
  await createTable(dynamo, 'selkie');

  const queue = async (QueueName: string, Attributes: Record<string, string>) => {
    const { QueueUrl = '' } = await sqs.send(new CreateQueueCommand({ QueueName, Attributes }));
    const about = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }));
    return { url: QueueUrl, arn: about.Attributes?.QueueArn ?? '' };
  };
  const dead = await queue('dead', {});
  const units = await queue('units', {
    VisibilityTimeout: String(options.visibility ?? 5),
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: dead.arn, maxReceiveCount: mostReceipts }),
  });

  const bundleKey = async () => {
    const made = await kms.send(new CreateKeyCommand({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' }));
    const id = made.KeyMetadata?.KeyId ?? '';
    return { id, publicKey: await createKmsSigner({ client: kms, keyId: id }).publicKey() };
  };
  const firstKey = await bundleKey();
  const secretKey = await kms.send(new CreateKeyCommand({}));

  const dns = options.dns ?? { address: '127.0.0.1', port: await freePort() };
  const dnsPort = dns.port;
  const zones = new Map<string, FleetZone & { readonly client: Route53Client }>();
  for (const { account, ...zone } of options.zones) {
    const client = await route53In(moto.url, account);
    const { HostedZone } = await client.send(
      new CreateHostedZoneCommand({ Name: zone.name, CallerReference: randomUUID() }),
    );
    const id = (HostedZone?.Id ?? '').replace('/hostedzone/', '');
    zones.set(zone.name, { ...zone, id, nameServers: [`${dns.address}:${dns.port}`], client });
  }

  /** TXT lines of a zone file, of each zone. */
  const txtLines = async (): Promise<ReadonlyMap<string, readonly string[]>> => {
    const lines = new Map<string, readonly string[]>();
    for (const { name, id, client } of zones.values()) {
      const { ResourceRecordSets: sets = [] } = await client.send(
        new ListResourceRecordSetsCommand({ HostedZoneId: id }),
      );
      const texts = sets.filter(({ Type }) => Type === 'TXT');
      lines.set(
        name,
        texts.flatMap(({ Name, TTL, ResourceRecords = [] }) =>
          ResourceRecords.map(({ Value }) => `${Name} ${TTL} IN TXT ${Value}`),
        ),
      );
    }
    return lines;
  };
  /** What else zones hold, by their names: lines of a zone file. */
  const more = new Map<string, string>();
  let shown: string | undefined;
  let named: Awaited<ReturnType<typeof startNamed>> | undefined;
  closers.push(() => named?.close());
  /** named shows what Route 53 holds now. */
  const refresh = async (): Promise<void> => {
    // No negative caching: SOA with TTL and minimum 0 (RFC 2308 §5).
    const head = `@ 0 IN SOA ns1 hostmaster 1 3600 600 86400 0\n@ 60 IN NS ns1\nns1 60 IN A ${dns.address}\n`;
    const files = Object.fromEntries(
      [...(await txtLines())].map(([name, lines]) => [
        name,
        `${head}${lines.join('\n')}\n${more.get(name) ?? ''}\n`,
      ]),
    );
    if (JSON.stringify(files) === shown) return;
    await named?.close();
    named = await startNamed({ ...dns, zones: files });
    shown = JSON.stringify(files);
  };
  await refresh();

  let functions = await coldStart();
  let longestAnswer = 0;
  const gateway = createServer(async (request, response) => {
    const body = await textOf(request);
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
    );
    // What IAM's authorizer finds right is an operator's; that it is signed well, test/cli/aws.test.ts looks at.
    const by = headers.authorization?.startsWith('AWS4-HMAC-SHA256 ') ? operator : undefined;
    const answer = await functions
      .call(apiEvent(request.method ?? 'GET', request.url ?? '/', body, headers, by))
      .catch((error: unknown): LambdaAnswer => ({ statusCode: 500, body: String(error) }));
    longestAnswer = Math.max(longestAnswer, answer.body?.length ?? 0);
    response.writeHead(answer.statusCode).end(answer.body);
  });
  await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
  closers.push(
    () =>
      new Promise<void>((resolve) => {
        gateway.close(() => resolve());
        gateway.closeAllConnections();
      }),
  );
  const url = `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`;

  /** A host that enrols now trusts `key`; one that only starts again trusts what it did. */
  const startHost = async (
    name: string,
    reached: 'push' | 'pull',
    key: typeof firstKey | 'as it was' = firstKey,
  ): Promise<Host> => {
    const dir = join(folder, name);
    if (key !== 'as it was') await trust(dir, [key.publicKey]);
    const said: string[] = [];
    const agent = await startAgent({
      dir,
      name,
      endpointHost: '127.0.0.1',
      ...(reached === 'push' ? { pushPort: 0, pushAddress: '127.0.0.1' } : { controlPlane: url }),
      signer: { milter: { listen: { host: '127.0.0.1', port: 0 } } },
      trusted: () => trustedKeys(dir),
      succeed: (succession) => succeed(dir, succession),
      now: Date.now,
      log: (line) => void said.push(line),
      timer: {
        after: (_delay, run) => {
          const timer = setTimeout(run, 500);
          return () => clearTimeout(timer);
        },
      },
    });
    closers.push(() => agent.close());
    return { name, dir, agent, said, milter: agent.ports.milter ?? 0 };
  };
  const hosts: Host[] = [];
  for (const { name, reached } of options.hosts) hosts.push(await startHost(name, reached));

  const { rotateEvery: _onRequest, ...policy } = defaultPolicy;
  let fleet: Fleet = {
    version: Date.now(),
    pools: [pool],
    zones: new Map([...zones].map(([name, { client: _client, ...zone }]) => [name, zone])),
    domains: new Map(
      options.domains.map((entry) => [
        entry.domain,
        {
          pool,
          leaving: false,
          policy: { ...policy, algorithms: ['ed25519'], ttl: seconds(60) },
          ...entry,
        },
      ]),
    ),
    hosts: new Map(hosts.map(({ name, agent }) => [name, { ...agent.entry, pool }])),
  };
  const fleetFile = join(folder, 'fleet.json');
  Object.assign(process.env, motoEnv(moto.url), {
    SELKIE_TABLE: 'selkie',
    SELKIE_QUEUE_URL: units.url,
    SELKIE_SECRET_PREFIX: 'selkie',
    SELKIE_SECRET_KEY: secretKey.KeyMetadata?.Arn ?? '',
    SELKIE_BUNDLE_KEY: firstKey.id,
    SELKIE_DISCLOSED_BUCKET: 'disclosed',
    SELKIE_FLEET: fleetFile,
    ...options.environment,
  });
  /** What a deployment does: another fleet or other variables, and cold starts. */
  const deploy = async (
    change: (fleet: Fleet) => Partial<Fleet> = () => ({}),
    variables: Readonly<Record<string, string>> = {},
  ): Promise<void> => {
    fleet = { ...fleet, ...change(fleet), version: Math.max(Date.now(), fleet.version + 1) };
    writeFileSync(fleetFile, compileFleet(fleet));
    Object.assign(process.env, variables);
    functions = await coldStart();
  };
  await deploy();

  /** One batch of at most `size`, as Lambda's event source hands it over. Returns how many there were, and which failed. */
  const deliver = async (size = 10): Promise<{ received: number; failed: readonly string[] }> => {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: units.url, MaxNumberOfMessages: size }),
    );
    if (Messages.length === 0) return { received: 0, failed: [] };
    const event = {
      Records: Messages.map(({ MessageId: messageId, Body: body }) => ({ messageId, body })),
    } as SQSEvent;
    const { batchItemFailures } = await functions.handlers.reconcile(event);
    const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
    for (const { MessageId = '', ReceiptHandle } of Messages)
      if (!failed.has(MessageId))
        await sqs.send(new DeleteMessageCommand({ QueueUrl: units.url, ReceiptHandle }));
    return {
      received: Messages.length,
      failed: Messages.filter(({ MessageId = '' }) => failed.has(MessageId)).map(({ Body = '' }) => Body),
    };
  };

  const status = async (domain: string): Promise<DomainStatus | undefined> => {
    const { status: code, body } = await functions.handlers.api('GET', `/v1/domains/${domain}`);
    return code === 200 ? (body as DomainStatus) : undefined;
  };

  return {
    folder,
    moto,
    sqs,
    kms,
    dynamo,
    zones,
    hosts,
    /** What zones hold beside TXT, such as CNAMEs; for the next `refresh`. */
    more,
    url,
    startHost,
    /** Characters of the longest answer over HTTP. Lambda's own limit is 6 MB. */
    get longestAnswer() {
      return longestAnswer;
    },
    queueUrl: units.url,
    deadUrl: dead.url,
    firstKey,
    bundleKey,
    dnsPort,
    get fleet() {
      return fleet;
    },
    get functions() {
      return functions.handlers;
    },
    txtLines,
    refresh,
    deploy,
    deliver,
    status,
    /** Ticks, delivers and shows records until `holds`. @throws with all that the domains' statuses say, after `patience` ms */
    until: async (
      holds: () => boolean | Promise<boolean>,
      { patience = 60_000, size = 10 }: { patience?: number; size?: number } = {},
    ): Promise<void> => {
      for (const end = Date.now() + patience; !(await holds()); ) {
        await functions.handlers.tick();
        const { received } = await deliver(size);
        await refresh();
        if (received === 0) await sleep(100);
        if (Date.now() > end) {
          const all = await Promise.all([...fleet.domains.keys()].map(status));
          throw new Error(
            `it does not come: ${JSON.stringify(all)}\n${hosts.flatMap(({ said }) => said).join('\n')}`,
          );
        }
      }
    },
    close,
  };
};

/** Whether the domain's last rotation is done. */
export const isDone = (status: DomainStatus | undefined, rotations = 1): boolean =>
  status !== undefined && status.rotations.length >= rotations && status.rotations.at(-1)?.state === 'done';
