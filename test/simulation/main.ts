// `npm run sim`: runs worlds, as many as asked, and replays one exactly.

import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { formatInstant, instant } from '../../core/time.ts';
import { createRealCryptography } from './real.ts';
import { describeItem, type Scenario } from './scenario.ts';
import { scenarioOf } from './scenario-records.ts';
import { shrink } from './shrink.ts';
import { addTally, emptyTally, runSeeds, summaryOf, type Tally } from './summary.ts';
import type { Batch } from './thread.ts';
import { runScenario } from './world.ts';

const help = `Usage: npm run sim -- [options]

Runs simulated worlds: the real engine, faults at every port, a judge who looks from outside.

  --seeds N      how many worlds (default 500)
  --from N       the first seed (default 1)
  --jobs N       threads (default 2)
  --real         real keys and ciphers in place of symbols: some 30 times slower; one thread
  --seed N       one world
  --trace        with --seed: print what happens, with its times
  --keep A,B     with --seed: only these items of the scenario (an empty list: none)
  --go-on        do not end at the first world that breaks an invariant; name each as it is found
  --no-shrink    do not make a failing scenario smaller
  --quiet        no progress line

Ctrl-C ends it with the summary of what there was.

Exits with 1 where an invariant is broken, after printing the seed, the smallest scenario that still
breaks it, and its timeline. Exits with 2 where the options make no sense.`;

const fail = (says: string): never => {
  process.stderr.write(`${says}\nnpm run sim -- --help says what there is.\n`);
  process.exit(2);
};

const whole = (text: string | undefined, name: string, usual: number, least: number): number => {
  if (text === undefined) return usual;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least)
    fail(`--${name} is "${text}": a whole number from ${least} on is needed.`);
  return value;
};

const readOptions = () => {
  try {
    return parseArgs({
      options: {
        seeds: { type: 'string' },
        from: { type: 'string' },
        jobs: { type: 'string' },
        seed: { type: 'string' },
        keep: { type: 'string' },
        trace: { type: 'boolean' },
        real: { type: 'boolean' },
        quiet: { type: 'boolean' },
        help: { type: 'boolean' },
        'no-shrink': { type: 'boolean' },
        'go-on': { type: 'boolean' },
        json: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
};

const printScenario = (scenario: Scenario): string =>
  [
    `seed ${scenario.seed}: ${scenario.domains.length} domains, ${scenario.zones.length} zones, ${scenario.hosts.length} hosts, ${scenario.workers} workers, ${Math.round(scenario.length / 86_400_000)} days from ${scenario.start}`,
    ...scenario.items.map(
      (item) => `  ${formatInstant(instant(Date.parse(scenario.start) + item.at))}  ${describeItem(item)}`,
    ),
  ].join('\n');

/** What happened shortly before the end. */
const lastLines = 60;

const explain = async (scenario: Scenario, shrinks: boolean): Promise<void> => {
  const [violation] = (await runScenario(scenario)).violations;
  if (violation === undefined) return;
  const smallest = shrinks ? await shrink(scenario, violation) : { scenario, violation, runs: 0 };
  const { timeline } = await runScenario(smallest.scenario, { trace: true });
  const kept = smallest.scenario.items.map((item) => scenario.items.indexOf(item)).join(',');
  process.stdout.write(
    [
      `VIOLATION of invariant ${smallest.violation.invariant}: ${smallest.violation.says}`,
      `the smallest scenario that still breaks it (${smallest.runs} runs):`,
      printScenario(smallest.scenario),
      'its last events:',
      ...timeline.slice(-lastLines).map((line) => `  ${line}`),
      `again: npm run sim -- --seed ${scenario.seed} --trace`,
      `smaller: npm run sim -- --seed ${scenario.seed} --keep ${kept === '' ? '""' : kept} --trace`,
      '',
    ].join('\n'),
  );
};

const one = async (seed: number, options: ReturnType<typeof readOptions>): Promise<number> => {
  const whole = scenarioOf(seed);
  const kept = options.keep
    ?.split(',')
    .filter((text) => text !== '')
    .map(Number);
  const scenario =
    kept === undefined ? whole : { ...whole, items: whole.items.filter((_, n) => kept.includes(n)) };
  const trace = options.trace === true;
  const outcome = await runScenario(scenario, {
    trace,
    ...(options.real === true ? { real: await createRealCryptography() } : {}),
  });
  process.stdout.write(`${printScenario(scenario)}\n`);
  if (trace) process.stdout.write(`${outcome.timeline.join('\n')}\n`);
  const [violation] = outcome.violations;
  if (violation === undefined) {
    process.stdout.write(
      `no violation; ${outcome.figures.rotations} rotations, ${outcome.figures.verified} verifications\n`,
    );
    return 0;
  }
  if (trace) process.stdout.write(`VIOLATION of invariant ${violation.invariant}: ${violation.says}\n`);
  else await explain(scenario, options['no-shrink'] !== true);
  return 1;
};

/** Somebody asked to stop: no new worlds begin, and what there was is summed up. */
let enough = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    enough = true;
  });

/** Seeds that a thread is given at once. */
const batchSize = 10;

const many = async (
  from: number,
  seeds: number,
  jobs: number,
  stopAtFirst: boolean,
  progress: (tally: Tally) => void,
): Promise<Tally> => {
  const total = emptyTally();
  let next = from;
  const threads = Array.from(
    { length: Math.min(jobs, Math.ceil(seeds / batchSize)) },
    () =>
      new Promise<void>((resolve, reject) => {
        const thread = new Worker(new URL('./thread.ts', import.meta.url));
        const send = (): void => {
          const end = Math.min(next + batchSize, from + seeds);
          if (next >= end || (stopAtFirst && total.failures.length > 0) || enough) {
            void thread.terminate();
            resolve();
            return;
          }
          const batch: Batch = { seeds: Array.from({ length: end - next }, (_, n) => next + n), stopAtFirst };
          thread.postMessage(batch);
          next = end;
        };
        thread.on('error', reject);
        thread.on('message', (tally: Tally) => {
          addTally(total, tally);
          for (const { seed, violation } of tally.failures)
            process.stderr.write(`seed ${seed} breaks invariant ${violation.invariant}: ${violation.says}\n`);
          progress(total);
          send();
        });
        send();
      }),
  );
  await Promise.all(threads);
  return total;
};

const run = async (): Promise<number> => {
  const options = readOptions();
  if (options.help === true) {
    process.stdout.write(`${help}\n`);
    return 0;
  }
  if (options.seed !== undefined) return one(whole(options.seed, 'seed', 1, 0), options);
  for (const name of ['trace', 'keep'] as const)
    if (options[name] !== undefined) fail(`--${name} is for one world: say --seed N as well.`);
  const from = whole(options.from, 'from', 1, 0);
  const seeds = whole(options.seeds, 'seeds', 500, 1);
  const stopAtFirst = options['go-on'] !== true;
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1_000;
  let said = 0;
  const progress = (tally: Tally): void => {
    const every = process.stderr.isTTY ? 1 : 30;
    if (options.quiet === true || seconds() - said < every) return;
    said = seconds();
    const line = `${tally.worlds} of ${seeds} worlds, ${tally.figures.rotations} rotations, ${Math.round(tally.figures.rotations / seconds())} a second, ${tally.failures.length} violations`;
    process.stderr.write(process.stderr.isTTY ? `\r${line}\u001b[K` : `${line}\n`);
  };
  const tally =
    options.real === true
      ? await runSeeds(
          Array.from({ length: seeds }, (_, n) => from + n),
          { stopAtFirst, real: await createRealCryptography() },
        )
      : await many(from, seeds, whole(options.jobs, 'jobs', 2, 1), stopAtFirst, progress);
  if (process.stderr.isTTY && options.quiet !== true) process.stderr.write('\r\u001b[K');
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ ...tally, seconds: seconds() })}\n`
      : `${summaryOf(tally, seconds())}\n`,
  );
  const [first] = tally.failures.toSorted((a, b) => a.seed - b.seed);
  if (first === undefined) return 0;
  if (options.json !== true) await explain(scenarioOf(first.seed), options['no-shrink'] !== true);
  return 1;
};

process.exitCode = await run();
