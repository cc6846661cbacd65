// The local control plane, put together: the engine on local adapters, an embedded name server, one agent. The wiring
// file of this floor; everything lives under one folder.

import { randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { createDnsObserver } from '../adapters/dns/observer.ts';
import { createResolver } from '../adapters/dns/resolver.ts';
import { startDnsServer } from '../adapters/dns/server.ts';
import { createHandWriter } from '../adapters/hand/writer.ts';
import { createApi } from '../adapters/http/api.ts';
import { openBundleSigner } from '../adapters/local/bundle-signer.ts';
import { openDisclosedFolder } from '../adapters/local/disclosed-folder.ts';
import { everHeldKeys, openFileVault } from '../adapters/local/file-vault.ts';
import { openHandChanges } from '../adapters/local/hand-changes.ts';
import { openSqliteLedger } from '../adapters/local/ledger.ts';
import { createLocalQueue } from '../adapters/local/queue.ts';
import { openZoneStore } from '../adapters/local/zone-store.ts';
import { createNodeKeys } from '../adapters/node-keys.ts';
import { createHttpsTransport } from '../adapters/push/https-transport.ts';
import { systemClock, systemRandomness } from '../adapters/system.ts';
import { createZoneWriters } from '../adapters/zone-writers.ts';
import { type Agent, startAgent } from '../agent/start.ts';
import { createSeals } from '../contract/seals.ts';
import { describe, SelkieError } from '../core/errors.ts';
import { refusalText } from '../core/fleet-change.ts';
import type { Fleet } from '../core/policy.ts';
import { days, seconds } from '../core/time.ts';
import { orderAudit } from '../engine/drift.ts';
import { examineFleet } from '../engine/fleet-guard.ts';
import type { Happening, Ledger } from '../engine/ports.ts';
import { tick, workOn } from '../engine/tick.ts';
import type { World } from '../engine/world.ts';
import { consoleFiles } from './console/build.ts';
import { createConsole } from './console/serve.ts';

/** The name of the one host, and of its pool, whatever pools the fleet file names. */
const hostName = 'this-machine';
const loopback = '127.0.0.1';
/** How often due work is looked for: a look costs one query of a local file. */
const sweepEvery = seconds(1);
const auditEvery = days(1);

export interface LocalOptions {
  readonly dir: string;
  readonly fleet: Fleet;
  /** 0: a free one. */
  readonly ports: {
    readonly dns: number;
    readonly api: number;
    readonly push: number;
    readonly milter: number;
  };
  readonly report: (happening: Happening) => void;
  readonly log: (line: string) => void;
}

export interface LocalWorld {
  readonly world: World;
  readonly ports: LocalOptions['ports'];
  /** An address that opens the console in a browser, once. */
  consoleLink(): string;
  /** Does what is due at once, instead of at the next sweep. */
  sweep(): Promise<void>;
  close(): Promise<void>;
}

/** Where a command finds the running API of a folder. */
export interface ApiAddress {
  readonly url: string;
  readonly token: string;
  /** `address:port` of the name server and of the milter; absent in a folder of an older version. */
  readonly dns?: string;
  readonly milter?: string;
}

const vaultFolder = (dir: string): string => join(dir, 'vault');
const addressFile = (dir: string): string => join(dir, 'api.json');

/** @throws not-found */
export const readApiAddress = (dir: string): ApiAddress => {
  try {
    return JSON.parse(readFileSync(addressFile(dir), 'utf8')) as ApiAddress;
  } catch {
    throw new SelkieError(
      'not-found',
      `nothing has been started in ${dir}: run npm start, or name its folder with --dir`,
    );
  }
};

/** As `readApiAddress`; undefined where there is none that can be read. */
const knownAddress = (dir: string): ApiAddress | undefined => {
  try {
    return readApiAddress(dir);
  } catch {
    return undefined;
  }
};

const writeApiAddress = (dir: string, address: ApiAddress): void => {
  const file = addressFile(dir);
  const text = `${JSON.stringify(address)}\n`;
  const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
  // The same as before, as a rule: then a disk without room does not keep the agent from its work.
  if (before === text) return;
  try {
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  } catch (error) {
    // Nor where only the milter's or the name server's port is another: the API is still found.
    const known = knownAddress(dir);
    if (known?.url !== address.url || known.token !== address.token) throw error;
  }
};

const tokenOf = (dir: string): string => knownAddress(dir)?.token ?? randomBytes(32).toString('base64url');

/** No role is taken on here: the zones are this machine's own. */
const localZones = (fleet: Fleet): Fleet['zones'] =>
  new Map([...fleet.zones].map(([name, { role: _role, ...zone }]) => [name, zone]));

export const servedHere = (fleet: Fleet): readonly string[] =>
  [...fleet.zones.values()].filter(({ provider }) => provider !== 'manual').map(({ name }) => name);

/** The fleet's zones, and who serves them. */
export const zonesHere = (fleet: Fleet, dnsPort: number): Fleet['zones'] =>
  new Map(
    [...localZones(fleet)].map(([name, zone]) => [
      name,
      // What people change is out in the world, and only there.
      zone.provider === 'manual' ? zone : { ...zone, nameServers: [`${loopback}:${dnsPort}`] },
    ]),
  );

/** Where the agent looks for key records: all names are this machine's, unless people change some of the zones. */
const whereRecordsAre = (fleet: Fleet, dnsPort: number): Readonly<Record<string, readonly string[]>> => {
  const here = [`${loopback}:${dnsPort}`];
  const served = servedHere(fleet);
  if (served.length === fleet.zones.size) return { '.': here };
  return Object.fromEntries([
    ...served.map((name) => [name, here] as const),
    ...[...fleet.zones.values()].flatMap(({ name, provider, nameServers }) =>
      provider === 'manual' && nameServers !== undefined ? [[name, nameServers] as const] : [],
    ),
  ]);
};

/**
 * The fleet as this machine serves it: its own name server for every zone that no person changes, its own host for every domain.
 * @param installed the version in the ledger. Each start brings a newer one (ports may be others), also where the clock
 *   went back since the last.
 */
const localFleet = (fleet: Fleet, dnsPort: number, agent: Agent, installed: number): Fleet => ({
  version: Math.max(fleet.version, Date.now(), installed + 1),
  pools: ['local'],
  zones: zonesHere(fleet, dnsPort),
  domains: new Map([...fleet.domains].map(([name, domain]) => [name, { ...domain, pool: 'local' }])),
  hosts: new Map([[hostName, { ...agent.entry, pool: 'local' }]]),
  ...(fleet.force === undefined ? {} : { force: fleet.force }),
});

/**
 * A refused fleet would be installed never, and nothing would be done; said before anything starts.
 * @throws unsafe
 */
const requireFleet = async (ledger: Ledger, fleet: Fleet): Promise<void> => {
  if (fleet.force !== undefined) return;
  const reasons = await examineFleet(ledger, { ...fleet, zones: localZones(fleet) });
  if (reasons.length > 0) throw new SelkieError('unsafe', refusalText(reasons));
};

/**
 * One that came back from a backup has forgotten what was done since: the keys that hosts sign with by now, and the names that
 * were used.
 * @throws unsafe
 */
const requireInUse = async (ledger: Ledger, dir: string): Promise<void> => {
  const { restored } = await ledger.head();
  if (restored !== undefined)
    throw new SelkieError(
      'unsafe',
      `${restored.says}. Bring it up to what the zones and the vault show, first to see, then to do it: selkie restore --dir ${dir} (docs/operations.md, Recovery drills)`,
    );
};

const isEmpty = (file: string): boolean => (statSync(file, { throwIfNoEntry: false })?.size ?? 0) === 0;

/**
 * A file that is gone or empty is begun anew by whoever opens it. Beside the keys of an earlier life that would lose them
 * without a word: what the hosts hold would be taken from them, and published records would stand for ever.
 * @throws unsafe
 */
const requireFiles = async (dir: string, ...files: readonly string[]): Promise<void> => {
  if (!(await everHeldKeys(vaultFolder(dir)))) return;
  for (const file of files)
    if (isEmpty(file))
      throw new SelkieError(
        'unsafe',
        `${file} is gone or empty, but ${vaultFolder(dir)} has the keys that it knew: restore it from a backup (docs/operations.md, Recovery drills), or move ${dir} away to begin anew with other keys`,
      );
};

const isToken = (given: string, token: string): boolean => {
  const [a, b] = [Buffer.from(given), Buffer.from(token)];
  return a.length === b.length && timingSafeEqual(a, b);
};

const startApi = async (
  world: World,
  dir: string,
  port: number,
  places: Pick<ApiAddress, 'dns' | 'milter'>,
  log: (line: string) => void,
) => {
  const token = tokenOf(dir);
  const app = createApi(world, log);
  let origin = '';
  const console = createConsole({
    origin: () => origin,
    api: app.fetch,
    files: consoleFiles,
    place: 'this machine',
    lookEvery: 1_000,
  });
  const answer = (request: Request): Response | Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (request.method === 'POST' && pathname === '/console/links')
      return Response.json(
        { url: console.link() },
        { status: 201, headers: { 'cache-control': 'no-store' } },
      );
    return app.fetch(request);
  };
  const fetch = (request: Request): Response | Promise<Response> => {
    const given = request.headers.get('authorization')?.replace(/^Bearer /, '') ?? '';
    if (isToken(given, token)) return answer(request);
    const page = console.answer(request);
    if (page !== undefined) return page;
    return Response.json(
      {
        type: 'about:blank',
        title: 'Unauthorized',
        status: 401,
        detail: `send "Authorization: Bearer TOKEN"; the token is in ${addressFile(dir)}`,
      },
      { status: 401, headers: { 'content-type': 'application/problem+json', 'www-authenticate': 'Bearer' } },
    );
  };
  return new Promise<{ port: number; link(): string; close(): Promise<void> }>((resolve, reject) => {
    const server = serve({ fetch, port, hostname: loopback }, ({ port: bound }) => {
      origin = `http://${loopback}:${bound}`;
      try {
        writeApiAddress(dir, { url: origin, token, ...places });
      } catch (cause) {
        server.close();
        return reject(
          new SelkieError('unavailable', `${addressFile(dir)} cannot be written: ${describe(cause)}`, {
            cause,
          }),
        );
      }
      resolve({
        port: bound,
        link: console.link,
        close: () => new Promise((closed) => void server.close(() => closed())),
      });
    });
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new SelkieError('invalid', `${loopback}:${port} is in use`, { field: 'apiPort', cause: error })
          : error,
      ),
    );
  });
};

/**
 * @throws SelkieError invalid, with field dnsPort, apiPort, pushPort or milterPort, where a port is in use, and without where
 *   a file of the folder is damaged; unsafe where one is gone, or the fleet is refused. Nothing is left running.
 */
export const startLocalWorld = async (options: LocalOptions): Promise<LocalWorld> => {
  const { dir, fleet, ports, report, log } = options;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).toReversed()) await closer();
  };
  try {
    const [zoneFile, ledgerFile] = [join(dir, 'zones.sqlite'), join(dir, 'ledger.sqlite')];
    await requireFiles(dir, zoneFile, ledgerFile);
    const ledger = openSqliteLedger(ledgerFile, Date.now);
    closers.push(() => ledger.close());
    await requireInUse(ledger, dir);
    await requireFleet(ledger, fleet);
    const zones = openZoneStore(zoneFile, servedHere(fleet));
    closers.push(() => zones.close());
    const asked = openHandChanges(join(dir, 'by-hand.sqlite'));
    closers.push(() => asked.close());
    const dns = await startDnsServer({ host: loopback, port: ports.dns, zones });
    closers.push(() => dns.close());
    const signer = openBundleSigner(join(dir, 'bundle-key'));
    const bundleKey = await signer.publicKey();
    const agent = await startAgent({
      dir: join(dir, 'agent'),
      name: hostName,
      endpointHost: loopback,
      pushAddress: loopback,
      pushPort: ports.push,
      signer: { milter: { listen: { host: loopback, port: ports.milter } } },
      trusted: () => [bundleKey],
      records: { nameServers: whereRecordsAre(fleet, dns.port) },
      now: Date.now,
      log,
    });
    closers.push(() => agent.close());
    const queue = createLocalQueue({ retryAfter: seconds(2) });
    const installed = (await ledger.head()).fleetVersion;
    const served = localFleet(fleet, dns.port, agent, installed);
    const observer = createDnsObserver();
    const world: World = {
      clock: systemClock,
      randomness: systemRandomness,
      keys: createNodeKeys(),
      vault: openFileVault(vaultFolder(dir)),
      writer: createZoneWriters(
        zones,
        createHandWriter({ observer, changes: asked, clock: systemClock, randomness: systemRandomness }),
      ),
      observer,
      resolver: createResolver({ zones: served.zones }),
      disclosure: openDisclosedFolder(join(dir, 'disclosed')),
      seals: createSeals(signer),
      transport: createHttpsTransport({ timeoutMs: 10_000 }),
      queue,
      ledger,
      reporter: { report },
      // One worker: after a kill it takes its own leases again instead of waiting for their end.
      worker: hostName,
      fleet: served,
    };
    const places = {
      dns: `${loopback}:${dns.port}`,
      milter: `${loopback}:${agent.ports.milter ?? ports.milter}`,
    };
    const api = await startApi(world, dir, ports.api, places, log);
    closers.push(() => api.close());
    await queue.send([{ kind: 'host', host: hostName }]);
    const sweep = () => tick(world);
    const trySweep = () => sweep().catch((error: unknown) => log(`sweep: ${describe(error)}`));
    const sweeping = setInterval(trySweep, sweepEvery);
    const audit = () => orderAudit(world).catch((error: unknown) => log(`audit: ${describe(error)}`));
    const auditing = setInterval(audit, auditEvery);
    const consumed = queue.consume(
      (unit) => workOn(world, unit),
      (unit, error) => log(`${unit.kind} unit comes back: ${describe(error)}`),
    );
    closers.push(async () => {
      clearInterval(sweeping);
      clearInterval(auditing);
      queue.close();
      await consumed;
    });
    // Where it fails (a full disk, a clock that went back) it is tried again; the agent signs with what it has meanwhile.
    await trySweep();
    // What happened while it did not run; the first time there is nothing to compare.
    if (installed > 0) await audit();
    return {
      world,
      ports: {
        dns: dns.port,
        api: api.port,
        push: agent.ports.push ?? ports.push,
        milter: agent.ports.milter ?? ports.milter,
      },
      consoleLink: api.link,
      sweep,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
};
