// `selkie-agent run`: the daemon.
import type { Command } from 'commander';
import { describe } from '../../core/errors.ts';
import { defaultConfigFile } from '../config.ts';
import { type DaemonOptions, startDaemon } from '../daemon.ts';
import { example } from './example.ts';
import { defaultStateFolder } from './terminal.ts';

const run = async (options: DaemonOptions): Promise<void> => {
  const starting = startDaemon(options);
  // From the first moment: without a listener, SIGHUP would end the process.
  process.on('SIGHUP', () => {
    starting.then(({ reload }) => reload()).catch(() => {});
  });
  const daemon = await starting;
  const end = (): void => {
    daemon.close().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`selkie-agent: ${describe(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
};

export const addRun = (program: Command): void => {
  const command = program
    .command('run')
    .description('run the agent: its signer, push server and pulls')
    .option('--dir <folder>', 'state folder', defaultStateFolder)
    .option('--config <file>', `configuration; default: ${defaultConfigFile}, if it is there`)
    .option(
      '--milter <address>',
      'where the milter listens, whatever the configuration says: inet:PORT@ADDRESS or unix:/PATH',
    )
    .action(run);
  example(command, 'selkie-agent run');
};
