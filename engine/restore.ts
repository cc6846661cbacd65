// After the ledger was restored from a backup: a new epoch, so that every host gets a full snapshot, and each row brought up to
// what zones and vault show (core/key/restored.ts). Nothing else may work on the ledger meanwhile: docs/operations.md, Recovery
// drills. It changes no record and no secret. Again is the same, but for another epoch.

import { type Algorithm, algorithms } from '../core/algorithm.ts';
import { describe, hasCode, SelkieError } from '../core/errors.ts';
import type { DomainRow } from '../core/key/evidence.ts';
import {
  candidates,
  type Found,
  type Proof,
  type Recovered,
  recover,
  restored,
  shownOf,
  signers,
  type Word,
} from '../core/key/restored.ts';
import { emptyRow, keyOf, recordName } from '../core/key/row.ts';
import { parseSelector } from '../core/key/selector.ts';
import { isServing } from '../core/key/state.ts';
import type { FleetZone } from '../core/policy.ts';
import { milliseconds } from '../core/time.ts';
import { inParallel } from './parallel.ts';
import type { DutyChange, TxtSet } from './ports.ts';
import { everyServer, showsExactly } from './prove.ts';
import { openSession, policyOf, report, type Session, type World } from './world.ts';

interface Page {
  readonly after?: string;
  readonly limit: number;
}

export interface RestoreReport {
  readonly epoch: number;
  readonly domains: number;
  /** Keys that the backup did not know. */
  readonly takenBack: number;
  /** What became of keys, for people. */
  readonly says: readonly string[];
  /** Domains whose rows are as the backup had them, and why: do it again. */
  readonly failed: readonly string[];
}

const width = 8;
const pageSize = 500;
/** Domains of one pool take its log's numbers from each other. */
const appendTries = 100;

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

interface Seen {
  /** `zone name` → what stands there. */
  readonly sets: ReadonlyMap<string, TxtSet>;
  /** Of each domain: selector → references; two workers may have stored one each. */
  readonly secrets: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;
}

const takeStock = async ({ fleet, writer, vault }: World): Promise<Seen> => {
  const sets = new Map<string, TxtSet>();
  for (const zone of fleet.zones.values())
    await everyPage(
      async (page) => {
        const { sets: items, next } = await writer.list(zone, page);
        return next === undefined ? { items } : { items, next };
      },
      ({ name, set }) => {
        if (name.includes('._domainkey')) sets.set(`${zone.name} ${name}`, set);
      },
    );
  const secrets = new Map<string, Map<string, string[]>>();
  await everyPage(
    async (page) => {
      const { secrets: items, next } = await vault.list(page);
      return next === undefined ? { items } : { items, next };
    },
    ({ domain, selector, secret }) => {
      const own = secrets.get(domain) ?? new Map<string, string[]>();
      secrets.set(domain, own.set(selector, [...(own.get(selector) ?? []), secret]));
    },
  );
  return { sets, secrets };
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

const findOne = async (world: World, row: DomainRow, selector: string, seen: Seen): Promise<Found> => {
  const set = seen.sets.get(`${row.zone} ${recordName(row, selector)}`);
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

const findAll = (world: World, row: DomainRow, seen: Seen): Promise<readonly Found[]> => {
  const secrets = seen.secrets.get(row.domain) ?? new Map<string, readonly string[]>();
  const names = new Set([...row.keys.map(({ selector }) => selector), ...secrets.keys()]);
  // With no key of Selkie's, a domain's adopted keys are adopted again, by the planner.
  const adopted = names.size === 0 ? [] : (world.fleet.domains.get(row.domain)?.adopted ?? []);
  for (const { selector } of adopted) names.add(selector);
  return inParallel(1, [...names], (selector) => findOne(world, row, selector, seen));
};

/** Looks at the name servers for the keys that are to sign, the newest of each type first. */
const prove = async (
  world: World,
  zone: FleetZone,
  row: DomainRow,
  among: readonly Recovered[],
): Promise<{ readonly proofs: ReadonlyMap<string, Proof>; readonly faults: readonly string[] }> => {
  const proofs = new Map<string, Proof>();
  const faults: string[] = [];
  const settled = new Set<string>();
  for (const { key, available } of among) {
    const { keyType } = algorithms[key.algorithm];
    const value = key.evidence.publishIntended?.value;
    if (!available || value === undefined || key.evidence.compromised !== undefined) continue;
    if (settled.has(keyType)) continue;
    if (isServing(key)) {
      settled.add(keyType);
      continue;
    }
    const name = recordName({ ...row, keys: among.map((each) => each.key) }, key.selector);
    try {
      const observation = await world.observer.observe(zone, name);
      everyServer(name, observation, showsExactly(value));
      proofs.set(key.selector, {
        servers: observation.answers.length,
        negativeTtl: observation.negativeTtl ?? milliseconds(0),
      });
      settled.add(keyType);
    } catch (error) {
      faults.push(describe(error));
    }
  }
  return { proofs, faults };
};

const changeOf = (domain: string, { key, duty }: Word): DutyChange[] => {
  const { stored, adopted } = key.evidence;
  const publicKey = stored?.publicKey ?? adopted?.publicKey;
  if (publicKey === undefined) return [];
  const { selector, algorithm } = key;
  const base = { domain, selector, algorithm, duty, publicKey };
  return [stored === undefined ? base : { ...base, secret: stored.secret }];
};

/** @throws unavailable: what its hosts sign with cannot be settled now */
const restoreDomain = async (
  world: World,
  session: Session,
  row: DomainRow,
  seen: Seen,
): Promise<{ readonly takenBack: number; readonly says: readonly string[] }> => {
  const { domain } = row;
  const zone = world.fleet.zones.get(row.zone);
  if (zone === undefined)
    throw new SelkieError('not-found', `${domain}: its zone ${row.zone} is not in fleet.yaml: put it back`);
  const [at, rotation, policy] = [session.now(), world.randomness.id(), policyOf(world, domain)];
  const all = recover(row, await findAll(world, row, seen), policy, at, rotation);
  const standing = candidates(all);
  const { proofs, faults } = await prove(world, zone, row, standing);
  if (standing.some(({ available }) => available) && signers(standing, proofs).length === 0)
    throw new SelkieError('unavailable', faults.join('; '));
  for (let tries = 1; ; tries += 1) {
    const place = await world.ledger.nextPlace(row.pool);
    const { words, reserve, says, ...next } = restored(row, all, proofs, { at, place, policy, rotation });
    const changes = words.flatMap((word) => changeOf(domain, word));
    try {
      await world.ledger.commit({
        domains: [{ ...next.row, version: row.version }],
        ...(reserve.length === 0 ? {} : { reserve: reserve.map((selector) => ({ domain, selector })) }),
        ...(changes.length === 0 ? {} : { append: { pool: row.pool, place, changes } }),
      });
      return { takenBack: reserve.length, says };
    } catch (error) {
      if (!hasCode(error, 'conflict') || changes.length === 0 || tries >= appendTries) throw error;
    }
  }
};

/**
 * Brings a ledger that was restored from a backup up to the world, domain by domain. One that fails stays as the backup had it,
 * and is named.
 * @throws unavailable, throttled, denied: zones or vault cannot be listed; nothing but the epoch has changed
 */
export const restoreLedger = async (world: World): Promise<RestoreReport> => {
  const epoch = await world.ledger.beginEpoch();
  const session = await openSession(world);
  const seen = await takeStock(world);
  const says: string[] = [];
  const failed: string[] = [];
  const known = new Set<string>();
  let takenBack = 0;
  const restore = async (row: DomainRow): Promise<void> => {
    known.add(row.domain);
    try {
      const done = await restoreDomain(world, session, row, seen);
      takenBack += done.takenBack;
      says.push(...done.says);
    } catch (error) {
      failed.push(`${row.domain}: ${describe(error)}`);
      report(world, session, 'alarm', `not restored: ${describe(error)}`, { domain: row.domain });
    }
  };
  let after: string | undefined;
  do {
    const page = await world.ledger.domains({ limit: pageSize, ...(after === undefined ? {} : { after }) });
    await inParallel(width, page.rows, restore);
    after = page.next;
  } while (after !== undefined);
  // Domains that joined the fleet since the backup.
  const fresh = [...world.fleet.domains.values()].filter(
    ({ domain }) => !known.has(domain) && seen.secrets.has(domain),
  );
  await inParallel(width, fresh, ({ domain, zone, pool, cname }) =>
    restore({ ...emptyRow(domain, zone, pool), ...(cname === undefined ? {} : { cname }) }),
  );
  for (const line of says) report(world, session, 'step', `restored: ${line}`);
  return { epoch, domains: known.size, takenBack, says, failed };
};
