// `npm run torture`: attacks real processes for as long as it is told, and says what it found. Exit status 1 where anything
// that must never be was seen.
import { Command, InvalidArgumentError, Option } from 'commander';
import { missing } from '../tools/machine.ts';
import { tortureLocal } from './local.ts';
import type { Outcome, TortureOptions } from './outcome.ts';

const wholeNumber = (text: string): number => {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 0) throw new InvalidArgumentError('a whole number is needed');
  return n;
};
const minutes = (text: string): number => {
  const n = Number(text);
  if (!(n > 0)) throw new InvalidArgumentError('minutes are a number above 0');
  return n;
};

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const printOutcome = ({ name, figures, violations }: Outcome): void => {
  say(`\n${name}`);
  const width = Math.max(...Object.keys(figures).map((figure) => figure.length));
  for (const [figure, value] of Object.entries(figures)) say(`  ${figure.padEnd(width)}  ${value}`);
  say(violations.length === 0 ? '  nothing was violated' : `  VIOLATED: ${violations.length}`);
  for (const violation of violations) say(`  ! ${violation}`);
};

type Half = (options: TortureOptions) => Promise<Outcome>;

const halves: Readonly<Record<'local' | 'aws', () => Promise<Half | undefined>>> = {
  local: async () => tortureLocal,
  aws: async () => {
    if (missing(['moto_server']).length === 0) return (await import('./aws.ts')).tortureAws;
    say('\nLEFT OUT: the aws half needs moto_server (pip: moto[server])');
    return undefined;
  },
};

const program = new Command('torture')
  .description('kills, starves and misleads Selkie while it rotates, and looks whether it kept its promise')
  .option('--kills <n>', 'how often a process is killed, in each half', wholeNumber, 200)
  .option('--seed <n>', 'of every choice; by default another one each time', wholeNumber)
  .option('--for <minutes>', 'no more kills after this time, in each half', minutes)
  .addOption(new Option('--only <half>', 'one half only').choices(Object.keys(halves)))
  .action(async (given: { kills: number; seed?: number; for?: number; only?: string }) => {
    const seed = given.seed ?? Math.floor(Math.random() * 1_000_000);
    const outcomes: Outcome[] = [];
    for (const [name, find] of Object.entries(halves)) {
      if (given.only !== undefined && given.only !== name) continue;
      const half = await find();
      if (half === undefined) continue;
      say(`${name}: ${given.kills} kills, seed ${seed}`);
      const outcome = await half({
        kills: given.kills,
        seed,
        ...(given.for === undefined ? {} : { forMinutes: given.for }),
        progress: (line) => say(`  ${new Date().toISOString().slice(11, 19)} ${line}`),
      });
      printOutcome(outcome);
      outcomes.push(outcome);
    }
    if (outcomes.some(({ violations }) => violations.length > 0)) {
      say(`\nthe same choices again: npm run torture -- --kills ${given.kills} --seed ${seed}`);
      process.exitCode = 1;
    }
  });

await program.parseAsync();
