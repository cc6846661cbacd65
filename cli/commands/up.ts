// `selkie up`: everything on this machine.

import type { Command } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import { forced } from '../../core/fleet-change.ts';
import { readFleet } from '../../fleet/read.ts';
import { stayHere } from '../connection.ts';
import { type OnceReport, once } from '../once.ts';
import { example, wholeNumber } from '../options.ts';
import { say, sayJson } from '../out.ts';
import { up } from '../up.ts';

const port = wholeNumber(0, 65_535, 'a port is');

const printOnce = (report: OnceReport): void => {
  for (const { domain, selectors, messages } of report.domains) {
    say(`\n${domain}: signed with ${selectors.join(', ')}`);
    for (const { when, selector, result } of messages)
      say(`  ${when.padEnd(7)} ${selector.padEnd(12)} ${result}`);
  }
  say(
    `\nrotation: ${report.rotationMs} ms; ${report.ok ? 'every message verifies' : 'NOT every message verifies'} (mailauth)`,
  );
};

export const addUp = (program: Command): void => {
  const command = program
    .command('up')
    .description('run the engine, a name server, the API and a signing agent on this machine')
    .option('--dir <dir>', 'state folder (default ".selkie"; with --once a folder that is removed)')
    .option('--fleet <file>', 'the fleet file', 'fleet.yaml')
    .option('--dns-port <port>', 'name server, UDP and TCP on 127.0.0.1; 0 for a free one', port, 5300)
    .option('--api-port <port>', 'API on 127.0.0.1; 0 for a free one', port, 8400)
    .option('--push-port <port>', "the agent's push endpoint on 127.0.0.1; 0 for a free one", port, 8892)
    .option('--milter-port <port>', 'the milter on 127.0.0.1; 0 for a free one', port, 8891)
    .option('--once', 'provision and rotate each domain once on free ports, verify messages, report, exit')
    .option('--json', 'with --once: the report as one JSON object')
    .option('--force <reason>', 'install a fleet that would be refused, since it loses keys or records')
    .action(async (options, self: Command) => {
      stayHere(self, 'up runs on this machine');
      if (options.json === true && options.once !== true)
        throw new SelkieError('invalid', '--json goes with --once');
      const file = readFleet(options.fleet);
      const fleet = options.force === undefined ? file : forced(file, options.force);
      if (options.once !== true)
        return up({
          dir: options.dir ?? '.selkie',
          fleet,
          ports: {
            dns: options.dnsPort,
            api: options.apiPort,
            push: options.pushPort,
            milter: options.milterPort,
          },
        });
      const report = await once({
        fleet,
        say: options.json === true ? () => {} : say,
        ...(options.dir === undefined ? {} : { dir: options.dir }),
      });
      if (options.json === true) sayJson(report);
      else printOnce(report);
      if (!report.ok) process.exitCode = 1;
    });
  example(command, 'selkie up --fleet fleet.yaml', 'selkie up --once --json');
};
