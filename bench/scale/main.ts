// `npm run bench:scale [-- --only TEXT] [--workers N] [--largest N]`: fleets from one domain to 100,000 in virtual time, and whether the goals
// of docs/measurements.md are met: exit 1 where one is not. Beside each other, one process runs one case after the other.
//
// 100,000 domains in one zone need a raised limit: Route 53 gives 10,000 records a zone.

import { Command, InvalidArgumentError } from 'commander';
import { dollarsFor } from '../../cli/cost/prices.ts';
import { days, minutes } from '../../core/time.ts';
import { printTable, progress } from '../table.ts';
import { type Case, type Measured, measure } from './cases.ts';
import { idleCost } from './idle.ts';
import { storageOf } from './storage.ts';
import { measureWire, type WireSizes } from './wire.ts';

const cases: readonly Case[] = [
  { does: 'schedule', domains: 1, zones: 1, hosts: 1 },
  { does: 'schedule', domains: 100, zones: 1, hosts: 1 },
  { does: 'schedule', domains: 100, zones: 'own', hosts: 1 },
  { does: 'schedule', domains: 10_000, zones: 1, hosts: 10 },
  { does: 'schedule', domains: 10_000, zones: 100, hosts: 300 },
  { does: 'schedule', domains: 10_000, zones: 'own', hosts: 10 },
  { does: 'schedule', domains: 100_000, zones: 1, hosts: 10 },
  { does: 'schedule', domains: 100_000, zones: 100, hosts: 10 },
  { does: 'schedule', domains: 100_000, zones: 'own', hosts: 10 },
  { does: 'emergency', domains: 1, zones: 1, hosts: 1 },
  { does: 'emergency', domains: 100, zones: 1, hosts: 10 },
  { does: 'emergency', domains: 10_000, zones: 1, hosts: 300 },
  { does: 'emergency', domains: 10_000, zones: 100, hosts: 10 },
  { does: 'emergency', domains: 10_000, zones: 'own', hosts: 10 },
  { does: 'emergency', domains: 100_000, zones: 1, hosts: 300 },
  { does: 'emergency', domains: 100_000, zones: 100, hosts: 10 },
  { does: 'emergency', domains: 100_000, zones: 'own', hosts: 10 },
];

/** The stack's: infra/stack.ts. */
const workersByDefault = 24;
const share = 0.8;
/** Of the function that works on units: one whole vCPU. */
const workerGigabytes = 1.769;
/** How often the policy of these fleets rotates, in a month. */
const rotationsInMonth = 30 / 90;

const goals = {
  changesShared: 0.06,
  changesOwn: 3,
  /** Hours, of 100,000 domains. */
  emergencyShared: 23 / 60,
  emergencyOwn: 7.6,
} as const;

const nameOf = ({ domains, zones, hosts }: Case): string =>
  `${domains.toLocaleString('en')} in ${zones === 'own' ? 'own zones' : zones === 1 ? '1 zone' : `${zones} zones`}, ${hosts} host${hosts === 1 ? '' : 's'}`;

/** ChangeResourceRecordSets for each rotation of a domain: one for its CREATE, its tombstone and its DELETE, shared. */
const changesEach = ({ world: { route53 } }: Measured): number => {
  const { creating, created, replacing, replaced, deleting, deleted } = route53.counts;
  return creating / created + replacing / replaced + deleting / deleted;
};

const bundleBytes = ({ world: { counts } }: Measured, wire: WireSizes): number =>
  counts.sentWithKey * wire.withKey + counts.sentWithout * wire.withoutKey;

/** What the rotations of a case cost, secrets' months left out. */
const dollarsOf = ({ world: { counts, ledger, secrets }, of }: Measured): number =>
  dollarsFor(ledger.counts.writes, 'writeUnit') +
  dollarsFor(ledger.counts.reads, 'readUnit') +
  dollarsFor((counts.lambda / 1_000) * workerGigabytes, 'gigabyteSecond') +
  dollarsFor(counts.messages * 3, 'queueRequest') +
  dollarsFor(counts.units + counts.hostUnits + counts.ticks, 'invocation') +
  // Each host is sent each key: read once for each host, and sealed with others.
  dollarsFor(
    secrets.counts.createSecret +
      secrets.counts.getSecretValue +
      secrets.counts.deleteSecret +
      counts.sentWithKey * of.hosts,
    'secretCall',
  ) +
  dollarsFor(counts.hostUnits, 'kmsSignature');

const hoursText = (hours: number): string =>
  !Number.isFinite(hours) ? 'never' : hours < 2 ? `${(hours * 60).toFixed(1)} min` : `${hours.toFixed(2)} h`;
const count = (n: number): string => Math.round(n).toLocaleString('en');
const size = (bytes: number): string =>
  bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;

interface Verdict {
  readonly says: string;
  readonly met: boolean;
}

const atMost = (what: string, value: number, goal: number, text: (n: number) => string): Verdict => ({
  says: `${what}: ${text(value)}, at most ${text(goal)}`,
  met: value <= goal,
});

const verdicts = (measured: Measured): readonly Verdict[] => {
  const { of, world, hours } = measured;
  const { route53, secrets } = world;
  const name = `${of.does}, ${nameOf(of)}`;
  const large = of.domains >= 1_000;
  const own = of.zones === 'own';
  const overQuota = Math.max(route53.over.requests, route53.over.changes);
  return [
    // A worker's latencies are between what it takes and what it spends.
    { says: `${name}: never above 80 % of the quota (${overQuota.toFixed(1)} over)`, met: overQuota <= 8 },
    {
      says: `${name}: no call throttled (${route53.counts.throttled + secrets.counts.throttled})`,
      met: route53.counts.throttled + secrets.counts.throttled === 0,
    },
    { says: `${name}: every domain rotated`, met: Number.isFinite(hours.switched) },
    ...(of.does === 'schedule' && (large || own)
      ? [
          atMost(
            `${name}: ChangeResourceRecordSets a rotation`,
            changesEach(measured),
            own ? goals.changesOwn : goals.changesShared,
            (n) => n.toFixed(4),
          ),
        ]
      : []),
    ...(of.does === 'emergency' && of.domains === 100_000
      ? [
          atMost(
            `${name}: published`,
            hours.inSync,
            own ? goals.emergencyOwn : goals.emergencyShared,
            hoursText,
          ),
        ]
      : []),
  ];
};

const wholeNumber = (text: string): number => {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 1) throw new InvalidArgumentError('a whole number from 1 on is wanted');
  return n;
};

const run = async ({
  only,
  workers,
  largest,
}: {
  readonly only?: string;
  readonly workers: number;
  readonly largest: number;
}): Promise<void> => {
  const chosen = cases.filter(
    (of) => of.domains <= largest && (only === undefined || `${of.does}, ${nameOf(of)}`.includes(only)),
  );
  if (chosen.length === 0)
    throw new Error(
      `no case is called ${only ?? 'anything'} with at most ${largest} domains:\n${cases.map((of) => `  ${of.does}, ${nameOf(of)}`).join('\n')}`,
    );
  const wire = await measureWire();
  const judged: Verdict[] = [];
  const schedule: string[][] = [];
  const emergency: string[][] = [];
  const calls: string[][] = [];
  for (const of of chosen) {
    progress(`${of.does}, ${nameOf(of)}`);
    const measured = await measure(of, { workers, share });
    const { world, hours, each, rotations, took } = measured;
    const { counts: r } = world.route53;
    progress(`took ${took.toFixed(0)} s`);
    for (const says of new Set(world.counts.unexpected.slice(0, 3))) progress(says);
    judged.push(...verdicts(measured));
    calls.push([
      `${of.does === 'schedule' ? 'S' : 'E'} ${nameOf(of)}`,
      count(r.submits),
      count(r.status),
      count(r.list),
      count(world.secrets.counts.createSecret),
      count(world.secrets.counts.getSecretValue),
      count(world.secrets.counts.deleteSecret),
      count(world.secrets.counts.kms),
      count(world.counts.messages),
    ]);
    const common = [
      count(world.counts.lambda / 1_000),
      count(world.ledger.counts.writes / of.domains),
      size(bundleBytes(measured, wire)),
    ];
    if (of.does === 'schedule')
      schedule.push([
        nameOf(of),
        changesEach(measured).toFixed(4),
        hoursText(each.switched),
        hoursText(each.gone),
        ...common,
        `$${((dollarsOf(measured) / rotations) * of.domains * rotationsInMonth).toFixed(2)}`,
      ]);
    else
      emergency.push([
        nameOf(of),
        hoursText(hours.inSync),
        hoursText(hours.proved),
        hoursText(hours.switched),
        ...common,
        `$${dollarsOf(measured).toFixed(2)}`,
      ]);
  }
  const perDomain = ['Lambda s', 'WRU each', 'bundles'];
  if (schedule.length > 0)
    printTable({
      title:
        'by the schedule: each domain rotates once in 90 days (WRU: ledger writes a domain; bundles: for one host)',
      columns: ['domains', 'CRRS each', 'signs in', 'gone in', ...perDomain, 'a month'],
      rows: schedule,
    });
  if (emergency.length > 0)
    printTable({
      title: `everything rotates in an emergency (${workers} workers, ${share * 100} % of the quotas)`,
      columns: ['domains', 'in sync', 'proved', 'switched', ...perDomain, 'in all'],
      rows: emergency,
    });
  printTable({
    title: 'calls (S: schedule, E: emergency)',
    columns: ['fleet', 'CRRS', 'GetChange', 'List', 'CreateSec', 'GetSecret', 'DeleteSec', 'KMS', 'messages'],
    rows: calls,
  });
  const idle = await idleCost([1, 1_000, Math.min(20_000, largest)], days(1), minutes(1));
  printTable(idle.table);
  judged.push({ says: 'idle cost does not grow with domains that are not due', met: idle.same });
  const storage = await storageOf();
  printTable(storage.table);
  judged.push({ says: 'hosts × domains are nowhere multiplied in storage', met: storage.added });
  const missed = judged.filter(({ met }) => !met);
  console.log('');
  for (const { says, met } of judged) console.log(`  ${met ? 'met   ' : 'MISSED'} ${says}`);
  console.log(`\n${judged.length - missed.length} of ${judged.length} goals met`);
  if (missed.length > 0) process.exitCode = 1;
};

await new Command('bench:scale')
  .description('fleets of up to 100,000 domains in virtual time, against the goals for them')
  .option('--only <text>', 'cases whose name has this text')
  .option('--workers <n>', 'units worked on at once', wholeNumber, workersByDefault)
  .option('--largest <n>', 'fleets of at most so many domains', wholeNumber, 100_000)
  .action(run)
  .parseAsync()
  .catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
