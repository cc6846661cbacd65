// A world to verify: the real engine with its agent on this machine, and its zone on two real BINDs of their own and a third that
// has it as a resolver would. Each may show something else than it should.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LocalWorld, startLocalWorld } from '../../cli/local-world.ts';
import { printValue } from '../../core/dkim/txt.ts';
import type { FleetZone } from '../../core/policy.ts';
import { statusOf } from '../../engine/status.ts';
import { openSession } from '../../engine/world.ts';
import { parseFleet } from '../../fleet/read.ts';
import { freePort } from '../tools/free-port.ts';
import { startNamed } from '../tools/named.ts';
import { type Ran, selkie } from '../tools/selkie.ts';
import { type ServedApi, serveApi } from '../tools/served-api.ts';
import { makeFolder } from '../tools/temporary-folder.ts';

export const zone = 'dev.example.jp';
export const domain = `mail.${zone}`;

/** Name → the values of its TXT records. */
export type Records = Readonly<Record<string, readonly string[]>>;
/** What one of the servers shows, made of what it should; `down`: it does not answer. */
export type Change = ((records: Records) => Records) | 'down';

export interface VerifyWorld {
  readonly local: LocalWorld;
  /** What signs: RSA's first. */
  readonly selectors: readonly [string, string];
  readonly milter: string;
  /** What should be in DNS. */
  readonly records: Records;
  /** `127.0.0.1:PORT` of the two name servers and of the resolver. */
  readonly servers: readonly [string, string];
  readonly resolver: string;
  /** Starts the servers so, runs `selkie verify`, and ends them. Changes: of the first, the second, the resolver. */
  verify(changes: readonly (Change | undefined)[], ...args: string[]): Promise<Ran>;
  /** The servers, until what it returns is called: for several commands. */
  serve(changes?: readonly (Change | undefined)[]): Promise<() => Promise<void>>;
  run(...args: string[]): Promise<Ran>;
  close(): Promise<void>;
}

const zoneText = (records: Records): string =>
  [
    '$TTL 60',
    `${zone}. SOA ns1.${zone}. hostmaster.${zone}. 1 3600 600 86400 60`,
    `${zone}. NS ns1.${zone}.`,
    `ns1.${zone}. A 127.0.0.1`,
    `mx1.${zone}. A 192.0.2.10`,
    ...Object.entries(records).flatMap(([name, values]) =>
      values.map((value) => `${name}. TXT ${printValue(value, 'zone')}`),
    ),
    '',
  ].join('\n');

const rootText = '$TTL 60\n. SOA a. hostmaster.a. 1 3600 600 86400 60\n. NS a.\na. A 127.0.0.1\n';

const fleet = parseFleet(
  `defaults: { algorithms: [rsa2048, ed25519] }\ndomains: { ${domain}: }\nzones: { ${zone}: { id: ZLOCAL0000000001 } }\npools: [local]\n`,
  { file: 'fleet.yaml', version: 1 },
);

const untilSigned = async (local: LocalWorld): Promise<readonly [string, string]> => {
  for (const until = Date.now() + 30_000; Date.now() < until; await sleep(50)) {
    const status = await openSession(local.world)
      .then((session) => statusOf(local.world, session, domain))
      .catch(() => undefined);
    const [rsa, ed25519] = status?.keys.filter(({ state }) => state === 'active') ?? [];
    if (rsa !== undefined && ed25519 !== undefined) return [rsa.selector, ed25519.selector];
  }
  throw new Error(`${domain} does not sign`);
};

export const startVerifyWorld = async (): Promise<VerifyWorld> => {
  const dir = makeFolder();
  const local = await startLocalWorld({
    dir: join(dir, 'world'),
    fleet,
    ports: { dns: 0, api: 0, push: 0, milter: 0 },
    report: () => {},
    log: () => {},
  });
  const selectors = await untilSigned(local);
  const { sets } = await local.world.writer.list({ name: zone, id: 'Z' }, { limit: 100 });
  const records: Records = {
    ...Object.fromEntries(sets.map(({ name, set }) => [name, set.values])),
    [domain]: ['v=spf1 ip4:192.0.2.10 -all'],
    [`_dmarc.${domain}`]: [`v=DMARC1; p=quarantine; rua=mailto:dmarc@${domain}`],
  };
  const ports = [await freePort(), await freePort(), await freePort()] as const;
  const [a, b, resolver] = ports.map((port) => `127.0.0.1:${port}`) as [string, string, string];
  const zones = new Map<string, FleetZone>(
    [...local.world.fleet.zones].map(([name, one]) => [name, { ...one, nameServers: [a, b] }]),
  );
  const world = { ...local.world, fleet: { ...local.world.fleet, zones } };
  const milter = `127.0.0.1:${local.ports.milter}`;
  const api: ServedApi = await serveApi(world, join(dir, 'api'), { milter });

  const serve: VerifyWorld['serve'] = async (changes = []) => {
    const running = await Promise.all(
      ports.map(async (port, index) => {
        const change = changes[index];
        if (change === 'down') return undefined;
        const text = zoneText(change === undefined ? records : change(records));
        // The resolver knows that nothing else is in the world.
        const rest = index === 2 ? { '.': rootText } : {};
        return startNamed({ port, zones: { ...rest, [zone]: text } });
      }),
    );
    return async () => void (await Promise.all(running.map((named) => named?.close())));
  };
  const run = (...args: string[]): Promise<Ran> => selkie(...args, '--dir', api.dir);
  return {
    local,
    selectors,
    milter,
    records,
    servers: [a, b],
    resolver,
    serve,
    run,
    async verify(changes, ...args) {
      const end = await serve(changes);
      try {
        return await run('verify', domain, '--resolver', resolver, ...args);
      } finally {
        await end();
      }
    },
    async close() {
      await api.close();
      await local.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
};
