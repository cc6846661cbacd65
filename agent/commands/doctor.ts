// `selkie-agent doctor`: looks at this host and says what is wrong, each with what mends it. Changes nothing.
import type { Command } from 'commander';
import { defaultConfigFile } from '../config.ts';
import { linesOf, type Result, runChecks, summary } from '../doctor/check.ts';
import { doctorChecks } from '../doctor/doctor.ts';
import { systemExec } from '../postfix/exec.ts';
import { example } from './example.ts';
import { several } from './postfix-options.ts';
import { defaultStateFolder, say } from './terminal.ts';

interface DoctorCommandOptions {
  readonly dir: string;
  readonly config?: string;
  readonly milter?: string;
  readonly postfix: readonly string[];
  readonly mailLog: readonly string[];
  readonly resolver: readonly string[];
  readonly json?: boolean;
}

const doctor = async (options: DoctorCommandOptions): Promise<void> => {
  const { config, mailLog: mailLogs, resolver: resolvers, json, ...rest } = options;
  const checks = await doctorChecks({
    ...rest,
    config,
    mailLogs,
    resolvers,
    exec: systemExec(),
    now: Date.now,
  });
  const tell = (result: Result): void => {
    if (json !== true) for (const line of linesOf(result)) say(line);
  };
  const results = await runChecks(checks, tell);
  const ok = results.every(({ findings }) => findings.length === 0);
  say(json === true ? JSON.stringify({ ok, checks: results }, null, 2) : summary(results));
  if (!ok) process.exitCode = 1;
};

export const addDoctor = (program: Command): void => {
  const command = program
    .command('doctor')
    .description('find what is wrong with signing on this host, and what mends it; exit 1 where anything is')
    .option('--dir <folder>', 'state folder', defaultStateFolder)
    .option('--config <file>', `the agent's configuration; default: ${defaultConfigFile}, if it is there`)
    .option('--milter <address>', 'where the signer listens; default: as the configuration says')
    .option('--postfix <folder>', "Postfix's configuration folder (repeatable)", several, [])
    .option('--mail-log <file>', 'in place of the one that is found (repeatable)', several, [])
    .option(
      '--resolver <address>',
      'asked in place of those that the configuration or the system names (repeatable)',
      several,
      [],
    )
    .option('--json', 'for programs: { ok, checks: [{ name, findings: [{ problem, mends }] }] }')
    .action(doctor);
  example(command, 'selkie-agent doctor');
};
