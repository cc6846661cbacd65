// One record that is not as the ledger says: looked at once more, and put back where it is ours (invariant 4: a key's name is
// ours from CREATE to removal, later edits by others included).
//
// Safe beside a cohort unit on the same row. Whoever means to change a record saves that intent first, so a row that reads the
// same before and after the look was not about to be changed when it was looked at. The change names exactly what was seen and
// is refused where anything else stands there by then. And after it the row is read once more: where the key moved on in just
// that moment, what should stand there now is put there.

import { parseKeyRecord } from '../../core/dkim/key-record.ts';
import { describe, hasCode } from '../../core/errors.ts';
import type { Accepted, DomainRow } from '../../core/key/evidence.ts';
import { keyOf, recordName } from '../../core/key/row.ts';
import { type Standing, standingOf } from '../../core/key/standing.ts';
import type { FleetZone } from '../../core/policy.ts';
import { minutes } from '../../core/time.ts';
import type { Change, TxtSet } from '../ports.ts';
import { holdsOnly } from '../txt-set.ts';
import { cohortName } from '../units.ts';
import { report, type Session, type World } from '../world.ts';
import { deleteRecordCommand } from './commands.ts';
import type { Found } from './report.ts';

/** How often it is tried again when the row moves meanwhile. */
const mostTries = 3;
const leaseLength = minutes(1);

const shown = (set: TxtSet): string =>
  set.values.length === 0
    ? 'something else'
    : `${set.values.length === 1 ? '' : `${set.values.length} records, the first `}"${(set.values[0] ?? '').slice(0, 60)}"`;

/** Whether a set is what should stand there, to the TTL: drains are reckoned with it. Panels that people use may round it down. */
export const stands = (
  zone: FleetZone,
  standing: Extract<Standing, { is: 'record' }>,
  set: TxtSet | undefined,
): boolean =>
  set !== undefined &&
  holdsOnly(set, standing.value) &&
  (zone.provider === 'manual' ? set.ttl <= standing.ttl : set.ttl === standing.ttl);

/** Exactly one record, and it says that its key is revoked (RFC 6376 §3.6.1: an empty `p=`). */
const isTombstone = (set: TxtSet | undefined): boolean => {
  const [value, ...more] = set?.values ?? [];
  if (value === undefined || more.length > 0) return false;
  try {
    return parseKeyRecord(value).revoked;
  } catch {
    return false;
  }
};

const difference = (standing: Extract<Standing, { is: 'record' }>, there: TxtSet | undefined): string => {
  if (there === undefined) return 'is gone';
  if (holdsOnly(there, standing.value))
    return `has a TTL of ${there.ttl / 1_000} s instead of ${standing.ttl / 1_000} s`;
  return `says ${shown(there)}`;
};

/** Of a record that came back: what makes it urgent. */
const published = (row: DomainRow, selector: string): string =>
  keyOf(row, selector)?.evidence.disclosureIntended === undefined
    ? ''
    : ` Its private half is published: while the record stands, anybody can sign as ${row.domain}.`;

const expected = (zone: FleetZone, row: DomainRow | undefined, selector: string): Standing => {
  const key = row === undefined ? undefined : keyOf(row, selector);
  return key === undefined ? { is: 'not-ours' } : standingOf(key, zone.provider === 'manual');
};

const changeTo = (
  name: string,
  there: TxtSet | undefined,
  standing: Extract<Standing, { is: 'record' }>,
): Change => {
  const set: TxtSet = { ttl: standing.ttl, values: [standing.value] };
  return there === undefined ? { do: 'create', name, set } : { do: 'replace', name, old: there, set };
};

/** The key moved on while its record was put back: what we put there is replaced by what should be there now, or deleted. */
const followUp = async (
  world: World,
  zone: FleetZone,
  name: string,
  ours: TxtSet,
  now: Standing,
): Promise<void> => {
  if (now.is === 'record' && !stands(zone, now, ours))
    await world.writer.submit(zone, [changeTo(name, ours, now)]);
  if (now.is === 'nothing') await world.writer.submit(zone, [{ do: 'delete', name, set: ours }]);
};

type Place = { readonly domain: string; readonly selector: string; readonly name: string };

/** @throws rejected: something else stands there by now; and what the ports throw */
const putBack = async (
  world: World,
  session: Session,
  zone: FleetZone,
  { domain, selector, name }: Place,
  there: TxtSet | undefined,
  standing: Extract<Standing, { is: 'record' }>,
): Promise<Accepted> => {
  const change = changeTo(name, there, standing);
  const changeId = await world.writer.submit(zone, [change]);
  const at = session.now();
  await followUp(world, zone, name, change.set, expected(zone, await world.ledger.domain(domain), selector));
  return { at, changeId };
};

/**
 * Looks at one key's record again and puts it back. Undefined: all is as it should be, or about to be changed.
 * @throws throttled, unavailable, busy: the unit is to be tried again
 */
export const mend = async (
  world: World,
  session: Session,
  zone: FleetZone,
  { domain, selector }: { readonly domain: string; readonly selector: string },
): Promise<Found | undefined> => {
  const lease = cohortName(world.fleet, { domain, zone: zone.name });
  const holder = world.randomness.id();
  // Had or not: it only keeps the cohort's own unit from having to look again.
  const had = await world.ledger.lease(lease, holder, session.now(), leaseLength);
  try {
    for (let tries = 0; tries < mostTries; tries += 1) {
      const row = await world.ledger.domain(domain);
      const standing = expected(zone, row, selector);
      if (row === undefined || standing.is === 'changing' || standing.is === 'not-ours') return undefined;
      const name = recordName(row, selector);
      const there = await world.writer.lookup(zone, name);
      if (standing.is === 'nothing' ? there === undefined : stands(zone, standing, there)) return undefined;
      if ((await world.ledger.domain(domain))?.version !== row.version) continue;
      const about = { name, domain, selector, level: 'alarm' } as const;
      if (standing.is === 'nothing') {
        const command = there === undefined ? undefined : deleteRecordCommand(zone, name, there);
        return {
          ...about,
          kind: 'record-orphan',
          says: `${name} says ${there === undefined ? '' : shown(there)}: the key ${selector} of ${domain} was removed, and its name is no longer Selkie's to change.${published(row, selector)} Delete it:`,
          ...(command === undefined ? {} : { command }),
        };
      }
      if (standing.what === 'key' && isTombstone(there))
        return {
          ...about,
          kind: 'record-edited',
          says: `${name} says that the key is revoked, and the ledger says that it is not. It is left so: who revoked it by hand had a reason, and a ledger that is older than the zone came from a backup and has to be brought up first (docs/operations.md, Recovery drills). Mail signed with ${selector} fails until ${domain} signs with another key:`,
          command: `selkie emergency ${domain}`,
        };
      const kind = there === undefined ? 'record-missing' : 'record-edited';
      const how = difference(standing, there);
      try {
        const mended = await putBack(world, session, zone, { domain, selector, name }, there, standing);
        // Of what is only asked for, nothing is said to be put back: the next audit looks.
        if (zone.provider === 'manual')
          return {
            ...about,
            kind,
            says: `${name} ${how}: somebody changed it. Put it back as it was, ready to paste:`,
            command: `selkie paste ${domain}`,
          };
        return {
          ...about,
          kind,
          says: `${name} ${how}: somebody changed it by hand. It is put back as the ledger says.`,
          mended,
        };
      } catch (error) {
        if (!hasCode(error, 'rejected', 'denied')) {
          // Done or not: the next try may find it whole, so it is said now.
          report(world, session, 'trouble', `${name} ${how}; putting it back failed: ${describe(error)}`, {
            domain,
            selector,
          });
          throw error;
        }
        if (hasCode(error, 'rejected') && tries + 1 < mostTries) continue;
        return {
          ...about,
          kind,
          says: `${name} ${how}, and could not be put back: ${describe(error)}. Look at what stands there; rotate ${domain} if it cannot be mended: selkie rotate ${domain}`,
        };
      }
    }
    // It moves under our eyes: its own unit is at work, and the next audit looks again.
    return undefined;
  } finally {
    if (had) await world.ledger.release(lease, holder).catch(() => {});
  }
};
