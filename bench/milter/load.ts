// The load: many connections, message after message, and what came of it. Runs as a process of its own (`main.ts load`), so
// that neither server pays for it but in processor time that both pay alike. Talks to the milter; reads /proc of its process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { mailBody } from '../bodies.ts';
import { converse, type Outcome, type Target } from './conversation.ts';
import { cpuSeconds } from './process.ts';

export interface Load {
  readonly target: Target;
  /** The milter's process, for its processor time. */
  readonly pid: number;
  readonly connections: number;
  /** Bytes of body. */
  readonly size: number;
  readonly seconds: number;
  /** Seconds that are not counted, before. */
  readonly warm?: number;
  /** From addresses are of these, in turn. */
  readonly domains?: readonly string[];
  /** In place of `domains`: `d0.example.com` to one less than this, at random. */
  readonly manyDomains?: number;
  /** Whether every outcome is wanted, with its signatures. */
  readonly keep?: boolean;
}

export interface LoadResult {
  readonly messages: number;
  readonly perSecond: number;
  /** Milliseconds of the server's processor time for each message. */
  readonly cpu: number;
  /** Milliseconds from MAIL to the verdict. */
  readonly p50: number;
  readonly p99: number;
  readonly unsigned: number;
  readonly tempfailed: number;
  readonly refused: number;
  readonly kept: readonly Outcome[];
}

export const defaultDomains: readonly string[] = Array.from({ length: 10 }, (_, i) => `d${i}.example.com`);

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;

/** In this process. */
export const runLoad = async (load: Load): Promise<LoadResult> => {
  const {
    domains = defaultDomains,
    manyDomains,
    connections,
    size,
    warm = 0.3,
    seconds,
    keep = false,
  } = load;
  const body = mailBody(size);
  const latencies: number[] = [];
  const count = { signed: 0, unsigned: 0, tempfail: 0, refused: 0 };
  const kept: Outcome[] = [];
  let state: 'warm' | 'counting' | 'over' = 'warm';
  let turn = 0;
  const domain = (): string => {
    turn += 1;
    if (manyDomains !== undefined) return `d${Math.floor(Math.random() * manyDomains)}.example.com`;
    return domains[turn % domains.length] ?? '';
  };
  const ended = (outcome: Outcome): boolean => {
    if (state === 'counting') {
      count[outcome.verdict] += 1;
      latencies.push(outcome.ended - outcome.began);
      if (keep) kept.push(outcome);
    }
    return state !== 'over';
  };
  const all = Promise.all(
    Array.from({ length: connections }, () => converse({ target: load.target, domain, body, ended, keep })),
  );
  // Heard below; a connection that fails while the clock runs must not end the process.
  all.catch(() => undefined);
  await Promise.race([all, wait(warm * 1_000)]);
  const cpuBefore = cpuSeconds(load.pid);
  const before = performance.now();
  state = 'counting';
  await Promise.race([all, wait(seconds * 1_000)]);
  state = 'over';
  const took = (performance.now() - before) / 1_000;
  const cpu = cpuSeconds(load.pid) - cpuBefore;
  await all;
  const messages = latencies.length;
  latencies.sort((a, b) => a - b);
  return {
    messages,
    perSecond: messages / took,
    cpu: (cpu * 1_000) / messages,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    unsigned: count.unsigned,
    tempfailed: count.tempfail,
    refused: count.refused,
    kept,
  };
};

/** In a process of its own. @throws Error with what it said where it failed */
export const loadElsewhere = async (load: Load): Promise<LoadResult> => {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'main.ts'), 'load', JSON.stringify(load)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const parts: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => parts.push(part));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the load ended with ${code}`);
  const result: LoadResult = JSON.parse(Buffer.concat(parts).toString());
  return result;
};
