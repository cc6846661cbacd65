// The audit of one record zone: every TXT set at a key's name against the rows of its domains. A unit lists some pages of the
// zone, reads the rows of the domains whose names fall between, and goes on by a unit that follows.
//
// The list only raises suspicion: it is older than the rows, and what differs is looked at again, one by one (mend.ts).

import { describe, hasCode } from '../../core/errors.ts';
import type { DomainRow, Key } from '../../core/key/evidence.ts';
import { recordName } from '../../core/key/row.ts';
import { standingOf } from '../../core/key/standing.ts';
import { turnOf } from '../../core/key/state.ts';
import { isDomainName, keyRecordName, targetName } from '../../core/names.ts';
import type { Fleet, FleetDomain, FleetZone } from '../../core/policy.ts';
import { minutes, seconds } from '../../core/time.ts';
import { inParallel } from '../parallel.ts';
import type { DriftReport, TxtSet, Unit } from '../ports.ts';
import { holdsOnly } from '../txt-set.ts';
import { comeBack, isInstalled, openSession, type Session, type World } from '../world.ts';
import { deleteRecordCommand } from './commands.ts';
import { mend, stands } from './mend.ts';
import { comparePolicies, domainsWithPolicies, mendPolicy } from './policies.ts';
import { addFindings, type Found, openReport, zoneSubject } from './report.ts';

/** Route 53 lists so many sets in one answer. */
const pageSize = 300;
/** Requests of one unit: 6,000 sets, some seconds of the ten requests that an account is allowed in each. */
const pagesOfUnit = 20;
/** Rows read at once. */
const width = 16;
/** Records of one unit that are put back, some minutes' work; where more are wrong, the audit begins again after it. */
const mostMended = 200;
const leaseLength = minutes(5);
/** When to look first whether what was put back is shown. */
const firstLook = seconds(30);

/** What stands at the names from behind `from` up to `to`; undefined: from the beginning, to the end. */
interface Stretch {
  readonly sets: ReadonlyMap<string, TxtSet>;
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly next: string | undefined;
}

/** Several sets of one name (weighted ones) read as one of several values, which is no record of ours. */
const joined = (a: TxtSet | undefined, b: TxtSet): TxtSet =>
  a === undefined ? b : { ttl: a.ttl, values: [...a.values, ...b.values] };

const listStretch = async (
  world: World,
  zone: FleetZone,
  after: string | undefined,
  from: string | undefined,
): Promise<Stretch> => {
  const sets = new Map<string, TxtSet>();
  let [next, to]: [string | undefined, string | undefined] = [after, from];
  for (let pages = 0; pages < pagesOfUnit; pages += 1) {
    const page = await world.writer.list(zone, {
      limit: pageSize,
      ...(next === undefined ? {} : { after: next }),
    });
    for (const { name, set } of page.sets) sets.set(name, joined(sets.get(name), set));
    to = page.sets.at(-1)?.name ?? to;
    next = page.next;
    if (next === undefined) return { sets, from, to: undefined, next };
  }
  // Where it saw no TXT set at all, it has looked at nothing: the root is before every name.
  return { sets, from, to: to ?? '', next };
};

/** Route 53's order: by labels from the last on. A zone that is listed in another fits in one unit, or is looked at twice. */
const before = (a: string, b: string): boolean => {
  const [one, two] = [a, b].map((name) => name.split('.').toReversed());
  for (const [n, label] of (one ?? []).entries()) {
    const other = two?.[n];
    if (other === undefined) return false;
    if (label !== other) return label < other;
  }
  return (one?.length ?? 0) < (two?.length ?? 0);
};

const isIn = ({ from, to }: Stretch, name: string): boolean =>
  (from === undefined || before(from, name)) && (to === undefined || !before(to, name));

/** Whether some name right below `parent` may lie there. */
const touches = ({ from, to }: Stretch, parent: string): boolean =>
  (from === undefined || before(from, `~.${parent}`)) && (to === undefined || !before(to, parent));

/** `_domainkey.example.com`, or where its CNAMEs lead: the key records of a domain lie right below it. */
const parentOf = ({ domain, cname }: Pick<FleetDomain, 'domain' | 'cname'>): string =>
  (cname === undefined ? keyRecordName('', domain) : targetName('', domain, cname)).slice(1);

const byZone = new WeakMap<Fleet, ReadonlyMap<string, readonly FleetDomain[]>>();

const domainsOf = (fleet: Fleet, zone: string): readonly FleetDomain[] => {
  const known = byZone.get(fleet) ?? Map.groupBy(fleet.domains.values(), (entry) => entry.zone);
  byZone.set(fleet, known);
  return known.get(zone) ?? [];
};

/** The names of domains that the fleet does not name, by what stands there: `240128._domainkey.old.example` → `old.example`. */
const strangers = (sets: ReadonlyMap<string, TxtSet>, parents: ReadonlySet<string>): readonly string[] => {
  const found = [...sets.keys()].flatMap((name) => {
    const at = name.indexOf('._domainkey.');
    const domain = at === -1 ? '' : name.slice(at + '._domainkey.'.length);
    return isDomainName(domain) && !parents.has(`_domainkey.${domain}`) ? [domain] : [];
  });
  return [...new Set(found)];
};

const foreign = (
  zone: FleetZone,
  domain: string,
  name: string,
  set: TxtSet,
  row: DomainRow | undefined,
): Found => {
  const delete_ = deleteRecordCommand(zone, name, set);
  const adoptable = row !== undefined && row.keys.length === 0;
  const what = `${name} is a record that Selkie did not write and leaves alone.`;
  return {
    kind: 'record-foreign',
    level: 'note',
    name,
    domain,
    says: adoptable
      ? `${what} To take its key over, run selkie-agent adopt on the host that signs with it, and put what it prints under ${domain} in fleet.yaml.`
      : `${what} Whoever has its key can sign as ${domain}: delete it once nothing signs with it.`,
    ...(adoptable || delete_ === undefined ? {} : { command: delete_ }),
  };
};

interface Compared {
  readonly names: number;
  /** Keys whose record differs from the row, or did when it was listed. */
  readonly suspects: readonly { readonly domain: string; readonly selector: string }[];
  readonly found: readonly Found[];
  /** A record that was proved once and that the provider has, for a look at the delegation. */
  readonly sample?: { readonly name: string; readonly value: string };
}

const compare = (
  zone: FleetZone,
  stretch: Stretch,
  domains: readonly {
    readonly domain: string;
    readonly parent: string;
    readonly row: DomainRow | undefined;
  }[],
): Compared => {
  const rest = new Map(stretch.sets);
  const suspects: { domain: string; selector: string }[] = [];
  const found: Found[] = [];
  let names = 0;
  let sample: Compared['sample'];
  const judge = (row: DomainRow, key: Key): void => {
    const standing = standingOf(key, zone.provider === 'manual');
    const name = recordName(row, key.selector);
    if (standing.is === 'not-ours' || !isIn(stretch, name)) return;
    names += 1;
    const there = stretch.sets.get(name);
    rest.delete(name);
    if (standing.is === 'changing') return;
    if (standing.is === 'record' && stands(zone, standing, there)) {
      if (turnOf(key).proved !== undefined) sample ??= { name, value: standing.value };
    } else if (standing.is === 'record' || there !== undefined)
      suspects.push({ domain: row.domain, selector: key.selector });
  };
  for (const { row } of domains) for (const key of row?.keys ?? []) if (row !== undefined) judge(row, key);
  const byParent = new Map(domains.map((each) => [each.parent, each]));
  for (const [name, set] of rest) {
    const owner = byParent.get(name.slice(name.indexOf('.') + 1));
    if (owner === undefined) continue;
    names += 1;
    found.push(foreign(zone, owner.domain, name, set, owner.row));
  }
  return { names, suspects, found, ...(sample === undefined ? {} : { sample }) };
};

/** Whether the world is led to the zone: its name servers show a record that the provider has, and that they showed once. */
const delegation = async (
  world: World,
  zone: FleetZone,
  { name, value }: NonNullable<Compared['sample']>,
): Promise<Found | undefined> => {
  const about = { kind: 'delegation', level: 'alarm', name: zone.name } as const;
  const mend_ = `Look at the NS records of ${zone.name} in its parent zone; they should name those of ${zone.provider === 'manual' ? 'the panel' : `hosted zone ${zone.id}`}. Until they do, receivers of mail do not see Selkie's records.`;
  try {
    const { answers } = await world.observer.observe(zone, name);
    if (answers.some(({ answer }) => answer.kind === 'txt' && holdsOnly(answer.set, value))) return undefined;
    const servers = [...new Set(answers.map(({ server }) => server))].slice(0, 4).join(', ');
    return {
      ...about,
      says: `zone ${zone.name}: none of the name servers that its parent names (${servers}) shows ${name}, which the provider has. ${mend_}`,
    };
  } catch (error) {
    if (!hasCode(error, 'unavailable')) throw error;
    return {
      ...about,
      says: `zone ${zone.name}: its delegation cannot be learned: ${describe(error)}. ${mend_}`,
    };
  }
};

/** The provider does not let us list it: said in the report, since no retry mends it. */
const unlisted = (zone: FleetZone, error: unknown): Found => {
  const gone = hasCode(error, 'not-found');
  return {
    kind: gone ? 'zone-gone' : 'zone-refused',
    level: 'alarm',
    name: zone.name,
    says: gone
      ? `zone ${zone.name} (${zone.id}) is gone at its provider: its domains' mail fails DKIM. Restore it with its delegation, or give its new id in fleet.yaml; where the domains are given up, take them out of fleet.yaml.`
      : `zone ${zone.name} (${zone.id}) may not be listed: ${describe(error)}. Let Selkie's role list it: the zone's policy or role is not as deployed.`,
  };
};

/** The policy records of the zone, of domains whose keys lie in another too. */
const policiesIn = async (
  world: World,
  zone: FleetZone,
  stretch: Stretch,
  known: readonly DomainRow[],
): Promise<ReturnType<typeof comparePolicies>> => {
  const read = new Set(known.map(({ domain }) => domain));
  const more = domainsWithPolicies(world.fleet, zone.name).filter((domain) => !read.has(domain));
  const rows = await inParallel(width, more, (domain) => world.ledger.domain(domain));
  const all = [...known, ...rows.flatMap((row) => row ?? [])];
  return comparePolicies(zone, all, stretch.sets, (name) => isIn(stretch, name));
};

const auditStretch = async (
  world: World,
  session: Session,
  zone: FleetZone,
  report: DriftReport,
  after: string | undefined,
): Promise<void> => {
  let stretch: Stretch;
  try {
    stretch = await listStretch(world, zone, after, report.progress?.upTo);
  } catch (error) {
    if (!hasCode(error, 'not-found', 'denied')) throw error;
    await addFindings(world, session, report, [unlisted(zone, error)], 0);
    return;
  }
  const entries = domainsOf(world.fleet, zone.name)
    .map((entry) => ({ domain: entry.domain, parent: parentOf(entry) }))
    .filter(({ parent }) => touches(stretch, parent));
  const parents = new Set(domainsOf(world.fleet, zone.name).map(parentOf));
  const others = strangers(stretch.sets, parents).map((domain) => ({
    domain,
    parent: `_domainkey.${domain}`,
  }));
  const rows = await inParallel(width, [...entries, ...others], async (each) => {
    const row = await world.ledger.domain(each.domain);
    return { ...each, row: row?.zone === zone.name ? row : undefined };
  });
  // A domain that neither the fleet nor the ledger knows is none of ours, nor are the keys of its mail.
  const known = rows.filter(({ parent, row }) => parents.has(parent) || row !== undefined);
  const { names, suspects, found, sample } = compare(zone, stretch, known);
  const policies = await policiesIn(
    world,
    zone,
    stretch,
    known.flatMap(({ row }) => row ?? []),
  );
  const mended: Found[] = [];
  // One after the other: they are few, or something large is wrong and haste would not help.
  for (const suspect of suspects.slice(0, mostMended)) {
    const finding = await mend(world, session, zone, suspect);
    if (finding !== undefined) mended.push(finding);
  }
  for (const suspect of policies.suspects.slice(0, mostMended)) {
    const finding = await mendPolicy(world, session, zone, suspect);
    if (finding !== undefined) mended.push(finding);
  }
  const lost =
    sample === undefined || after !== undefined ? undefined : await delegation(world, zone, sample);
  const all = [...mended, ...found, ...(lost === undefined ? [] : [lost])];
  const { next, to } = stretch;
  await addFindings(
    world,
    session,
    report,
    all,
    names + policies.names,
    next === undefined ? undefined : { next, ...(to === undefined ? {} : { upTo: to }) },
  );
  const somePutBack = mended.some((finding) => finding.mended !== undefined);
  // It gets further each time, since what was put back is no longer suspect.
  const anew = Math.max(suspects.length, policies.suspects.length) > mostMended && somePutBack;
  if (anew) await world.queue.send([{ kind: 'audit', zone: zone.name }], minutes(1));
  else if (next !== undefined) await world.queue.send([{ kind: 'audit', zone: zone.name, after: next }]);
  if (somePutBack) await world.queue.send([{ kind: 'mended', zone: zone.name }], firstLook);
};

/** Audits of a zone, and looks at what they put back, are one at a time: they write one report. */
export const withZoneReport = async (
  world: World,
  session: Session,
  unit: Extract<Unit, { kind: 'audit' | 'mended' }>,
  work: (zone: FleetZone) => Promise<void>,
): Promise<void> => {
  const zone = world.fleet.zones.get(unit.zone);
  if (zone === undefined || !isInstalled(world, session)) return;
  const [lease, holder] = [`audit/${zone.name}`, world.randomness.id()];
  if (!(await world.ledger.lease(lease, holder, session.now(), leaseLength)))
    return comeBack(
      world,
      session,
      `${lease}/${unit.kind === 'audit' ? (unit.after ?? '') : unit.kind}`,
      unit,
      minutes(1),
    );
  try {
    await work(zone);
  } finally {
    await world.ledger.release(lease, holder).catch(() => {});
  }
};

/** @throws stale-fleet, unavailable, throttled: the unit is to be tried again */
export const auditZone = async (world: World, unit: Extract<Unit, { kind: 'audit' }>): Promise<void> => {
  const session = await openSession(world);
  await withZoneReport(world, session, unit, async (zone) => {
    const report = await openReport(world, session, zoneSubject(zone.name), unit.after);
    if (report !== undefined) await auditStretch(world, session, zone, report, unit.after);
  });
};
