// `npm run bench:milter`: Selkie's milter beside Debian's OpenDKIM, on this machine, in one run. Prints each figure with its
// goal and its floor; ends with 1 where one is below its floor. Nothing is left running or lying about.
import { accessSync, constants } from 'node:fs';
import { tmpdir } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { missing } from '../../test/tools/machine.ts';
import { printTable, progress } from '../table.ts';
import { type Bed, makeBed } from './bed.ts';
import { exitCode, type Figure, figureRow, standing, summary } from './figures.ts';
import { runLoad } from './load.ts';
import { memory } from './memory.ts';
import { postfix } from './postfix.ts';
import { rotation } from './rotation.ts';
import { compare, rsaShare } from './speed.ts';

const benches: Readonly<Record<string, (bed: Bed) => Promise<Figure[]>>> = {
  compare,
  rsa: rsaShare,
  postfix,
  rotation,
  memory,
};

const positive = (text: string): number => {
  const n = Number(text);
  if (!(n > 0)) throw new InvalidArgumentError('not a number above 0');
  return n;
};

/** Memory, where the system has a folder of it: disks are not what is measured. */
const memoryFolder = (): string => {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return tmpdir();
  }
};

interface Options {
  readonly only?: readonly string[];
  readonly seconds: number;
  readonly rounds: number;
  readonly json?: boolean;
}

const bench = async ({
  only = Object.keys(benches),
  seconds,
  rounds,
  json = false,
}: Options): Promise<void> => {
  const absent = missing(['opendkim']);
  if (absent.length > 0) throw new Error('OpenDKIM is not here to compare with: apt install opendkim');
  const parent = memoryFolder();
  // What the tools of the tests make, a Postfix's queue for one, goes there too.
  process.env.TMPDIR = parent;
  progress(`${rounds} rounds of ${seconds} s; keys are being made`);
  const bed = await makeBed({ parent, seconds, rounds });
  const figures: Figure[] = [];
  try {
    for (const name of only) figures.push(...((await benches[name]?.(bed)) ?? []));
  } finally {
    await bed.close();
  }
  if (json)
    console.log(
      JSON.stringify(
        figures.map((one) => ({ ...one, standing: standing(one) })),
        null,
        2,
      ),
    );
  else {
    printTable({
      title:
        'Bodies as mail has them: a part of text, the same in quoted-printable, the rest base64 (10 KB: 50, 20 and 30 %; 1 MB: 4, 2 and 94 %). RSA-2048, relaxed/relaxed, ten domains, figures of selkie-agent first.',
      columns: ['', 'figure', 'goal (floor)', '', ''],
      rows: figures.map(figureRow),
    });
    console.log(`\n${summary(figures)}`);
  }
  process.exitCode = exitCode(figures);
};

const program = new Command('bench:milter')
  .description(`Selkie's milter beside OpenDKIM: ${Object.keys(benches).join(', ')}`)
  .addOption(new Option('--only <name...>', 'these benches, not all').choices(Object.keys(benches)))
  .option('--seconds <n>', 'length of a round', positive, 5)
  .option('--rounds <n>', 'rounds of each server, in turn; medians count', positive, 5)
  .option('--json', 'figures as JSON')
  .action(bench);

program
  .command('load <json>', { hidden: true })
  .description('the load, in a process of its own')
  .action(async (json: string) => {
    process.stdout.write(JSON.stringify(await runLoad(JSON.parse(json))));
  });

await program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
