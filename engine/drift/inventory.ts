// What an audit of everything goes through: the zones, some of them each minute, so that the audit of a large fleet takes hours
// and its own work goes on; the ledger's rows; the vault's secrets; the hosts.

import type { DomainRow, Key } from '../../core/key/evidence.ts';
import { keyOf } from '../../core/key/row.ts';
import { add, formatInstant, hours, type Instant, instant, minutes } from '../../core/time.ts';
import { silence } from '../health.ts';
import { inParallel } from '../parallel.ts';
import type { HostRow, Inventory, StoredSecret, Unit } from '../ports.ts';
import { isInstalled, newHostRow, openSession, type Session, type World } from '../world.ts';
import { deleteSecretCommand, sharedSecret } from './commands.ts';
import { addFindings, type Found, openReport } from './report.ts';

/** Zones whose audits are sent at once, and when the next are: an account has ten requests a second for everything. */
const zonesAtOnce = 150;
const zonesEvery = minutes(1);
const width = 16;
/** Rows of one unit. */
const rowsAtOnce = 500;
/** Secrets of one page, and pages of one unit. */
const secretsAtOnce = 100;
const secretPages = 10;
const hostsAtOnce = 500;
/** A new secret is listed before the ledger has its reference, and one that was given up is destroyed some minutes later. */
const secretGrace = hours(1);
/** A host that is ready and is told something applies it within minutes. */
const hostGrace = hours(1);

const auditZones = async (world: World, unit: Extract<Unit, { kind: 'inventory' }>): Promise<void> => {
  const names = [...world.fleet.zones.keys()]
    .toSorted()
    .filter((name) => unit.after === undefined || name > unit.after);
  const now = names.slice(0, zonesAtOnce);
  await world.queue.send(now.map((zone): Unit => ({ kind: 'audit', zone })));
  const last = now.at(-1);
  if (last !== undefined && names.length > now.length)
    await world.queue.send([{ kind: 'inventory', of: 'zones', after: last }], zonesEvery);
};

/** A key whose record may stand or whose private half somebody may still need. */
const isLive = (key: Key): boolean => key.evidence.destroyed === undefined;

/** Its private half should be in the vault: adopted keys never were. */
const wantsSecret = ({ evidence }: Key): boolean =>
  evidence.stored !== undefined && evidence.destroyed === undefined;

const lostSecrets = async (world: World, row: DomainRow): Promise<readonly Found[]> => {
  const found: Found[] = [];
  for (const { selector } of row.keys.filter(wantsSecret)) {
    if ((await world.vault.find(row.domain, selector)) !== undefined) continue;
    // Destroyed while we looked?
    const now = await world.ledger.domain(row.domain);
    const key = now === undefined ? undefined : keyOf(now, selector);
    if (key === undefined || !wantsSecret(key)) continue;
    found.push({
      kind: 'secret-missing',
      level: 'alarm',
      name: `${row.domain}/${selector}`,
      domain: row.domain,
      selector,
      says: `the private key of ${selector} of ${row.domain} is no longer in the vault: hosts sign with their copies, and a new or wiped host gets none. Restore the secret, or rotate:`,
      command: `selkie rotate ${row.domain}`,
    });
  }
  return found;
};

const unknownDomain = (world: World, row: DomainRow): readonly Found[] => {
  const live = row.keys.filter(isLive);
  if (live.length === 0) return [];
  const about = { kind: 'domain-unknown', level: 'alarm', name: row.domain, domain: row.domain } as const;
  const selectors = live.map(({ selector }) => selector).join(', ');
  if (!world.fleet.zones.has(row.zone))
    return [
      {
        ...about,
        says: `${row.domain} has keys (${selectors}) in zone ${row.zone}, which is not in fleet.yaml: they can be neither revoked nor removed. Put the zone back until they are gone.`,
      },
    ];
  return world.fleet.domains.has(row.domain)
    ? []
    : [
        {
          ...about,
          says: `${row.domain} is not in fleet.yaml and has keys (${selectors}): they drain, are revoked and removed. If it is to stay, put it back.`,
        },
      ];
};

const auditDomains = async (
  world: World,
  after: string | undefined,
): Promise<{ found: readonly Found[]; compared: number; next?: string }> => {
  const page = await world.ledger.domains({ limit: rowsAtOnce, ...(after === undefined ? {} : { after }) });
  const found = await inParallel(width, page.rows, async (row) => [
    ...unknownDomain(world, row),
    ...(await lostSecrets(world, row)),
  ]);
  const { next } = page;
  return { found: found.flat(), compared: page.rows.length, ...(next === undefined ? {} : { next }) };
};

/** Whether a key wants this secret, or may come to want it. */
const isWanted = (row: DomainRow | undefined, { selector, secret }: StoredSecret, now: Instant): boolean => {
  const key = row === undefined ? undefined : keyOf(row, selector);
  if (key === undefined) return false;
  const { stored, destroyed, reserved } = key.evidence;
  if (destroyed !== undefined) return now < add(destroyed.at, secretGrace);
  if (stored === undefined) return true;
  // A copy that lost against another worker's is destroyed by whoever made it.
  return stored.secret === secret || now < add(reserved.at, secretGrace);
};

/** @param beside how many keys of the same secret are wanted: one key of a secret cannot be deleted alone */
const orphanSecret = (stored: StoredSecret, beside: number): Found => {
  const shares = sharedSecret(stored.secret);
  const about = {
    kind: 'secret-orphan',
    name: stored.secret,
    domain: stored.domain,
    selector: stored.selector,
  } as const;
  const says = `the secret ${stored.secret} holds a private key of ${stored.domain} (${stored.selector}) that the ledger does not know, or no longer wants.`;
  if (shares !== undefined && beside > 0)
    return {
      ...about,
      level: 'note',
      says: `${says} ${beside === 1 ? 'Another key of that secret is' : `${beside} other keys of that secret are`} wanted, so it stays for now; nothing signs with it. Rotations move them elsewhere, and the audit after the last gives the command to delete the secret.`,
    };
  const command = deleteSecretCommand(stored.secret);
  return {
    ...about,
    level: 'alarm',
    says: `${says} ${command === undefined ? 'Delete it from the vault.' : shares === undefined ? 'Delete it:' : 'No key of that secret is wanted. Delete it:'}`,
    ...(command === undefined ? {} : { command }),
  };
};

/** Of one page, which holds a secret with all of its keys. */
const orphans = (all: readonly StoredSecret[], unwanted: readonly StoredSecret[]): readonly Found[] => {
  const wanted = new Map<string, number>();
  const gone = new Set(unwanted);
  for (const one of all) {
    const shares = sharedSecret(one.secret);
    if (shares !== undefined && !gone.has(one)) wanted.set(shares, (wanted.get(shares) ?? 0) + 1);
  }
  return unwanted.map((one) => orphanSecret(one, wanted.get(sharedSecret(one.secret) ?? '') ?? 0));
};

const auditSecrets = async (
  world: World,
  after: string | undefined,
  now: Instant,
): Promise<{ found: readonly Found[]; compared: number; next?: string }> => {
  const rows = new Map<string, Promise<DomainRow | undefined>>();
  const rowOf = (domain: string): Promise<DomainRow | undefined> => {
    const row = rows.get(domain) ?? world.ledger.domain(domain);
    rows.set(domain, row);
    return row;
  };
  const found: Found[] = [];
  let [next, compared]: [string | undefined, number] = [after, 0];
  for (let pages = 0; pages < secretPages; pages += 1) {
    const page = await world.vault.list({
      limit: secretsAtOnce,
      ...(next === undefined ? {} : { after: next }),
    });
    const unwanted = await inParallel(width, page.secrets, async (secret) =>
      isWanted(await rowOf(secret.domain), secret, now) ? [] : [secret],
    );
    compared += page.secrets.length;
    found.push(...orphans(page.secrets, unwanted.flat()));
    next = page.next;
    if (next === undefined) return { found, compared };
  }
  return { found, compared, ...(next === undefined ? {} : { next }) };
};

/** Why a host that is ready does not have what it was told; undefined: it has, or was told lately. */
const lag = (row: HostRow, told: { epoch: number; n: number }, now: Instant): string | undefined => {
  if (!row.complete || row.excluded !== undefined || row.fenced !== undefined) return undefined;
  const heard = instant(Math.max(row.lastSeen ?? 0, row.lastPull ?? 0));
  if (row.manifest === undefined || now < add(row.manifest.at, hostGrace)) return undefined;
  const { epoch = 0, n = 0 } = row.cursor ?? {};
  if (epoch === told.epoch && n >= Math.min(told.n, row.manifest.upTo.n)) return undefined;
  return `${row.name} applied ${n} of ${told.n} things that its pool ${row.pool} was told (epoch ${epoch} of ${told.epoch}), and was last heard of ${formatInstant(heard)}${row.trouble === undefined ? '' : `; ${row.trouble.message}`}. Look at it: selkie-agent doctor`;
};

const judgeHost = (
  world: World,
  row: HostRow,
  told: { epoch: number; n: number } | undefined,
  now: Instant,
): readonly Found[] => {
  const about = { level: 'alarm', name: row.name } as const;
  if (!world.fleet.hosts.has(row.name))
    return [
      {
        ...about,
        kind: 'host-unknown',
        level: 'note',
        says: `host ${row.name} is not in fleet.yaml: it is sent nothing, and keeps the keys that it had. Wipe its key store where it is gone for good.`,
      },
    ];
  const silent = silence(row, now, instant(world.fleet.version));
  if (silent !== undefined)
    return [
      {
        ...about,
        kind: 'host-silent',
        says: `${silent}. Where it is gone: selkie host exclude ${row.name}`,
      },
    ];
  const behind = told === undefined ? undefined : lag(row, told, now);
  return behind === undefined ? [] : [{ ...about, kind: 'host-behind', says: behind }];
};

const auditHosts = async (
  world: World,
  session: Session,
  after: string | undefined,
): Promise<{ found: readonly Found[]; compared: number; next?: string }> => {
  const told = new Map<string, { epoch: number; n: number }>();
  for (const pool of world.fleet.pools) {
    const { epoch, n } = await world.ledger.nextPlace(pool);
    told.set(pool, { epoch, n: n - 1 });
  }
  const page = await world.ledger.hostRows({ limit: hostsAtOnce, ...(after === undefined ? {} : { after }) });
  const { next } = page;
  const known = new Set(page.rows.map(({ name }) => name));
  // Those that the fleet names and nobody heard of yet, each on the page where its row would be.
  const unheard = [...world.fleet.hosts.values()]
    .filter(
      ({ name }) =>
        !known.has(name) && (after === undefined || name > after) && (next === undefined || name <= next),
    )
    .map(({ name, pool }) => newHostRow(name, pool));
  const rows = [...page.rows, ...unheard];
  const found = rows.flatMap((row) => judgeHost(world, row, told.get(row.pool), session.now()));
  return { found, compared: rows.length, ...(next === undefined ? {} : { next }) };
};

const part = (
  world: World,
  session: Session,
  of: Exclude<Inventory, 'zones'>,
  after: string | undefined,
): Promise<{ found: readonly Found[]; compared: number; next?: string }> => {
  switch (of) {
    case 'domains':
      return auditDomains(world, after);
    case 'secrets':
      return auditSecrets(world, after, session.now());
    case 'hosts':
      return auditHosts(world, session, after);
  }
};

/** @throws stale-fleet, unavailable, throttled: the unit is to be tried again */
export const takeInventory = async (
  world: World,
  unit: Extract<Unit, { kind: 'inventory' }>,
): Promise<void> => {
  const session = await openSession(world);
  if (!isInstalled(world, session)) return;
  const { of, after } = unit;
  if (of === 'zones') return auditZones(world, unit);
  const report = await openReport(world, session, of, after);
  if (report === undefined) return;
  const { found, compared, next } = await part(world, session, of, after);
  await addFindings(world, session, report, found, compared, next === undefined ? undefined : { next });
  if (next !== undefined) await world.queue.send([{ kind: 'inventory', of, after: next }]);
};
