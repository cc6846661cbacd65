// `selkie restore`: brings a ledger that was restored from a backup up to what zones and vault show, and puts it to use. Shows what it
// would do, unless told to do it.

import type { Command } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import { formatInstant } from '../../core/time.ts';
import type { RestoreReport } from '../../engine/restore.ts';
import { folderOf, goesToAws, stackOf, type Where } from '../connection.ts';
import { dirOption, example, jsonOption } from '../options.ts';
import { say, sayJson } from '../out.ts';
import { type RestorePass, restorePasses } from '../restore.ts';

interface Options extends Where {
  readonly apply?: true;
  readonly reason?: string;
  readonly force?: true;
  readonly leave?: readonly string[];
  readonly wait?: true;
  readonly fleet: string;
  readonly json?: true;
}

const openPass = async (options: Options): Promise<RestorePass> => {
  if (!goesToAws(options)) {
    const { restoreHere } = await import('../restore-here.ts');
    return restoreHere({ dir: folderOf(options), fleet: options.fleet });
  }
  if (options.dir !== undefined)
    throw new SelkieError('invalid', '--dir is of this machine, and the other options of AWS: leave one out');
  if (options.api !== undefined)
    throw new SelkieError(
      'invalid',
      'restore calls a function and not the API: name the stack with --stack or --stage',
    );
  // Only here: it takes longer to load than all else.
  const { restoreOnAws } = await import('../restore-aws.ts');
  return restoreOnAws({ stack: stackOf(options), profile: options.profile, region: options.region });
};

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** What came of it, in one line. */
const outcome = ({ applied, epoch, domains, takenBack, failed, done, waitUntil }: RestoreReport): string => {
  if (waitUntil !== undefined)
    return `Nothing works on it any more. Calls that were under way are waited for until ${formatInstant(waitUntil)}: run this again then, or with --wait`;
  const keys = `${count(domains, 'domain')}, ${count(takenBack, 'key')} that the backup did not know`;
  if (!applied) return `${keys}. Nothing was changed: do it with --apply --reason "…"`;
  if (done) return `${keys}. Epoch ${epoch}: the ledger is in use, and every host gets a full snapshot`;
  return `${keys}. ${failed.length === 0 ? 'More are left' : 'Not all are done'}: run it again; a domain that cannot be helped is left as the backup had it by --leave DOMAIN`;
};

const print = (report: RestoreReport, more: number): void => {
  say(report.ledger);
  for (const line of report.says) say(`  ${line}`);
  if (more > 0) say(`  and ${count(more, 'more line')}, in the function's log`);
  for (const line of report.failed) say(`! ${line}`);
  say(`\n${outcome(report)}`);
};

export const addRestore = (program: Command): void => {
  const command = program
    .command('restore')
    .description('bring a ledger that came back from a backup up to the world')
    .option('--apply', 'do it; without this it is only shown')
    .option('--reason <text>', 'for the audit trail; goes with --apply')
    .option('--wait', 'with --apply: wait until it may begin, and go on until it is done')
    .option(
      '--leave <domain>',
      'leave this one as the backup had it; may be repeated',
      (domain: string, before: readonly string[]) => [...before, domain.toLowerCase()],
      [] as readonly string[],
    )
    .option('--force', 'also a ledger that is in use: it was restored under its own name')
    .option('--fleet <file>', 'the fleet file, for the Selkie of this machine', 'fleet.yaml')
    .addOption(dirOption())
    .addOption(jsonOption())
    .action(async (_own: unknown, self: Command) => {
      const options: Options = self.optsWithGlobals();
      const { apply, reason, wait } = options;
      if (apply === true && reason === undefined)
        throw new SelkieError('invalid', '--apply wants --reason: it stays in every domain’s audit trail');
      if (apply !== true && (reason !== undefined || wait === true))
        throw new SelkieError('invalid', '--reason and --wait go with --apply');
      const pass = await openPass(options);
      try {
        const { report, more } = await restorePasses(pass, {
          ...(apply === true && reason !== undefined ? { why: reason } : {}),
          ...(options.force === true ? { force: true } : {}),
          leave: options.leave ?? [],
          wait: wait === true,
          tell: options.json === true ? () => {} : (line) => say(line),
        });
        if (options.json === true) sayJson(report);
        else print(report, more);
        if (report.applied && !report.done) process.exitCode = 1;
        if (report.failed.length > 0) process.exitCode = 1;
      } finally {
        await pass.close();
      }
    });
  example(
    command,
    'selkie restore --stack selkie',
    'selkie restore --stack selkie --apply --reason "the table is gone"',
  );
};
