// What zones and vault show of a ledger's domains, for whoever brings the ledger up: engine/restore.ts. Reads, never writes.

import { type Algorithm, algorithms } from '../core/algorithm.ts';
import type { DomainRow } from '../core/key/evidence.ts';
import { type Found, shownOf } from '../core/key/restored.ts';
import { keyOf, recordName } from '../core/key/row.ts';
import { parseSelector } from '../core/key/selector.ts';
import type { FleetZone } from '../core/policy.ts';
import { type Duration, milliseconds } from '../core/time.ts';
import { inParallel } from './parallel.ts';
import type { TxtSet } from './ports.ts';
import type { World } from './world.ts';

const pageSize = 500;

interface Page {
  readonly after?: string;
  readonly limit: number;
}

const everyPage = async <T>(
  read: (page: Page) => Promise<{ readonly items: readonly T[]; readonly next?: string }>,
  use: (item: T) => void,
): Promise<void> => {
  let after: string | undefined;
  do {
    const { items, next } = await read({ limit: pageSize, ...(after === undefined ? {} : { after }) });
    for (const item of items) use(item);
    after = next;
  } while (after !== undefined);
};

export interface Seen {
  /** What a zone holds at names of keys; each zone is listed once, when its first domain is looked at. */
  zone(zone: FleetZone): Promise<SeenZone>;
  /** Of each domain: selector → references; two workers may have stored one each. */
  readonly secrets: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;
}

export interface SeenZone {
  at(name: string): Promise<TxtSet | undefined>;
  /** How long caches may hold a wildcard's answer for a name that has its own record by now. */
  readonly wildcardTtl: Duration;
}

const listZone = async ({ writer }: World, zone: FleetZone): Promise<SeenZone> => {
  const sets = new Map<string, TxtSet>();
  let wildcardTtl = milliseconds(0);
  const at = (name: string): Promise<TxtSet | undefined> => writer.lookup(zone, name);
  // What people were asked for since the backup is forgotten, and nobody can list their zone: each name is looked up.
  if (zone.provider === 'manual') return { at, wildcardTtl };
  await everyPage(
    async (page) => {
      const { sets: items, next } = await writer.list(zone, page);
      return next === undefined ? { items } : { items, next };
    },
    ({ name, set }) => {
      if (name.includes('._domainkey')) sets.set(name, set);
      // RFC 4592 §2.1.1
      if (name.startsWith('*.')) wildcardTtl = milliseconds(Math.max(wildcardTtl, set.ttl));
    },
  );
  return { at: async (name) => sets.get(name), wildcardTtl };
};

export const takeStock = async (world: World): Promise<Seen> => {
  const zones = new Map<string, Promise<SeenZone>>();
  const secrets = new Map<string, Map<string, string[]>>();
  await everyPage(
    async (page) => {
      const { secrets: items, next } = await world.vault.list(page);
      return next === undefined ? { items } : { items, next };
    },
    ({ domain, selector, secret }) => {
      const own = secrets.get(domain) ?? new Map<string, string[]>();
      secrets.set(domain, own.set(selector, [...(own.get(selector) ?? []), secret]));
    },
  );
  return {
    secrets,
    zone: (zone) => {
      const seen = zones.get(zone.name) ?? listZone(world, zone);
      zones.set(zone.name, seen);
      return seen;
    },
  };
};

/** Bytes of a DER SubjectPublicKeyInfo (RFC 5280 §4.1) around an RSA key of so many bits, in base64 or less. */
const rsaOf = (publicKey: string): Algorithm => {
  const bits = (publicKey.length * 6) / 8 - 38;
  return bits * 8 > 3_600 ? 'rsa4096' : bits * 8 > 2_600 ? 'rsa3072' : 'rsa2048';
};

/** Selkie's selectors tell the key type; the size of an RSA key is that of its public half. */
const algorithmOf = (selector: string, publicKey: string): Algorithm =>
  parseSelector(selector)?.suffix === algorithms.ed25519.suffix ? 'ed25519' : rsaOf(publicKey);

/** Of several copies the one that the record is of; the first, where it is of none. */
const readSecret = async (
  world: World,
  selector: string,
  secrets: readonly string[],
  set: TxtSet | undefined,
): Promise<Found['stored']> => {
  let first: Found['stored'];
  for (const secret of secrets) {
    const { publicKey, fingerprint } = world.keys.publicOf(await world.vault.read(secret));
    const stored = { secret, publicKey, fingerprint, algorithm: algorithmOf(selector, publicKey) };
    if (shownOf(publicKey, { selector, ...(set === undefined ? {} : { set }) }) === 'key') return stored;
    first ??= stored;
  }
  return first;
};

const findOne = async (
  world: World,
  row: DomainRow,
  selector: string,
  shown: SeenZone,
  seen: Seen,
): Promise<Found> => {
  const set = await shown.at(recordName(row, selector));
  const secrets = seen.secrets.get(row.domain)?.get(selector) ?? [];
  const known = keyOf(row, selector);
  const evidence = known?.evidence.stored;
  const stored =
    known === undefined || evidence === undefined
      ? await readSecret(world, selector, secrets, set)
      : secrets.includes(evidence.secret)
        ? { ...evidence, algorithm: known.algorithm }
        : undefined;
  const adopted = world.fleet.domains.get(row.domain)?.adopted?.find((one) => one.selector === selector);
  return {
    selector,
    ...(set === undefined ? {} : { set }),
    ...(stored === undefined
      ? {}
      : { stored: { ...stored, algorithm: known?.algorithm ?? stored.algorithm } }),
    ...(stored !== undefined || adopted === undefined ? {} : { adopted }),
  };
};

export const findAll = (
  world: World,
  row: DomainRow,
  shown: SeenZone,
  seen: Seen,
): Promise<readonly Found[]> => {
  const secrets = seen.secrets.get(row.domain) ?? new Map<string, readonly string[]>();
  const names = new Set([...row.keys.map(({ selector }) => selector), ...secrets.keys()]);
  // With no key of Selkie's, a domain's adopted keys are adopted again, by the planner.
  const adopted = names.size === 0 ? [] : (world.fleet.domains.get(row.domain)?.adopted ?? []);
  for (const { selector } of adopted) names.add(selector);
  return inParallel(1, [...names], (selector) => findOne(world, row, selector, shown, seen));
};
