// The ledger in memory, for the simulation: the contract of every ledger, without a disk. Rows are immutable values, so
// that what was handed out never changes under whoever reads it.

import { checkCommit, refusal } from '../../adapters/commit.ts';
import { SelkieError } from '../../core/errors.ts';
import type { DomainRow } from '../../core/key/evidence.ts';
import { add, type Instant } from '../../core/time.ts';
import type { Commit, HostRow, Ledger, LogEntry, RequestRow } from '../../engine/ports.ts';

export interface MemoryLedger extends Ledger {
  /** For whoever drives the world, never for whoever judges it. */
  readonly rows: ReadonlyMap<string, DomainRow>;
  readonly hosts: ReadonlyMap<string, HostRow>;
  /** The last number of a pool's log. */
  tail(pool: string): number;
  fleetVersion(): number;
}

const requestKey = (domain: string, key: string): string => `${domain} ${key}`;

/** @param now the store's own clock @param onCommit told of each commit, once it is written */
export const createMemoryLedger = (
  now: () => Instant,
  onCommit: (commit: Commit) => void = () => {},
): MemoryLedger => {
  const rows = new Map<string, DomainRow>();
  const hosts = new Map<string, HostRow>();
  const selectors = new Set<string>();
  const requests = new Map<string, RequestRow>();
  const logs = new Map<string, LogEntry[]>();
  const leases = new Map<string, { holder: string; until: Instant }>();
  let [epoch, fleetVersion] = [1, 0];

  const tail = (pool: string): number => logs.get(pool)?.length ?? 0;

  const check = (commit: Commit): void => {
    for (const { domain, version } of commit.domains ?? [])
      if ((rows.get(domain)?.version ?? 0) !== version) throw refusal.row('domain', domain, version);
    for (const { name, version } of commit.hosts ?? [])
      if ((hosts.get(name)?.version ?? 0) !== version) throw refusal.row('host', name, version);
    if (commit.append !== undefined) {
      const { pool, place } = commit.append;
      if (place.epoch !== epoch) throw refusal.epoch(pool, place.epoch);
      if (place.n !== tail(pool) + 1) throw refusal.place(pool, place.n);
    }
    const { request } = commit;
    if (request !== undefined && requests.has(requestKey(request.domain, request.idempotencyKey)))
      throw refusal.request(request.domain);
    for (const { domain, selector } of commit.reserve ?? [])
      if (selectors.has(`${domain} ${selector}`)) throw refusal.selector(domain, selector);
  };

  const write = (commit: Commit): void => {
    for (const row of commit.domains ?? []) rows.set(row.domain, { ...row, version: row.version + 1 });
    for (const row of commit.hosts ?? []) hosts.set(row.name, { ...row, version: row.version + 1 });
    for (const { domain, selector } of commit.reserve ?? []) selectors.add(`${domain} ${selector}`);
    if (commit.append !== undefined) {
      const { pool, ...entry } = commit.append;
      const log = logs.get(pool);
      if (log === undefined) logs.set(pool, [entry]);
      else log.push(entry);
    }
    const { request } = commit;
    if (request !== undefined) requests.set(requestKey(request.domain, request.idempotencyKey), request);
  };

  return {
    rows,
    hosts,
    tail,
    fleetVersion: () => fleetVersion,
    head: async () => ({ at: now(), epoch, fleetVersion }),
    installFleet: async (version) => {
      if (version < fleetVersion)
        throw new SelkieError('stale-fleet', `fleet ${version} is older than the ledger’s, ${fleetVersion}`);
      fleetVersion = version;
    },
    beginEpoch: async () => {
      epoch += 1;
      return epoch;
    },
    domain: async (domain) => rows.get(domain),
    host: async (name) => hosts.get(name),
    request: async (domain, key) => requests.get(requestKey(domain, key)),
    domains: async ({ after, limit }) => {
      const names = [...rows.keys()].filter((name) => after === undefined || name > after).toSorted();
      const found = names.slice(0, limit).flatMap((name) => rows.get(name) ?? []);
      const last = found.at(-1);
      return names.length > limit && last !== undefined
        ? { rows: found, next: last.domain }
        : { rows: found };
    },
    commit: async (commit) => {
      checkCommit(commit);
      check(commit);
      write(commit);
      onCommit(commit);
    },
    nextPlace: async (pool) => ({ epoch, n: tail(pool) + 1 }),
    log: async (pool, after) => (logs.get(pool) ?? []).slice(after),
    due: async (at, limit) =>
      [...rows.values()]
        .flatMap(({ domain, zone, wakeAt }) =>
          wakeAt !== undefined && wakeAt <= at ? [{ domain, zone, wakeAt }] : [],
        )
        .toSorted((a, b) => a.wakeAt - b.wakeAt || (a.domain < b.domain ? -1 : 1))
        .slice(0, limit)
        .map(({ domain, zone }) => ({ domain, zone })),
    lease: async (name, holder, at, length) => {
      const held = leases.get(name);
      if (held !== undefined && held.holder !== holder && held.until > at) return false;
      leases.set(name, { holder, until: add(at, length) });
      return true;
    },
    release: async (name, holder) => {
      if (leases.get(name)?.holder === holder) leases.delete(name);
    },
  };
};
