// What `selkie doctor` looks at once the API answers: clocks, the fleet, hosts, rotations, drift. Each check says what is wrong
// and the command that mends it. Pure, over what the API told.

import { type Seen, sound, wrong } from '../../agent/doctor/check.ts';
import type { Fleet } from '../../core/policy.ts';
import { formatInstant, instant } from '../../core/time.ts';
import type { driftStatus } from '../../engine/drift.ts';
import type { fleetHealth } from '../../engine/fleet-health.ts';
import type { DomainStatus } from '../../engine/status.ts';
import type { PrintedHost } from '../print.ts';

export type Health = Awaited<ReturnType<typeof fleetHealth>>;
export type Audit = Awaited<ReturnType<typeof driftStatus>>['audits'][number];
type Findings = Seen['findings'];

/** As many as a screen holds. */
const most = 10;

const shortened = (findings: Findings, more: string): Seen => ({
  findings:
    findings.length <= most
      ? findings
      : [...findings.slice(0, most), { problem: `and ${findings.length - most} more`, mends: [more] }],
});

const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
/** To the minute, in UTC. */
const minuteOf = (milliseconds: number): string =>
  formatInstant(instant(milliseconds))
    .replace('T', ' ')
    .replace(/:\d\d\.\d{3}Z$/, 'Z');

/** Signatures of AWS are refused beyond it, and so is the work itself: invariant 10. */
const tolerated = 5 * 60_000;
const doubtful = 30_000;

/** @param local this machine's clock when the API answered: milliseconds since 1970 */
export const clocks = ({ ledger, skew }: Health, local: number): Seen => {
  const off = Math.round((local - Date.parse(ledger.at)) / 1_000);
  if (skew > tolerated)
    return wrong(
      `the worker's clock and the ledger's differ by ${Math.round(skew / 1_000)} s: it does nothing until they agree`,
      'timedatectl set-ntp true   (on the machine that runs Selkie)',
    );
  const words = `this machine is ${Math.abs(off)} s ${off < 0 ? 'behind' : 'ahead of'} the ledger`;
  if (Math.abs(off) * 1_000 > doubtful) return wrong(words, 'timedatectl set-ntp true');
  return sound(Math.abs(off) < 2 ? 'as the ledger has it' : words);
};

/** @param file fleet.yaml as it is here; absent: there is none */
export const fleetVersions = (
  { ledger, fleet }: Health,
  domains: readonly DomainStatus[],
  file: { readonly name: string; readonly fleet: Fleet } | undefined,
  deploy: string,
): Seen => {
  const findings: { problem: string; mends: readonly string[] }[] = [];
  const add = (problem: string, ...mends: readonly string[]): void => void findings.push({ problem, mends });
  if (fleet.version < ledger.fleet)
    add(
      `what answers carries the fleet of ${minuteOf(fleet.version)}, and the ledger has that of ${minuteOf(ledger.fleet)}`,
      deploy,
    );
  if (fleet.version > ledger.fleet)
    add(
      `the fleet of ${minuteOf(fleet.version)} is not installed: the ledger has that of ${ledger.fleet === 0 ? 'nobody' : minuteOf(ledger.fleet)}`,
      'wait a minute; if it stays, the log says why it is refused (docs/operations.md, a-person-should-look)',
    );
  if (file !== undefined) {
    const known = new Set(domains.map(({ domain }) => domain));
    const lacking = [...file.fleet.domains.values()].filter(
      ({ domain, leaving }) => !leaving && !known.has(domain),
    );
    const gone = domains.filter(({ domain, leaving }) => !leaving && !file.fleet.domains.has(domain));
    const names = (all: readonly { readonly domain: string }[]): string =>
      `${all
        .slice(0, 3)
        .map(({ domain }) => domain)
        .join(', ')}${all.length > 3 ? ` and ${all.length - 3} more` : ''}`;
    const other = `or name the file that runs: --fleet FILE`;
    if (lacking.length > 0) add(`${names(lacking)} of ${file.name} is not in the ledger`, deploy, other);
    if (gone.length > 0) add(`${names(gone)} is in the ledger and not in ${file.name}`, other);
    if (findings.length === 0 && file.fleet.version > fleet.version)
      add(
        `${file.name} was changed ${minuteOf(file.fleet.version)}, after what runs (${minuteOf(fleet.version)})`,
        deploy,
      );
  }
  if (findings.length > 0) return { findings };
  return sound(
    `${[counted(fleet.domains, 'domain'), counted(fleet.zones, 'zone'), counted(fleet.hosts, 'host')].join(', ')}, installed ${minuteOf(ledger.fleet)}`,
  );
};

export const hosts = (
  { silent }: Health,
  all: readonly PrintedHost[],
  command: (words: string) => string,
): Seen => {
  if (all.length === 0)
    return wrong(
      'there is no mail host, so that nothing signs',
      'selkie-agent enrol   (on a mail host; docs/aws.md)',
    );
  const doctor = (host: string): string => `selkie-agent doctor   (on ${host})`;
  const silence = silent.map((problem) => {
    const host = problem.split(' ')[0] ?? '';
    return {
      problem,
      mends: [doctor(host), command(`host exclude ${host} --reason "…"`)],
    };
  });
  const named = new Set(silent.map((sentence) => sentence.split(' ')[0]));
  const others = all
    .filter(({ host, excluded }) => excluded === undefined && !named.has(host))
    .flatMap(({ host, fenced, failed, trouble, ready }) => {
      const failures = Object.entries(failed);
      const [first] = failures;
      const problems = [
        fenced === undefined ? '' : `is fenced: ${fenced}`,
        first === undefined
          ? ''
          : `cannot use ${first[0]}${failures.length > 1 ? ` and ${failures.length - 1} more` : ''}: ${first[1]}`,
        trouble === undefined ? '' : `did not take what was sent last: ${trouble}`,
      ].filter((problem) => problem !== '');
      const idle = problems.length === 0 && !ready ? ['is not ready: it has no full snapshot yet'] : [];
      return [...problems, ...idle].map((problem) => ({
        problem: `${host} ${problem}`,
        mends: [doctor(host)],
      }));
    });
  const findings = [...silence, ...others];
  if (findings.length > 0) return shortened(findings, command('host list'));
  const away = all.filter(({ excluded }) => excluded !== undefined);
  const note = away.length === 0 ? '' : `, excluded: ${away.map(({ host }) => host).join(', ')}`;
  return sound(`${counted(all.length - away.length, 'host')} ready${note}`);
};

/** What somebody has to look at; a wait is none of it. */
const stuck: ReadonlySet<string> = new Set(['no-ready-host', 'self-test', 'trouble']);

export const rotations = (
  { forgotten }: Health,
  domains: readonly DomainStatus[],
  command: (words: string) => string,
): Seen => {
  const findings = domains.flatMap(({ domain, late = [], blockedBy }) => {
    const problems = [...late, ...blockedBy.filter(({ by }) => stuck.has(by)).map(({ says }) => says)];
    return [...new Set(problems)].map((problem, index, all) => ({
      problem: `${domain}: ${problem}`,
      mends: index === all.length - 1 ? [command(`plan ${domain}`)] : [],
    }));
  });
  const idle = forgotten.map((problem) => ({
    problem,
    mends: ['docs/operations.md, work-that-waits and no-tick'],
  }));
  if (findings.length + idle.length > 0) return shortened([...idle, ...findings], command('plan'));
  const soon = domains
    .flatMap(({ domain, nextRotation }) => (nextRotation === undefined ? [] : [{ domain, nextRotation }]))
    .toSorted((a, b) => a.nextRotation.localeCompare(b.nextRotation))[0];
  const next = soon === undefined ? '' : `; next ${soon.domain} ${minuteOf(Date.parse(soon.nextRotation))}`;
  return sound(`nothing late in ${counted(domains.length, 'domain')}${next}`);
};

/** An audit is made each day. */
const auditAge = 2 * 24 * 3_600_000;

export const drift = (
  { ledger }: Health,
  audits: readonly Audit[],
  command: (words: string) => string,
): Seen => {
  const run = command('drift --run');
  if (audits.length === 0) return { findings: [], skipped: `nothing was audited yet: ${run}` };
  const findings = audits.flatMap(({ findings: found }) =>
    found
      .filter(({ level, mended }) => level === 'alarm' && mended === undefined)
      .map(({ says, command: mend }) => ({ problem: says, mends: [mend ?? command('drift')] })),
  );
  const old = audits.filter(({ at }) => Date.parse(ledger.at) - Date.parse(at) > auditAge);
  const late =
    old.length === 0
      ? []
      : [
          {
            problem: `${counted(old.length, 'audit')} of ${audits.length} ${old.length === 1 ? 'is' : 'are'} older than two days`,
            mends: [run],
          },
        ];
  if (findings.length + late.length > 0) return shortened([...findings, ...late], command('drift'));
  const compared = audits.reduce((sum, audit) => sum + audit.compared, 0);
  const mended = audits.reduce(
    (sum, audit) => sum + audit.findings.filter((finding) => finding.mended !== undefined).length,
    0,
  );
  return sound(
    `${compared} compared, nothing found${mended === 0 ? '' : ` that is not put back (${mended} were)`}`,
  );
};
