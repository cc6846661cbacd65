// The simulated DNS: one provider, several authoritative name servers for each zone that each lag behind it in their own
// way, and resolvers that cache what exists and what does not. Whoever watches is told of every write and of every change
// that a server begins to show.

import { SelkieError } from '../../core/errors.ts';
import type { FleetZone } from '../../core/policy.ts';
import { add, type Duration, hours, type Instant } from '../../core/time.ts';
import type {
  Change,
  DnsObserver,
  Resolver as DnsResolver,
  DnsWriter,
  ServerAnswer,
  TxtSet,
} from '../../engine/ports.ts';
import type { Loop } from './loop.ts';
import type { Random } from './random.ts';
import { includedSpf } from './scenario-records.ts';

export interface NameServer {
  readonly name: string;
  readonly shown: Map<string, TxtSet>;
  /** Shows nothing new before then. */
  stuckUntil: number;
  /** What it will show once it is no longer stuck, in order. */
  readonly waiting: (() => void)[];
  /** Does not answer before then. */
  downUntil: number;
}

export interface Standing {
  readonly set: TxtSet;
  /** Selkie wrote it. */
  readonly ours: boolean;
}

export interface SimulatedZone {
  readonly zone: FleetZone;
  readonly servers: readonly NameServer[];
  readonly negativeTtl: Duration;
  /** What a wildcard TXT answers for every name that does not exist. */
  readonly wildcard: TxtSet | undefined;
  readonly standing: Map<string, Standing>;
  /** How many name servers have yet to show a write of a name. */
  readonly pending: Map<string, number>;
  /** Changes that are accepted before then are not in sync before then. */
  stalledUntil: number;
  /** The provider forgets the ids of changes that it accepts before then. */
  forgetsUntil: number;
}

export interface DnsWatch {
  /** A change that the provider is about to accept; `ours`: Selkie's. */
  written(
    zone: SimulatedZone,
    name: string,
    before: Standing | undefined,
    after: TxtSet | undefined,
    ours: boolean,
  ): void;
  /** A name server begins to show something else. */
  shown(
    zone: SimulatedZone,
    server: NameServer,
    name: string,
    before: TxtSet | undefined,
    after: TxtSet | undefined,
  ): void;
}

export interface Lags {
  /** How long a name server is behind the provider, at most. */
  readonly server: Duration;
  /** How long until the provider says that a change is in sync, at most. */
  readonly sync: Duration;
}

export interface SimulatedDns extends DnsWriter, DnsObserver, DnsResolver {
  readonly zones: ReadonlyMap<string, SimulatedZone>;
  /** It stood there, for all to see, before the world began; `ours` from then on. */
  stood(zone: SimulatedZone, name: string, set: TxtSet): void;
  /** Writes as somebody else would, who does not ask what stands there. */
  put(zone: SimulatedZone, name: string, set: TxtSet | undefined): void;
}

const same = (a: TxtSet | undefined, b: TxtSet | undefined): boolean =>
  a === b ||
  (a?.ttl === b?.ttl &&
    a?.values.length === b?.values.length &&
    (a?.values ?? []).every((value, n) => value === b?.values[n]));

/** Shows what a server that was stuck has missed, in order. */
export const loosen = (server: NameServer, now: Instant): void => {
  if (server.stuckUntil <= now) for (const show of server.waiting.splice(0)) show();
};

/** What a name server answers. */
export const answerOf = (zone: SimulatedZone, server: NameServer, name: string): TxtSet | undefined =>
  server.shown.get(name) ?? zone.wildcard;

export const createDns = (options: {
  readonly loop: Loop;
  readonly random: Random;
  readonly zones: readonly {
    readonly zone: FleetZone;
    readonly servers: number;
    readonly negativeTtl: Duration;
    readonly wildcard?: TxtSet;
  }[];
  readonly lags: Lags;
  readonly watch: DnsWatch;
}): SimulatedDns => {
  const { loop, random, lags, watch } = options;
  const changes = new Map<string, { sync: number; stalled: boolean; zone: SimulatedZone }>();
  let ids = 0;
  const zones = new Map(
    options.zones.map(({ zone, servers, negativeTtl, wildcard }): [string, SimulatedZone] => [
      zone.name,
      {
        zone,
        negativeTtl,
        wildcard,
        servers: Array.from({ length: servers }, (_, n) => ({
          name: `ns${n + 1}.${zone.name}`,
          shown: new Map(),
          stuckUntil: 0,
          waiting: [],
          downUntil: 0,
        })),
        standing: new Map(),
        pending: new Map(),
        stalledUntil: 0,
        forgetsUntil: 0,
      },
    ]),
  );

  const zoneAt = ({ name }: FleetZone): SimulatedZone => {
    const zone = zones.get(name);
    if (zone === undefined) throw new SelkieError('not-found', `there is no zone ${name}`);
    return zone;
  };

  const apply = (zone: SimulatedZone, server: NameServer, name: string, set: TxtSet | undefined): void => {
    zone.pending.set(name, (zone.pending.get(name) ?? 0) - 1);
    const before = answerOf(zone, server, name);
    if (set === undefined) server.shown.delete(name);
    else server.shown.set(name, set);
    watch.shown(zone, server, name, before, answerOf(zone, server, name));
  };

  const show = (zone: SimulatedZone, server: NameServer, name: string, set: TxtSet | undefined): void => {
    server.waiting.push(() => apply(zone, server, name, set));
    if (server.waiting.length === 1) showWaiting(server);
  };
  const showWaiting = (server: NameServer): void => {
    loosen(server, loop.now());
    if (server.waiting.length > 0) loop.at(server.stuckUntil, () => showWaiting(server));
  };

  const write = (zone: SimulatedZone, name: string, set: TxtSet | undefined, ours: boolean): number => {
    watch.written(zone, name, zone.standing.get(name), set, ours);
    if (set === undefined) zone.standing.delete(name);
    else zone.standing.set(name, { set, ours });
    let last: number = loop.now();
    for (const server of zone.servers) {
      // A server shows changes in the order in which they were made: its lag never lets a later one overtake.
      const at = Math.max(loop.now() + Math.floor(random.next() ** 3 * lags.server), queue.get(server) ?? 0);
      queue.set(server, at);
      last = Math.max(last, at);
      zone.pending.set(name, (zone.pending.get(name) ?? 0) + 1);
      loop.at(at, () => show(zone, server, name, set));
    }
    return last;
  };
  const queue = new Map<NameServer, number>();

  const fits = (zone: SimulatedZone, change: Change): boolean => {
    const there = zone.standing.get(change.name)?.set;
    return same(there, change.do === 'create' ? undefined : change.do === 'delete' ? change.set : change.old);
  };

  return {
    zones,
    stood: (zone, name, set) => {
      zone.standing.set(name, { set, ours: true });
      for (const server of zone.servers) server.shown.set(name, set);
    },
    put: (zone, name, set) => void write(zone, name, set, false),
    lookup: async (zone, name) => zoneAt(zone).standing.get(name)?.set,
    submit: async (where, batch) => {
      const zone = zoneAt(where);
      for (const change of batch)
        if (!fits(zone, change))
          throw new SelkieError('rejected', `${change.do} of ${change.name} does not fit what is there`);
      let seen: number = loop.now();
      for (const change of batch)
        seen = Math.max(
          seen,
          write(zone, change.name, change.do === 'delete' ? undefined : change.set, true),
        );
      ids += 1;
      const id = `C${ids}`;
      // The provider speaks of its own servers: a secondary may still be behind.
      const sync = loop.now() + Math.floor(random.next() * lags.sync);
      const stalled = loop.now() < zone.stalledUntil;
      if (loop.now() >= zone.forgetsUntil) changes.set(id, { sync, stalled, zone });
      return id;
    },
    status: async (_zone, changeId) => {
      const change = changes.get(changeId);
      if (change === undefined) return 'unknown';
      // A stall that has ended early, as all faults do in the end, ends for what it held up.
      const held = change.stalled && loop.now() < change.zone.stalledUntil;
      return change.sync <= loop.now() && !held ? 'in-sync' : 'pending';
    },
    fits: (batch) => Math.min(batch.length, 70),
    // An hour in three: the order of calls is another then, and nothing that is judged may depend on it.
    isShort: () => Math.floor(loop.now() / hours(1)) % 3 === 0,
    list: async (where, { after = '', limit }) => {
      const { standing } = zoneAt(where);
      const names = [...standing.keys()].filter((name) => name > after).toSorted();
      const sets = names.slice(0, limit).flatMap((name) => {
        const there = standing.get(name);
        return there === undefined ? [] : [{ name, set: there.set }];
      });
      const last = sets.at(-1);
      return names.length > limit && last !== undefined ? { sets, next: last.name } : { sets };
    },
    resolve: async ({ name, type }) => {
      if (type === 'TXT' && name === includedSpf) return ['v=spf1 ip4:203.0.113.0/24 -all'];
      const holder = [...zones.values()].find((each) => `.${name}`.endsWith(`.${each.zone.name}`));
      if (holder === undefined || type !== 'TXT') return [];
      const server = holder.servers.find(({ downUntil }) => downUntil <= loop.now());
      if (server === undefined)
        throw new SelkieError('unavailable', `no server of ${holder.zone.name} answers`);
      return answerOf(holder, server, name)?.values ?? [];
    },
    observe: async (where, name) => {
      const zone = zoneAt(where);
      return {
        negativeTtl: zone.negativeTtl,
        answers: zone.servers.map((server): ServerAnswer => {
          const set = answerOf(zone, server, name);
          return {
            server: server.name,
            address: server.name,
            answer:
              server.downUntil > loop.now()
                ? { kind: 'failed', why: 'it does not answer' }
                : set === undefined
                  ? { kind: 'no-such-name' }
                  : { kind: 'txt', set },
          };
        }),
      };
    },
  };
};

/** A cache in front of a zone's name servers, as a receiver of mail has one: RFC 2308 for what does not exist. */
export interface Resolver {
  /** @returns undefined where the name has no TXT; `failed` where no server answers */
  ask(zone: SimulatedZone, name: string): TxtSet | undefined | 'failed';
}

export const createResolver = (loop: Loop, random: Random): Resolver => {
  const cache = new Map<string, { readonly until: Instant; readonly set: TxtSet | undefined }>();
  return {
    ask: (zone, name) => {
      const known = cache.get(name);
      if (known !== undefined && known.until > loop.now()) return known.set;
      const up = zone.servers.filter((server) => server.downUntil <= loop.now());
      const server = random.any(up);
      if (server === undefined) return 'failed';
      const set = answerOf(zone, server, name);
      const life: Duration = set === undefined ? zone.negativeTtl : set.ttl;
      cache.set(name, { until: add(loop.now(), life), set });
      return set;
    },
  };
};
