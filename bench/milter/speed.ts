// How fast both milters sign over a unix socket, in turn, and what of it is the RSA signature's own time.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { median, progress } from '../table.ts';
import type { Bed } from './bed.ts';
import type { Figure } from './figures.ts';
import { type LoadResult, loadElsewhere } from './load.ts';
import type { RunningMilter } from './servers.ts';

interface Setting {
  readonly name: string;
  readonly size: number;
  readonly connections: number;
  readonly goal: number;
  readonly floor: number;
}

const settings: readonly Setting[] = [
  { name: '10 KB, 1 connection', size: 10_000, connections: 1, goal: 2.4, floor: 1.8 },
  { name: '10 KB, 8 connections', size: 10_000, connections: 8, goal: 3, floor: 2 },
  { name: '10 KB, 32 connections', size: 10_000, connections: 32, goal: 3, floor: 2 },
  { name: '100 KB, 8 connections', size: 100_000, connections: 8, goal: 2, floor: 1.4 },
  { name: '1 MB, 8 connections', size: 1_000_000, connections: 8, goal: 1.2, floor: 0.8 },
];

const middle = (results: readonly LoadResult[], of: (result: LoadResult) => number): number =>
  median(results.map(of));

/** @throws Error where a message was not signed: what is not done is not fast */
const signedAll = (who: string, result: LoadResult): LoadResult => {
  const { messages, unsigned, tempfailed, refused } = result;
  if (messages === 0 || unsigned + tempfailed + refused > 0)
    throw new Error(
      `${who}: of ${messages} messages ${unsigned} came unsigned, ${tempfailed} were put off, ${refused} refused`,
    );
  return result;
};

const runFor = async (
  bed: Bed,
  who: string,
  milter: RunningMilter,
  setting: Omit<Setting, 'goal' | 'floor'>,
) => {
  const { size, connections } = setting;
  const { target, pid } = milter;
  return signedAll(who, await loadElsewhere({ target, pid, connections, size, seconds: bed.seconds }));
};

const figures = ({ name, goal, floor }: Setting, ours: LoadResult[], theirs: LoadResult[]): Figure[] => {
  const rate = (results: readonly LoadResult[]): number => middle(results, (one) => one.perSecond);
  const cpu = (results: readonly LoadResult[]): number => middle(results, (one) => one.cpu);
  const p99 = (results: readonly LoadResult[]): number => middle(results, (one) => one.p99);
  const both = (of: (results: readonly LoadResult[]) => number, digits: number, unit: string): string =>
    `${of(ours).toFixed(digits)} and ${of(theirs).toFixed(digits)} ${unit}`;
  const speed: Figure = {
    name,
    value: rate(ours) / rate(theirs),
    goal,
    floor,
    more: true,
    detail: both(rate, 0, 'messages/s'),
  };
  const isSmall = name.startsWith('10 KB');
  return [
    speed,
    ...(isSmall
      ? [
          {
            name: `${name}: processor time`,
            value: cpu(ours) / cpu(theirs),
            goal: 0.35,
            floor: 0.5,
            more: false,
            detail: both(cpu, 2, 'ms a message'),
          },
        ]
      : []),
    ...(name === '10 KB, 32 connections'
      ? [
          {
            name: `${name}: p99`,
            value: p99(ours) / p99(theirs),
            goal: 1,
            floor: 1,
            more: false,
            detail: both(p99, 1, 'ms'),
          },
        ]
      : []),
  ];
};

/** Ratios to OpenDKIM, in interleaved rounds. */
export const compare = async (bed: Bed): Promise<Figure[]> => {
  const agent = await bed.agent();
  const opendkim = await bed.opendkim();
  const all: Figure[] = [];
  for (const setting of settings) {
    progress(setting.name);
    const [ours, theirs]: [LoadResult[], LoadResult[]] = [[], []];
    for (let round = 0; round < bed.rounds; round += 1) {
      ours.push(await runFor(bed, 'selkie-agent', agent, setting));
      theirs.push(await runFor(bed, 'OpenDKIM', opendkim, setting));
    }
    all.push(...figures(setting, ours, theirs));
  }
  await agent.close();
  await opendkim.close();
  return all;
};

/** RSA-2048 signatures of OpenSSL: `openssl speed`. By time on the clock with `-multi`, by processor time without. */
const opensslRate = async (seconds: number, ...args: string[]): Promise<number> => {
  const { stdout } = await promisify(execFile)('openssl', [
    'speed',
    '-seconds',
    String(seconds),
    ...args,
    'rsa2048',
  ]);
  // rsa 2048 bits 0.000250s 0.000016s 3997.3 60669.4
  return Number(/^rsa\s+2048 bits\s+\S+\s+\S+\s+(\S+)/m.exec(stdout)?.[1]);
};

/** What is left of the machine's RSA signatures, 1 KB at 32 connections. */
export const rsaShare = async (bed: Bed): Promise<Figure[]> => {
  const agent = await bed.agent();
  const setting = { name: '1 KB, 32 connections', size: 1_000, connections: 32 };
  progress(setting.name);
  const [shares, costs, rates, cpus]: [number[], number[], number[], number[]] = [[], [], [], []];
  const seconds = Math.max(1, Math.round(bed.seconds));
  for (let round = 0; round < bed.rounds; round += 1) {
    const limit = await opensslRate(seconds, '-multi', '2');
    const result = await runFor(bed, 'selkie-agent', agent, setting);
    const each = 1_000 / (await opensslRate(seconds));
    shares.push(result.perSecond / limit);
    costs.push(result.cpu / each);
    rates.push(limit);
    cpus.push(result.cpu);
  }
  await agent.close();
  return [
    {
      name: `${setting.name}: share of openssl speed -multi 2`,
      value: median(shares) * 100,
      goal: 70,
      floor: 60,
      more: true,
      unit: ' %',
      detail: `of ${median(rates).toFixed(0)} signatures/s`,
    },
    {
      name: `${setting.name}: processor time by the RSA signature's`,
      value: median(costs),
      goal: 1 / 0.75,
      floor: 1 / 0.6,
      more: false,
      detail: `${median(cpus).toFixed(3)} ms a message`,
    },
  ];
};
