// What an audit put back, until every name server shows it: the promise is about what the world sees, not about what the
// provider has accepted.

import { describe, hasCode } from '../../core/errors.ts';
import type { DomainRow } from '../../core/key/evidence.ts';
import { keyOf } from '../../core/key/row.ts';
import { standingOf } from '../../core/key/standing.ts';
import type { FleetZone } from '../../core/policy.ts';
import { add, days, minutes } from '../../core/time.ts';
import { showsPolicy } from '../policies/prove.ts';
import type { Finding, ServerAnswer, Unit } from '../ports.ts';
import { everyServer, showsExactly } from '../prove.ts';
import { comeBack, openSession, report, type Session, type World } from '../world.ts';
import { standingValue } from './policies.ts';
import { zoneSubject } from './report.ts';
import { withZoneReport } from './zone.ts';

const again = minutes(1);
/** After so long the next audit has looked, and a person was told. */
const patience = days(1);

/** What a name server should answer where a key or a policy record was put back; undefined: nothing that is known. */
const expectation = (
  row: DomainRow,
  zone: FleetZone,
  { selector, name }: Finding,
): ((answer: ServerAnswer) => boolean) | undefined => {
  if (selector === undefined) {
    const record = row.records?.find((one) => one.name === name && one.zone === zone.name);
    const value = record === undefined ? undefined : standingValue(record);
    return record === undefined || value === undefined ? undefined : showsPolicy(record, value);
  }
  const key = keyOf(row, selector);
  const standing = key === undefined ? undefined : standingOf(key, zone.provider === 'manual');
  return standing?.is === 'record' ? showsExactly(standing.value) : undefined;
};

/** The finding as it is now; `waits`: not every server shows it yet. */
const look = async (
  world: World,
  session: Session,
  zone: FleetZone,
  finding: Finding,
): Promise<{ readonly finding: Finding; readonly waits: boolean }> => {
  const { mended, domain, selector, name } = finding;
  if (mended === undefined || mended.shown !== undefined || domain === undefined)
    return { finding, waits: false };
  const row = await world.ledger.domain(domain);
  const holds = row === undefined ? undefined : expectation(row, zone, finding);
  // It moved on: its own unit proves what it does.
  if (holds === undefined) return { finding, waits: false };
  try {
    everyServer(name, await world.observer.observe(zone, name), holds);
  } catch (error) {
    if (!hasCode(error, 'unavailable')) throw error;
    if (session.now() < add(mended.at, patience)) return { finding, waits: true };
    report(world, session, 'alarm', `${name} was put back a day ago: ${describe(error)}`, {
      domain,
      ...(selector === undefined ? {} : { selector }),
    });
    return { finding, waits: false };
  }
  report(world, session, 'step', `${name} stands again on every name server`, {
    domain,
    ...(selector === undefined ? {} : { selector }),
  });
  return { finding: { ...finding, mended: { ...mended, shown: session.now() } }, waits: false };
};

/** @throws stale-fleet, unavailable, throttled: the unit is to be tried again */
export const watchMended = async (world: World, unit: Extract<Unit, { kind: 'mended' }>): Promise<void> => {
  const session = await openSession(world);
  await withZoneReport(world, session, unit, async (zone) => {
    const last = await world.ledger.driftOf(zoneSubject(zone.name));
    if (last === undefined) return;
    const looks: Awaited<ReturnType<typeof look>>[] = [];
    for (const finding of last.findings) looks.push(await look(world, session, zone, finding));
    const findings = looks.map(({ finding }) => finding);
    if (findings.some((finding, n) => finding !== last.findings[n]))
      await world.ledger.saveDrift({ ...last, findings });
    if (looks.some(({ waits }) => waits)) await comeBack(world, session, `mended/${zone.name}`, unit, again);
  });
};
