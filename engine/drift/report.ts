// What an audit found, as the ledger keeps it: added up while an audit goes on in several units of work. An alarm is given
// when something is found that the audit before did not know.

import type { DriftReport, Finding } from '../ports.ts';
import { type Session, report as tell, type World } from '../world.ts';

/** Findings that a report holds: as many as a person reads, and few enough for one item of the ledger. */
const mostKept = 100;
/** Alarms of one unit that are told one by one; the others as a number. */
const mostTold = 20;

/** What a unit found, before it is known whether it is new. */
export type Found = Omit<Finding, 'since'>;

export const zoneSubject = (zone: string): string => `zone/${zone}`;

const idOf = ({ kind, name }: Pick<Finding, 'kind' | 'name'>): string => `${kind} ${name}`;

/** An audit begins: what the one before found is known. */
const begun = (subject: string, before: DriftReport | undefined, session: Session): DriftReport => ({
  subject,
  begun: session.now(),
  at: session.now(),
  complete: false,
  compared: 0,
  found: 0,
  alarms: 0,
  findings: [],
  known: {
    // Of an audit that never ended, too.
    ...before?.known,
    ...Object.fromEntries((before?.findings ?? []).map((finding) => [idOf(finding), finding.since])),
  },
});

/**
 * The report that a unit adds to; undefined where the unit comes too late, since another has gone on from there.
 * @param after where the unit goes on; undefined: the audit begins
 */
export const openReport = async (
  world: World,
  session: Session,
  subject: string,
  after: string | undefined,
): Promise<DriftReport | undefined> => {
  const last = await world.ledger.driftOf(subject);
  if (after === undefined) return begun(subject, last, session);
  return last?.progress?.next === after ? last : undefined;
};

/** The first of them, alarms before notes. */
const kept = (findings: readonly Finding[]): readonly Finding[] =>
  findings.toSorted((a, b) => (a.level === b.level ? 0 : a.level === 'alarm' ? -1 : 1)).slice(0, mostKept);

/** Tells what is new, writes the report, counts it. @param next where the audit goes on; absent: it is complete */
export const addFindings = async (
  world: World,
  session: Session,
  before: DriftReport,
  found: readonly Found[],
  compared: number,
  next?: { readonly next: string; readonly upTo?: string },
): Promise<DriftReport> => {
  const { known = {}, progress: _done, ...rest } = before;
  const at = session.now();
  const findings = found.map((each): Finding => ({ ...each, since: known[idOf(each)] ?? at }));
  const alarms = findings.filter(({ level }) => level === 'alarm');
  const report: DriftReport = {
    ...rest,
    at,
    complete: next === undefined,
    compared: before.compared + compared,
    found: before.found + findings.length,
    alarms: before.alarms + alarms.length,
    findings: kept([...before.findings, ...findings]),
    ...(next === undefined ? {} : { progress: next, known }),
  };
  await world.ledger.saveDrift(report);
  // What was put back is news, each time.
  const fresh = alarms.filter((finding) => finding.mended !== undefined || !(idOf(finding) in known));
  for (const { says, command, domain, selector } of fresh.slice(0, mostTold))
    tell(world, session, 'alarm', command === undefined ? says : `${says} ${command}`, {
      ...(domain === undefined ? {} : { domain }),
      ...(selector === undefined ? {} : { selector }),
    });
  if (fresh.length > mostTold)
    tell(
      world,
      session,
      'alarm',
      `${fresh.length - mostTold} more of ${before.subject} are not as the ledger says: selkie drift, or GET /v1/drift`,
    );
  world.reporter.count?.(
    'DriftFound',
    alarms.length,
    alarms.map(({ kind, name }) => `${kind} ${name}`),
  );
  if (report.complete)
    tell(
      world,
      session,
      'step',
      `audit of ${before.subject}: ${report.compared} compared, ${report.alarms} not as the ledger says`,
    );
  return report;
};
