// A whole deployment on an imitation of AWS, in one process but for moto: two zones with three domains, two name servers
// that follow Route 53 late, two mail hosts (one is pushed to, one pulls), the API over HTTP, and workers that are wired as the
// functions are. Time is virtual: the account, the workers and the hosts (each with a skew of its own) follow one clock
// that a test moves forwards.
import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { CreateHostedZoneCommand, Route53Client } from '@aws-sdk/client-route-53';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs';
import { serve } from '@hono/node-server';
import { createKmsSigner } from '../../adapters/aws/kms-signer.ts';
import { type DnsServer, startDnsServer } from '../../adapters/dns/server.ts';
import { createApi } from '../../adapters/http/api.ts';
import { type Agent, startAgent } from '../../agent/start.ts';
import type { Algorithm } from '../../core/algorithm.ts';
import { compileFleet } from '../../core/compiled-fleet.ts';
import { parseValue } from '../../core/dkim/txt.ts';
import { defaultPolicy, type Fleet, type Policy } from '../../core/policy.ts';
import { type Duration, type Instant, instant, seconds } from '../../core/time.ts';
import type { World } from '../../engine/world.ts';
import { wire } from '../../functions/wire.ts';
import type { Random } from '../simulation/random.ts';
import { createTable } from '../tools/ledger-table.ts';
import { motoClient, motoEnv, startMoto } from '../tools/moto.ts';
import { makeFolder } from '../tools/temporary-folder.ts';
import { type Audit, audit } from './aws-audit.ts';
import { createWatch, type Watch } from './aws-watch.ts';
import { createHostileProxy, type Gate, type HostileProxy } from './hostile-proxy.ts';
import { createStrictAccount, type Records, type StrictAccount, type Watcher } from './strict-account.ts';

export interface PlaceOptions {
  readonly random: Random;
  /** Negative TTL of the zones; how long after a change Route 53 says INSYNC, and each name server shows it. */
  readonly negativeTtl: Duration;
  readonly syncDelay: Duration;
  readonly lags: readonly Duration[];
  /** The workers' and the hosts' skews from true time, in milliseconds. */
  readonly skews: readonly number[];
  /** Milliseconds of true time between a host's pulls. */
  readonly pullEvery: number;
  /** Of mx1, mx2 …: whether it is pushed to, or pulls. */
  readonly hosts: readonly ('push' | 'pull')[];
  /** One line for each thing that happens, for the evidence. */
  readonly log: (line: string) => void;
}

/** Does work in a world; a world whose worker has died is made anew, as at a cold start. */
export interface Worker {
  /** @throws whatever the work throws; or "the worker died" */
  use<T>(work: (world: World) => Promise<T>): Promise<T>;
}

export interface Place {
  readonly policy: Policy;
  /** Domain → zone, algorithms. */
  readonly domains: ReadonlyMap<string, { readonly zone: string; readonly algorithms: readonly Algorithm[] }>;
  /** Host name → port of its milter. */
  readonly milters: ReadonlyMap<string, number>;
  readonly proxy: HostileProxy;
  readonly account: StrictAccount;
  readonly watch: Watch;
  readonly sqs: SQSClient;
  readonly queueUrl: string;
  /** URL of the HTTP API. */
  readonly api: string;
  now(): Instant;
  pass(length: Duration): void;
  /** What each name server shows now. */
  views(): readonly Records[];
  worker(n: number): Worker;
  /** How often workers died and were made anew. */
  readonly births: number;
  hostile(on: boolean): void;
  audit(): Promise<Audit>;
  close(): Promise<void>;
}

const zones = ['example.jp', 'example.net'] as const;
export const secretPrefix = 'selkie/torture';
const start = Date.UTC(2026, 0, 12, 9);
const { rotateEvery: _onRequestOnly, ...onRequest } = defaultPolicy;

const domains = new Map<string, { zone: string; algorithms: readonly Algorithm[] }>([
  ['mail.example.jp', { zone: 'example.jp', algorithms: ['rsa2048', 'ed25519'] }],
  ['shop.example.jp', { zone: 'example.jp', algorithms: ['ed25519'] }],
  ['example.net', { zone: 'example.net', algorithms: ['rsa2048'] }],
]);

/** A name server that shows the zones as they were `lag` ago, and now and then is out of order. */
const startNameServer = (
  account: () => StrictAccount,
  now: () => Instant,
  lag: Duration,
  negativeTtl: Duration,
  isDown: () => boolean,
): Promise<DnsServer> => {
  const shown = (zone: string) => account().zoneAt(zone, instant(now() - lag));
  return startDnsServer({
    host: '127.0.0.1',
    port: 0,
    soaTtl: negativeTtl,
    soaMinimum: negativeTtl,
    zones: {
      zones: () => (isDown() ? [] : zones),
      find: (zone, name) => {
        const set = shown(zone).get(name);
        return set === undefined
          ? undefined
          : { ttl: seconds(set.ttl ?? 0), values: set.values.map((value) => parseValue(value, 'route53')) };
      },
      hasBelow: (zone, name) => [...shown(zone).keys()].some((held) => held.endsWith(`.${name}`)),
    },
  });
};

/** The clients' endpoint is read from the environment at their first request: each service is asked once, in turn. */
const warm = async (world: World, zone: string): Promise<void> => {
  const fleetZone = world.fleet.zones.get(zone);
  if (fleetZone === undefined) throw new Error(`no zone ${zone}`);
  await world.ledger.head();
  await world.vault.destroy(`${secretPrefix}/nobody.example/none#${'0'.repeat(32)}`);
  await world.seals.bundleKeys();
  await world.writer.status(fleetZone, 'C0');
  await world.queue.send([{ kind: 'fleet' }]);
};

const atOnce = (): Watcher => ({ answered: () => {}, changing: () => {} });

export const makePlace = async (options: PlaceOptions): Promise<Place> => {
  const { random, log } = options;
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const one of closers.toReversed()) await one();
  };
  try {
    return await wirePlace(options, random, log, closers, close);
  } catch (error) {
    await close();
    throw error;
  }
};

const wirePlace = async (
  { negativeTtl, syncDelay, lags, skews, pullEvery, hosts }: PlaceOptions,
  random: Random,
  log: (line: string) => void,
  closers: (() => unknown)[],
  close: () => Promise<void>,
): Promise<Place> => {
  let offset = start - Date.now();
  const now = (): Instant => instant(Date.now() + offset);
  const folder = makeFolder();
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  const moto = await startMoto();
  closers.push(() => moto.stop());

  const direct = motoClient(moto.url);
  const [kms, sqsAtMoto, route53, dynamo] = [
    new KMSClient(direct),
    new SQSClient(direct),
    new Route53Client(direct),
    new DynamoDBClient(direct),
  ];
  const table = 'selkie';
  await createTable(dynamo, table);
  const { QueueUrl: queueUrl = '' } = await sqsAtMoto.send(
    new CreateQueueCommand({ QueueName: 'selkie', Attributes: { VisibilityTimeout: '3' } }),
  );
  const secretKey = await kms.send(new CreateKeyCommand({}));
  const bundleKey = await kms.send(
    new CreateKeyCommand({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' }),
  );
  const bundleKeyId = bundleKey.KeyMetadata?.KeyId ?? '';
  const zoneIds = new Map<string, string>();
  for (const zone of zones) {
    const { HostedZone } = await route53.send(
      new CreateHostedZoneCommand({ Name: zone, CallerReference: randomUUID() }),
    );
    zoneIds.set(zone, (HostedZone?.Id ?? '').replace('/hostedzone/', ''));
  }

  const policy: Policy = { ...onRequest, ttl: seconds(3_600) };
  const stores = new Map<string, string>();
  let watch: Watcher & Partial<Watch> = atOnce();
  const account = createStrictAccount({
    upstream: moto.url,
    now,
    zones: new Map([...zoneIds].map(([name, id]) => [id, name])),
    syncDelay,
    watch: {
      answered: (asked, answer) => watch.answered(asked, answer),
      changing: (...all) => watch.changing(...all),
    },
  });
  const merged = (lag: Duration): Records =>
    new Map(zones.flatMap((zone) => [...account.zoneAt(zone, instant(now() - lag))]));
  const views = (): readonly Records[] => lags.map(merged);
  const watching = createWatch({
    now,
    policy,
    domains: [...domains.keys()],
    secretPrefix,
    stores,
    views,
    log,
  });
  watch = watching;
  const said = (line: string): void => {
    log(line);
    watching.printed(line);
  };

  let storming = false;
  const nameServers = await Promise.all(
    lags.map((lag) =>
      startNameServer(
        () => account,
        now,
        lag,
        negativeTtl,
        () => storming && random.chance(0.02),
      ),
    ),
  );
  for (const server of nameServers) closers.push(() => server.close());

  const proxy = createHostileProxy({ account, random, now, log });
  closers.push(() => proxy.close());
  const calm = await proxy.open(false);
  const through = motoClient(calm.url);
  const [sqs, secretsManager, dynamoThrough, route53Through] = [
    new SQSClient(through),
    new SecretsManagerClient(through),
    new DynamoDBClient(through),
    new Route53Client(through),
  ];

  let births = 0;
  let hostile = false;
  const gates = new Set<Gate>();
  let birth: Promise<unknown> = Promise.resolve();
  const bear = async (skew: number): Promise<{ readonly world: World; readonly gate: Gate }> => {
    const gate = await proxy.open(true);
    Object.assign(process.env, motoEnv(gate.url), {
      // Where no endpoint is given in code, the SDK sends to the queue's own URL.
      SELKIE_QUEUE_URL: `${gate.url}${new URL(queueUrl).pathname}`,
    });
    const world: World = {
      ...wire(process.env),
      clock: { now: () => instant(now() + skew) },
      reporter: { report: (happening) => said(JSON.stringify(happening)) },
    };
    await warm(world, zones[0]);
    gate.hostile = hostile;
    gates.add(gate);
    births += 1;
    return { world, gate };
  };
  const makeWorker = (skew: number): Worker => {
    let life: { readonly world: World; readonly gate: Gate } | undefined;
    return {
      use: async (work) => {
        if (life === undefined || life.gate.dead) {
          if (life !== undefined) {
            gates.delete(life.gate);
            life.gate.close();
          }
          const born = birth.then(() => bear(skew));
          birth = born.catch(() => {});
          life = await born;
        }
        const { world, gate } = life;
        const working = work(world);
        // What a dead worker had begun goes on failing by itself: nobody listens.
        working.catch(() => {});
        const dying = gate.died.then((): never => {
          throw new Error('the worker died');
        });
        dying.catch(() => {});
        return Promise.race([working, dying]);
      },
    };
  };

  const apiWorker = makeWorker(skews[2] ?? 0);
  const apis = new WeakMap<World, ReturnType<typeof createApi>>();
  const server = serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request) =>
      apiWorker
        .use(async (world) => {
          const api = apis.get(world) ?? createApi(world, said);
          apis.set(world, api);
          return await api.fetch(request);
        })
        .catch(() => new Response('the worker died', { status: 502 })),
  });
  closers.push(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) server.closeAllConnections();
      }),
  );
  if (server.address() === null) await new Promise((resolve) => server.once('listening', resolve));
  const api = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const trusted = [await createKmsSigner({ client: new KMSClient(through), keyId: bundleKeyId }).publicKey()];
  const milters = new Map<string, number>();
  const agents = new Map<string, Agent>();
  for (const [n, reached] of hosts.entries()) {
    const name = `mx${n + 1}.example.jp`;
    const dir = join(folder, name);
    const skew = skews[3 + n] ?? 0;
    const agent = await startAgent({
      dir,
      name,
      endpointHost: '127.0.0.1',
      ...(reached === 'push' ? { pushPort: 0, pushAddress: '127.0.0.1' } : { controlPlane: api }),
      milter: { host: '127.0.0.1', port: 0 },
      trusted: () => trusted,
      now: () => now() + skew,
      log: (line) => said(`${name}: ${line}`),
      timer: {
        after: (_delay, run) => {
          const timer = setTimeout(run, pullEvery);
          return () => clearTimeout(timer);
        },
      },
    });
    closers.push(() => agent.close());
    agents.set(name, agent);
    stores.set(name, join(dir, 'store', 'index.json'));
    milters.set(name, agent.ports.milter ?? 0);
  }

  const pool = 'main';
  const fleet: Fleet = {
    version: start,
    pools: [pool],
    zones: new Map(
      zones.map((name) => [
        name,
        {
          name,
          id: zoneIds.get(name) ?? '',
          nameServers: nameServers.map(({ port }) => `127.0.0.1:${port}`),
        },
      ]),
    ),
    domains: new Map(
      [...domains].map(([domain, { zone, algorithms }]) => [
        domain,
        { domain, zone, pool, leaving: false, policy: { ...policy, algorithms } },
      ]),
    ),
    hosts: new Map([...agents].map(([name, { entry }]) => [name, { ...entry, pool }])),
  };
  const fleetFile = join(folder, 'fleet.json');
  writeFileSync(fleetFile, compileFleet(fleet));
  Object.assign(process.env, {
    SELKIE_TABLE: table,
    SELKIE_SECRET_PREFIX: secretPrefix,
    SELKIE_SECRET_KEY: secretKey.KeyMetadata?.Arn ?? '',
    SELKIE_BUNDLE_KEY: bundleKeyId,
    SELKIE_FLEET: fleetFile,
  });

  const workers = [makeWorker(skews[0] ?? 0), makeWorker(skews[1] ?? 0)] as const;
  return {
    policy,
    domains,
    milters,
    proxy,
    account,
    watch: watching,
    sqs,
    queueUrl,
    api,
    now,
    pass: (length) => {
      offset += Math.round(length); // clocks tell whole milliseconds
    },
    views,
    worker: (n) => workers[n % 2] ?? workers[0],
    get births() {
      return births;
    },
    hostile: (on) => {
      hostile = on;
      storming = on;
      for (const gate of gates) gate.hostile = on;
    },
    audit: () =>
      audit({
        table,
        zoneIds: [...zoneIds.values()],
        dynamo: dynamoThrough,
        secretsManager,
        route53: route53Through,
      }),
    close: async () => {
      await sleep(200);
      await close();
    },
  };
};
