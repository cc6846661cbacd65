// `selkie restore` on this machine: the ledger of a state folder, while `selkie up` does not run. A wiring file: the engine on the
// folder's ledger, vault and zones, with a name server for as long as it takes. Hosts are told by the next `selkie up`.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createDnsObserver } from '../adapters/dns/observer.ts';
import { createResolver } from '../adapters/dns/resolver.ts';
import { startDnsServer } from '../adapters/dns/server.ts';
import { createHandWriter } from '../adapters/hand/writer.ts';
import { openBundleSigner } from '../adapters/local/bundle-signer.ts';
import { openDisclosedFolder } from '../adapters/local/disclosed-folder.ts';
import { openFileVault } from '../adapters/local/file-vault.ts';
import { openHandChanges } from '../adapters/local/hand-changes.ts';
import { openSqliteLedger } from '../adapters/local/ledger.ts';
import { createLocalQueue } from '../adapters/local/queue.ts';
import { openZoneStore } from '../adapters/local/zone-store.ts';
import { createNodeKeys } from '../adapters/node-keys.ts';
import { createHttpsTransport } from '../adapters/push/https-transport.ts';
import { systemClock, systemRandomness } from '../adapters/system.ts';
import { createZoneWriters } from '../adapters/zone-writers.ts';
import { lockFolder } from '../agent/lock.ts';
import { createSeals } from '../contract/seals.ts';
import { hasCode, SelkieError } from '../core/errors.ts';
import { milliseconds } from '../core/time.ts';
import { restoreLedger } from '../engine/restore.ts';
import type { World } from '../engine/world.ts';
import { readFleet } from '../fleet/read.ts';
import { servedHere, zonesHere } from './local-world.ts';
import type { RestorePass } from './restore.ts';

const loopback = '127.0.0.1';

/** @throws busy: `selkie up` runs; not-found: nothing has been started there; invalid: the ledger or the fleet file is damaged */
export const restoreHere = async ({
  dir,
  fleet: file,
}: {
  readonly dir: string;
  readonly fleet: string;
}): Promise<RestorePass> => {
  const path = join(dir, 'ledger.sqlite');
  // What is gone altogether begins anew, and takes back what vault and zones have.
  if (!existsSync(dir))
    throw new SelkieError(
      'not-found',
      `nothing has been started in ${dir}: run npm start, or name its folder with --dir`,
    );
  if (!existsSync(join(dir, 'zones.sqlite')))
    throw new SelkieError(
      'not-found',
      `the zones of ${dir} are gone: restore zones.sqlite from a backup, or name the folder with --dir`,
    );
  const fleet = readFleet(file);
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).toReversed()) await closer();
  };
  try {
    closers.push(
      await lockFolder(join(dir, 'agent')).catch((error: unknown) => {
        if (!hasCode(error, 'busy')) throw error;
        throw new SelkieError('busy', `selkie up works in ${dir}: stop it first`, { cause: error });
      }),
    );
    const ledger = openSqliteLedger(path, Date.now);
    closers.push(() => ledger.close());
    const zones = openZoneStore(join(dir, 'zones.sqlite'), servedHere(fleet));
    closers.push(() => zones.close());
    const asked = openHandChanges(join(dir, 'by-hand.sqlite'));
    closers.push(() => asked.close());
    const dns = await startDnsServer({ host: loopback, port: 0, zones });
    closers.push(() => dns.close());
    const queue = createLocalQueue({});
    closers.push(() => queue.close());
    const { fleetVersion } = await ledger.head();
    const served = zonesHere(fleet, dns.port);
    const observer = createDnsObserver();
    const world: World = {
      clock: systemClock,
      randomness: systemRandomness,
      keys: createNodeKeys(),
      vault: openFileVault(join(dir, 'vault')),
      disclosure: openDisclosedFolder(join(dir, 'disclosed')),
      writer: createZoneWriters(
        zones,
        createHandWriter({ observer, changes: asked, clock: systemClock, randomness: systemRandomness }),
      ),
      observer,
      resolver: createResolver({ zones: served }),
      seals: createSeals(openBundleSigner(join(dir, 'bundle-key'))),
      transport: createHttpsTransport({ timeoutMs: 10_000 }),
      queue,
      ledger,
      reporter: { report: () => {} },
      worker: 'restore',
      fleet: {
        ...fleet,
        version: Math.max(fleet.version, fleetVersion),
        pools: ['local'],
        zones: served,
        domains: new Map([...fleet.domains].map(([name, domain]) => [name, { ...domain, pool: 'local' }])),
        hosts: new Map(),
      },
    };
    return {
      by: 'local operator',
      // Nothing was under way: whoever worked on it is this machine's, and stopped.
      run: async (order) => ({
        report: await restoreLedger(world, { ...order, stillFor: milliseconds(0) }),
        more: 0,
      }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
};
