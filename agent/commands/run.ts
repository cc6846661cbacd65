// `selkie-agent run`: the daemon.
import type { Command } from 'commander';
import { describe } from '../../core/errors.ts';
import { defaultConfigFile, loadConfig } from '../config.ts';
import { loadSettings, milterAddress } from '../settings.ts';
import { startAgent } from '../start.ts';
import { trustedKeys } from '../trust.ts';
import { defaultStateFolder, say } from './terminal.ts';

interface RunOptions {
  readonly dir: string;
  readonly config?: string;
  readonly milter?: string;
}

const run = async ({ dir, config: file, milter }: RunOptions): Promise<void> => {
  const config = await loadConfig(file);
  const settings = await loadSettings(dir);
  const trusted = await trustedKeys(dir);
  const listen = milter ?? config.milter.listen;
  const agent = await startAgent({
    ...settings,
    dir,
    signer: { milter: { listen: milterAddress(listen) } },
    trusted: () => trusted,
    ...(config.records.check ? { records: config.records } : {}),
    now: Date.now,
    log: say,
  });
  say(`selkie-agent: ${settings.name} signs at ${listen}`);
  if (agent.ports.push !== undefined) say(`selkie-agent: bundles are taken at port ${agent.ports.push}`);
  const end = (): void => {
    agent.close().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`selkie-agent: ${describe(error)}\n`);
        process.exitCode = 1;
      },
    );
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
};

export const addRun = (program: Command): void => {
  program
    .command('run')
    .description('run the agent: milter, push server and pulls')
    .option('--dir <folder>', 'state folder', defaultStateFolder)
    .option('--config <file>', `configuration; default: ${defaultConfigFile}, if it is there`)
    .option(
      '--milter <address>',
      'where the milter listens, whatever the configuration says: inet:PORT@ADDRESS or unix:/PATH',
    )
    .action(run);
};
