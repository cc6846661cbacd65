// An in-memory world with a virtual clock that drives the real engine: its timeline is what the engine reports.
// Sweeps come at whole minutes; time jumps from one event to the next, so a year takes seconds.

import { createHandWriter } from '../../adapters/hand/writer.ts';
import { openHandChanges } from '../../adapters/local/hand-changes.ts';
import { openSqliteLedger } from '../../adapters/local/ledger.ts';
import { createNodeKeys } from '../../adapters/node-keys.ts';
import { createZoneWriters } from '../../adapters/zone-writers.ts';
import { createSeals } from '../../contract/seals.ts';
import { SelkieError } from '../../core/errors.ts';
import { defaultPolicy, type FleetDomain, type FleetZone, type Policy } from '../../core/policy.ts';
import {
  add,
  type Duration,
  formatInstant,
  type Instant,
  instant,
  milliseconds,
  minutes,
  seconds,
} from '../../core/time.ts';
import type { DisclosedKey, Happening, Unit, Vault } from '../../engine/ports.ts';
import { tick, workOn } from '../../engine/tick.ts';
import type { World } from '../../engine/world.ts';
import { createMemoryDisclosure } from '../fakes/memory-disclosure.ts';
import { createDns, type SimulatedDns } from './dns.ts';
import { createHost, createSigner, createTransport, type SimulatedHost } from './hosts.ts';

export const domain = 'example.com';
const pool = 'mx';
const minute = minutes(1);
/** More events than any timeline has: beyond it something goes round in circles. */
const mostEvents = 200_000;

const createVault = (): Vault & { readonly destroyed: Set<string> } => {
  const secrets = new Map<string, Uint8Array>();
  const destroyed = new Set<string>();
  return {
    destroyed,
    store: async (keys) =>
      keys.map(({ domain: owner, selector, privateKey }) => {
        const name = `${owner}/${selector}`;
        if (!secrets.has(name)) secrets.set(name, privateKey);
        return name;
      }),
    read: async (secret) => {
      const found = secrets.get(secret);
      if (found === undefined) throw new SelkieError('not-found', `${secret} is gone`);
      return found;
    },
    find: async (owner, selector) => {
      const name = `${owner}/${selector}`;
      return secrets.has(name) ? name : undefined;
    },
    destroy: async (secret) => {
      secrets.delete(secret);
      destroyed.add(secret);
    },
    list: async () => ({
      secrets: [...secrets.keys()].map((secret) => {
        const [owner = '', selector = ''] = secret.split('/');
        return { secret, domain: owner, selector };
      }),
    }),
  };
};

export interface Simulation {
  readonly world: World;
  readonly dns: SimulatedDns;
  readonly vault: { readonly destroyed: ReadonlySet<string> };
  /** `domain/selector` → what was published. */
  readonly published: ReadonlyMap<string, DisclosedKey>;
  now(): Instant;
  host(name: string): SimulatedHost;
  /** A host joins the pool: a newer fleet. */
  join(name: string): Promise<void>;
  /** From here on people change the zone: a newer fleet. */
  byHand(): void;
  /** Somebody pastes all that is asked for at this moment; returns the names. */
  paste(): Promise<readonly string[]>;
  /** The domain's entry changes: a newer fleet. */
  change(entry: Partial<FleetDomain>): void;
  /** The domain's entry loses a field: a newer fleet. */
  drop(field: 'spf' | 'dmarc'): void;
  /** Another zone is ours. */
  addZone(name: string): void;
  run(length: Duration): Promise<void>;
  /** `YYYY-MM-DD HH:MM:SS  says` */
  timeline(): string;
  close(): void;
}

export const simulate = async (
  start: string,
  policy: Partial<Policy>,
  hosts: readonly string[],
  /** Instead of one in memory. */
  otherVault?: Vault,
): Promise<Simulation> => {
  let at = instant(Date.parse(start));
  const now = (): Instant => at;
  const happenings: Happening[] = [];
  const queued: { at: Instant; unit: Unit }[] = [];
  const simulated = new Map<string, SimulatedHost>();
  const disclosure = createMemoryDisclosure();
  const [dns, vault, signer] = [createDns(now), createVault(), await createSigner()];
  const ledger = openSqliteLedger(':memory:', now);
  const asked = openHandChanges(':memory:');
  const people = createHandWriter({
    observer: dns,
    changes: asked,
    clock: { now },
    randomness: { id: () => `hand-${now()}-${Math.floor(Math.random() * 1e9)}` },
  });
  let zone: FleetZone = { name: domain, id: 'Z1' };
  let ids = 0;
  let swept: number = at;
  let version = 1;
  const zones = new Map<string, FleetZone>([[domain, zone]]);
  let entry: FleetDomain = {
    domain,
    zone: domain,
    pool,
    leaving: false,
    policy: { ...defaultPolicy, algorithms: ['ed25519'], ...policy },
  };
  const enrol = async (name: string): Promise<void> => {
    simulated.set(name, await createHost(name, pool, signer, now));
  };
  for (const name of hosts) await enrol(name);

  const world: World = {
    clock: { now },
    randomness: {
      bytes: (length) => globalThis.crypto.getRandomValues(new Uint8Array(length)),
      id: () => {
        ids += 1;
        return `id-${String(ids).padStart(8, '0')}`;
      },
    },
    keys: createNodeKeys(),
    vault: otherVault ?? vault,
    writer: createZoneWriters(dns, people),
    disclosure,
    observer: dns,
    resolver: dns,
    seals: createSeals(signer),
    transport: createTransport(simulated),
    queue: {
      send: async (units, delay = milliseconds(0)) => {
        for (const unit of units) queued.push({ at: add(at, delay), unit });
      },
    },
    ledger,
    reporter: { report: (happening) => void happenings.push(happening) },
    get fleet() {
      return {
        version,
        domains: new Map([[domain, entry]]),
        zones: new Map(zones),
        pools: [pool],
        hosts: new Map([...simulated].map(([name, host]) => [name, host.fleet])),
      };
    },
    worker: 'simulated',
  };

  /** The whole minute at which a sweep next finds something to do. */
  const nextSweep = async (): Promise<number> => {
    const wakeAt = (await ledger.domain(domain))?.wakeAt;
    const fleetIsNew = (await ledger.head()).fleetVersion < version;
    // At this very minute too, where it has not been yet: units that come back may fall on each.
    if (fleetIsNew) return Math.ceil(Math.max(swept + 1, at) / minute) * minute;
    return wakeAt === undefined
      ? Number.POSITIVE_INFINITY
      : Math.ceil(Math.max(at + 1, wakeAt) / minute) * minute;
  };

  const run = async (length: Duration): Promise<void> => {
    const until = add(at, length);
    for (let events = 0; ; events += 1) {
      if (events > mostEvents) throw new Error(`the world goes round in circles at ${formatInstant(at)}`);
      queued.sort((a, b) => a.at - b.at);
      const [first] = queued;
      const sweep = await nextSweep();
      const next = Math.min(first?.at ?? Number.POSITIVE_INFINITY, sweep);
      if (next > until) break;
      at = instant(next);
      if (first === undefined || first.at > next) {
        swept = at;
        await tick(world);
        continue;
      }
      queued.shift();
      try {
        await workOn(world, first.unit);
      } catch (error) {
        if (!(error instanceof SelkieError) || error.retry !== 'later') throw error;
        queued.push({ at: add(at, seconds(30)), unit: first.unit });
      }
    }
    at = until;
  };

  return {
    world,
    dns,
    vault,
    published: disclosure.published,
    now,
    run,
    host: (name) => {
      const host = simulated.get(name);
      if (host === undefined) throw new Error(`no host ${name}`);
      return host;
    },
    join: async (name) => {
      await enrol(name);
      version += 1;
      swept = at;
    },
    byHand: () => {
      zone = { name: domain, id: 'manual', provider: 'manual' };
      zones.set(domain, zone);
      version += 1;
      swept = at;
    },
    paste: async () => {
      const wishes = (await people.asked?.(zone)) ?? [];
      for (const { name, to } of wishes) dns.put(name, to);
      return wishes.map(({ name }) => name);
    },
    change: (change) => {
      entry = { ...entry, ...change };
      version += 1;
      swept = at;
    },
    drop: (field) => {
      const { [field]: _gone, ...rest } = entry;
      entry = rest;
      version += 1;
      swept = at;
    },
    addZone: (name) => {
      zones.set(name, { name, id: `Z${zones.size + 1}` });
      version += 1;
      swept = at;
    },
    timeline: () =>
      happenings
        .filter(
          // A trouble that goes on is told once between two steps.
          ({ level, says }, index) =>
            level === 'step' ||
            !happenings
              .slice(happenings.findLastIndex((other, n) => n < index && other.level === 'step') + 1, index)
              .some((other) => other.says === says),
        )
        .map(({ at: when, says }) => `${formatInstant(when).slice(0, 19).replace('T', ' ')}  ${says}\n`)
        // Keys are made at run time.
        .map((line) => line.replaceAll(/p=[A-Za-z0-9+/]{20,}=*/g, 'p=KEY'))
        .join(''),
    close: () => {
      ledger.close();
      asked.close();
    },
  };
};
