// After the ledger was restored from a backup: a new epoch, so that every host gets a full snapshot, and each row brought up to
// what zones and vault show (core/key/restored.ts). Nothing else may work on the ledger meanwhile: docs/operations.md, Recovery
// drills; openSession sees to it. It changes no record and no secret. Again is the same.

import { algorithms } from '../core/algorithm.ts';
import { describe, hasCode, SelkieError } from '../core/errors.ts';
import type { DomainRow } from '../core/key/evidence.ts';
import {
  candidates,
  type Proof,
  type Recovered,
  recover,
  restored,
  signers,
  unsettled,
  type Word,
} from '../core/key/restored.ts';
import { emptyRow, recordName } from '../core/key/row.ts';
import { isServing } from '../core/key/state.ts';
import type { FleetZone } from '../core/policy.ts';
import { add, type Duration, formatInstant, type Instant, latest, milliseconds } from '../core/time.ts';
import { auditedDomain } from './audit.ts';
import { inParallel } from './parallel.ts';
import type { DutyChange, Happening, Unit } from './ports.ts';
import { everyServer, showsExactly } from './prove.ts';
import { findAll, type Seen, takeStock } from './restore-stock.ts';
import { openSessionOnAny, policyOf, type Session, type World } from './world.ts';

export interface RestoreOptions {
  /** Who orders it, and why; absent: it only says what it would do. */
  readonly apply?: { readonly by: string; readonly why: string };
  /** Also a ledger that is in use: a backup that was restored under the old one's name. */
  readonly force?: boolean;
  /** How long calls that were under way may still have their effect. */
  readonly stillFor: Duration;
  /** These stay as the backup had them. */
  readonly leave?: readonly string[];
  /** Goes on behind this domain. */
  readonly after?: string;
  /** Begins no domain after so long. */
  readonly within?: Duration;
}

export interface RestoreReport {
  /** What the ledger is. */
  readonly ledger: string;
  readonly applied: boolean;
  /** Present: nothing was done, since what was under way may still have its effect until then. */
  readonly waitUntil?: Instant;
  readonly epoch: number;
  /** How many domains were looked at. */
  readonly domains: number;
  /** Keys that the backup did not know. */
  readonly takenBack: number;
  /** What becomes of keys, for people. */
  readonly says: readonly string[];
  /** Domains whose rows are as the backup had them, and why: do it again. */
  readonly failed: readonly string[];
  /** Time was up: go on behind this domain. */
  readonly next?: string;
  /** Every row is brought up, and the ledger is in use. */
  readonly done: boolean;
}

const width = 8;
/** Rows between two looks at the time. */
const rowsAtOnce = 50;
/** Domains of one pool take its log's numbers from each other. */
const appendTries = 100;

/** Looks at the name servers for the keys that are to sign, in the order in which they would. */
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

/** What one pass is about. */
interface Pass {
  readonly world: World;
  readonly session: Session;
  readonly seen: Seen;
  readonly options: RestoreOptions;
  /** Since when nothing works on the ledger but this; absent: it is not applied. */
  readonly since?: Instant;
  readonly epoch: number;
}

/**
 * A key that is proved now signs now: caches may deny its record for as long as they were told before it was there.
 * @throws unavailable
 */
const requireQuiet = (
  { session, since, options }: Pass,
  domain: string,
  proofs: ReadonlyMap<string, Proof>,
  wildcardTtl: Duration,
): void => {
  if (since === undefined || proofs.size === 0) return;
  const longest = Math.max(wildcardTtl, ...[...proofs.values()].map(({ negativeTtl }) => negativeTtl));
  const quiet = add(since, milliseconds(options.stillFor + longest));
  // Two readings of the ledger's clock may lie a moment apart.
  if (latest(session.now(), since) < quiet)
    throw new SelkieError(
      'unavailable',
      `${domain}: caches may deny the record of ${[...proofs.keys()].join(', ')} until ${formatInstant(quiet)}: do it again then`,
    );
};

/** @throws unavailable: what its hosts sign with cannot be settled now */
const restoreDomain = async (
  pass: Pass,
  row: DomainRow,
): Promise<{ readonly takenBack: number; readonly says: readonly string[] }> => {
  const { world, session, seen, options, epoch } = pass;
  const { domain } = row;
  if (pass.since !== undefined && row.restored?.epoch === epoch) return { takenBack: 0, says: [] };
  const zone = world.fleet.zones.get(row.zone);
  if (zone === undefined)
    throw new SelkieError('not-found', `${domain}: its zone ${row.zone} is not in fleet.yaml: put it back`);
  const shown = await seen.zone(zone);
  const [at, rotation, policy] = [session.now(), world.randomness.id(), policyOf(world, domain)];
  const all = recover(row, await findAll(world, row, shown, seen), policy, at, rotation);
  const standing = candidates(all);
  const { proofs, faults } = await prove(world, zone, row, standing);
  if (unsettled(standing, signers(standing, proofs)).length > 0)
    throw new SelkieError('unavailable', `${domain}: ${faults.join('; ')}`);
  requireQuiet(pass, domain, proofs, shown.wildcardTtl);
  for (let tries = 1; ; tries += 1) {
    const place = await world.ledger.nextPlace(row.pool);
    const { words, reserve, says, ...next } = restored(row, all, proofs, { at, place, policy, rotation });
    if (options.apply === undefined) return { takenBack: reserve.length, says };
    const changes = words.flatMap((word) => changeOf(domain, word));
    const order = { what: 'restore', ...options.apply };
    const after = { ...next.row, restored: { at, epoch } };
    const written = auditedDomain(session, order, row, after, {
      epoch,
      ...(says.length > 0 ? { says } : {}),
    });
    try {
      await world.ledger.commit({
        domains: [{ ...written.row, version: row.version }],
        audit: written.audit,
        ...(reserve.length === 0 ? {} : { reserve: reserve.map((selector) => ({ domain, selector })) }),
        ...(changes.length === 0 ? {} : { append: { pool: row.pool, place, changes } }),
      });
      return { takenBack: reserve.length, says };
    } catch (error) {
      if (!hasCode(error, 'conflict') || changes.length === 0 || tries >= appendTries) throw error;
    }
  }
};

/** The domains of one pass: those of the ledger, then those that joined the fleet since the backup. */
const restoreDomains = async (pass: Pass): Promise<Omit<RestoreReport, 'ledger' | 'applied' | 'done'>> => {
  const { world, session, seen, options, epoch } = pass;
  const says: string[] = [];
  const failed: string[] = [];
  const leave = new Set(options.leave);
  const known = new Set<string>();
  let takenBack = 0;
  const restore = async (row: DomainRow): Promise<void> => {
    known.add(row.domain);
    if (leave.has(row.domain)) return;
    try {
      const done = await restoreDomain(pass, row);
      takenBack += done.takenBack;
      says.push(...done.says);
    } catch (error) {
      failed.push(
        describe(error).startsWith(row.domain) ? describe(error) : `${row.domain}: ${describe(error)}`,
      );
    }
  };
  const end = options.within === undefined ? undefined : add(session.now(), options.within);
  const report = () => ({ epoch, domains: known.size, takenBack, says, failed });
  let { after } = options;
  do {
    if (end !== undefined && after !== undefined && known.size > 0 && session.now() > end)
      return { ...report(), next: after };
    const page = await world.ledger.domains({ limit: rowsAtOnce, ...(after === undefined ? {} : { after }) });
    await inParallel(width, page.rows, restore);
    after = page.next;
  } while (after !== undefined);
  const fresh = [...world.fleet.domains.values()].filter(({ domain }) => seen.secrets.has(domain));
  await inParallel(width, fresh, async ({ domain, zone, pool, cname }) => {
    // One of a pass before this one is in the ledger.
    if (known.has(domain) || (await world.ledger.domain(domain)) !== undefined) return;
    await restore({ ...emptyRow(domain, zone, pool), ...(cname === undefined ? {} : { cname }) });
  });
  return report();
};

/**
 * Brings a ledger that was restored from a backup up to the world, domain by domain, and puts it to use. One that fails stays as
 * the backup had it and is named, and the ledger is not in use until it is done again. Of two passes at once, one is refused
 * by the rows' versions; a pass that broke off is gone on with by the next.
 * @throws unsafe: the ledger is in use, and nobody insists; unavailable, throttled, denied: zones or vault cannot be listed
 */
export const restoreLedger = async (world: World, options: RestoreOptions): Promise<RestoreReport> => {
  const session = await openSessionOnAny(world);
  const { restored: waiting } = session.head;
  if (waiting === undefined && options.force !== true)
    throw new SelkieError(
      'unsafe',
      `this ledger is in use, and none that a backup was restored to. Where a backup was restored under the name of the one before, insist: --force`,
    );
  const ledger = waiting?.says ?? 'this ledger is in use';
  const { apply, stillFor } = options;
  const begun = apply === undefined ? undefined : await world.ledger.beginRestore();
  const epoch = begun?.epoch ?? session.head.epoch + (waiting?.since === undefined ? 1 : 0);
  if (begun !== undefined && latest(session.now(), begun.since) < add(begun.since, stillFor)) {
    const none = { domains: 0, takenBack: 0, says: [], failed: [] };
    return { ledger, applied: true, waitUntil: add(begun.since, stillFor), epoch, ...none, done: false };
  }
  const seen = await takeStock(world);
  const pass: Pass = { world, session, seen, options, epoch };
  const report = await restoreDomains(begun === undefined ? pass : { ...pass, since: begun.since });
  if (begun !== undefined) {
    const tell = (level: Happening['level'], says: string) =>
      world.reporter.report({ at: session.now(), level, says });
    for (const line of report.says) tell('step', `restored: ${line}`);
    for (const line of report.failed) tell('alarm', `not restored: ${line}`);
  }
  // Only a pass that has seen every row puts the ledger to use.
  const whole = options.after === undefined && report.next === undefined && report.failed.length === 0;
  const done = begun !== undefined && whole;
  if (done) {
    await world.ledger.endRestore();
    await world.queue.send([...world.fleet.hosts.keys()].map((host): Unit => ({ kind: 'host', host })));
  }
  return { ledger, applied: begun !== undefined, ...report, done };
};
