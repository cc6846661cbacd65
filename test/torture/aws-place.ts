// A whole deployment on an imitation of AWS, in one process but for moto: two zones with three domains, two name servers
// that follow Route 53 late, mail hosts (pushed to, or pulling), the API over HTTP, and workers that are wired as the
// functions are. Time is virtual: the account, the workers and the hosts (each with a skew of its own) follow one clock
// that a test moves forwards.
import { rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { KMSClient } from '@aws-sdk/client-kms';
import { Route53Client } from '@aws-sdk/client-route-53';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SQSClient } from '@aws-sdk/client-sqs';
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
import type { Random } from '../simulation/random.ts';
import { motoClient, startMoto } from '../tools/moto.ts';
import { makeFolder } from '../tools/temporary-folder.ts';
import { makeAccount } from './aws-account.ts';
import { type Audit, audit } from './aws-audit.ts';
import { createWatch, type Watch } from './aws-watch.ts';
import { createWorkers, type Worker } from './aws-workers.ts';
import { createHostileProxy, type HostileProxy } from './hostile-proxy.ts';
import { createStrictAccount, type Records, type StrictAccount, type Watcher } from './strict-account.ts';

export interface PlaceOptions {
  readonly random: Random;
  /** Negative TTL of the zones; how long after a change Route 53 says INSYNC, and each name server shows it. */
  readonly negativeTtl: Duration;
  readonly syncDelay: Duration;
  readonly lags: readonly Duration[];
  /** From true time, in milliseconds: of two workers, the API, and each host. */
  readonly skews: readonly number[];
  /** Milliseconds of true time between a host's pulls. */
  readonly pullEvery: number;
  /** Of mx1, mx2 …: whether it is pushed to, or pulls. */
  readonly hosts: readonly ('push' | 'pull')[];
  /** One line for each thing that happens, for the evidence. */
  readonly log: (line: string) => void;
}

export interface Place {
  readonly domains: ReadonlyMap<string, { readonly zone: string; readonly algorithms: readonly Algorithm[] }>;
  /** Host name → port of its milter. */
  readonly milters: ReadonlyMap<string, number>;
  readonly proxy: HostileProxy;
  readonly watch: Watch;
  /** Never harmed: for what AWS itself does with the queue. */
  readonly sqs: SQSClient;
  readonly queueUrl: string;
  /** URL of the HTTP API. */
  readonly api: string;
  now(): Instant;
  pass(length: Duration): void;
  /** What each name server shows now. */
  views(): readonly Records[];
  worker(n: number): Worker;
  /** How often a worker was wired, the API's included. */
  readonly births: number;
  hostile(on: boolean): void;
  audit(): Promise<Audit>;
  close(): Promise<void>;
}

const zones = ['example.jp', 'example.net'] as const;
const pool = 'main';
export const secretPrefix = 'selkie/torture';
const start = Date.UTC(2026, 0, 12, 9);
const { rotateEvery: _onRequestOnly, ...policy }: Policy = defaultPolicy;

const domains = new Map<string, { zone: string; algorithms: readonly Algorithm[] }>([
  ['mail.example.jp', { zone: 'example.jp', algorithms: ['rsa2048', 'ed25519'] }],
  ['shop.example.jp', { zone: 'example.jp', algorithms: ['ed25519'] }],
  ['example.net', { zone: 'example.net', algorithms: ['rsa2048'] }],
]);

type Closers = (() => unknown)[];

/** A name server that shows the zones as `shown` says, and is out of order while `isDown`. */
const startNameServer = (
  shown: (zone: string) => Records,
  negativeTtl: Duration,
  isDown: () => boolean,
): Promise<DnsServer> =>
  startDnsServer({
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

/** The API over HTTP, in whatever world its worker is at that moment. Returns its URL. */
const startApi = async (worker: Worker, said: (line: string) => void, closers: Closers): Promise<string> => {
  const apis = new WeakMap<World, ReturnType<typeof createApi>>();
  const server = serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request) =>
      worker
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
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

const fleetOf = (
  zoneIds: ReadonlyMap<string, string>,
  nameServers: readonly DnsServer[],
  agents: ReadonlyMap<string, Agent>,
): Fleet => ({
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
});

export const makePlace = async (options: PlaceOptions): Promise<Place> => {
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

const wirePlace = async (
  { random, negativeTtl, syncDelay, lags, skews, pullEvery, hosts, log }: PlaceOptions,
  closers: Closers,
  close: () => Promise<void>,
): Promise<Place> => {
  let offset = start - Date.now();
  const now = (): Instant => instant(Date.now() + offset);
  const folder = makeFolder();
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  const moto = await startMoto();
  closers.push(() => moto.stop());
  const facts = await makeAccount(moto.url, zones);

  const stores = new Map<string, string>();
  // The watcher sees the account's zones, and the account tells the watcher.
  let account: StrictAccount | undefined;
  const shown = (zone: string, lag: Duration): Records =>
    account?.zoneAt(zone, instant(now() - lag)) ?? new Map();
  const views = (): readonly Records[] =>
    lags.map((lag) => new Map(zones.flatMap((zone) => [...shown(zone, lag)])));
  const watch: Watch & Watcher = createWatch({
    now,
    policy,
    domains: [...domains.keys()],
    secretPrefix,
    stores,
    views,
    log,
  });
  account = createStrictAccount({
    upstream: moto.url,
    now,
    zones: new Map([...facts.zoneIds].map(([name, id]) => [id, name])),
    syncDelay,
    watch,
  });
  const said = (line: string): void => {
    log(line);
    watch.printed(line);
  };

  let storming = false;
  const isDown = (): boolean => storming && random.chance(0.02);
  const nameServers: DnsServer[] = [];
  for (const lag of lags) {
    const server = await startNameServer((zone) => shown(zone, lag), negativeTtl, isDown);
    closers.push(() => server.close());
    nameServers.push(server);
  }

  const proxy = createHostileProxy({ account, random, now, log });
  closers.push(() => proxy.close());
  const through = motoClient((await proxy.open(false)).url);
  const workers = createWorkers({
    proxy,
    queueUrl: facts.queueUrl,
    now,
    report: (happening) => said(JSON.stringify(happening)),
  });
  const api = await startApi(workers.make(skews[2] ?? 0), said, closers);

  const signer = createKmsSigner({ client: new KMSClient(through), keyId: facts.bundleKey });
  const trusted = [await signer.publicKey()];
  const milters = new Map<string, number>();
  const agents = new Map<string, Agent>();
  for (const [n, reached] of hosts.entries()) {
    const name = `mx${n + 1}.example.jp`;
    const dir = join(folder, name);
    const agent = await startAgent({
      dir,
      name,
      endpointHost: '127.0.0.1',
      ...(reached === 'push' ? { pushPort: 0, pushAddress: '127.0.0.1' } : { controlPlane: api }),
      signer: { milter: { listen: { host: '127.0.0.1', port: 0 } } },
      trusted: () => trusted,
      now: () => now() + (skews[3 + n] ?? 0),
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

  const fleetFile = join(folder, 'fleet.json');
  writeFileSync(fleetFile, compileFleet(fleetOf(facts.zoneIds, nameServers, agents)));
  Object.assign(process.env, {
    SELKIE_TABLE: facts.table,
    SELKIE_SECRET_PREFIX: secretPrefix,
    SELKIE_SECRET_KEY: facts.secretKey,
    SELKIE_BUNDLE_KEY: facts.bundleKey,
    SELKIE_DISCLOSED_BUCKET: 'disclosed',
    SELKIE_FLEET: fleetFile,
  });

  const [first, second] = [workers.make(skews[0] ?? 0), workers.make(skews[1] ?? 0)];
  const reading = {
    table: facts.table,
    zoneIds: [...facts.zoneIds.values()],
    dynamo: new DynamoDBClient(through),
    secretsManager: new SecretsManagerClient(through),
    route53: new Route53Client(through),
  };
  return {
    domains,
    milters,
    proxy,
    watch,
    sqs: new SQSClient(through),
    queueUrl: facts.queueUrl,
    api,
    now,
    pass: (length) => {
      offset += Math.round(length); // clocks tell whole milliseconds
    },
    views,
    worker: (n) => (n % 2 === 0 ? first : second),
    get births() {
      return workers.births;
    },
    hostile: (on) => {
      storming = on;
      workers.hostile(on);
    },
    audit: () => audit(reading),
    close: async () => {
      // What dead workers had begun ends by itself.
      await sleep(200);
      await close();
    },
  };
};
