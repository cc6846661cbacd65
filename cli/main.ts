#!/usr/bin/env node
// The command line: parses, calls, prints. Exit status: 0 done, 1 failed, 2 not understood.
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { leaveWhenUnread } from '../agent/commands/terminal.ts';
import { printKeyRecord, type RecordFormat } from '../core/dkim/key-record.ts';
import { describe, SelkieError } from '../core/errors.ts';
import { forced } from '../core/fleet-change.ts';
import type { DomainStatus } from '../engine/status.ts';
import { readFleet } from '../fleet/read.ts';
import { call } from './client.ts';
import { type OnceReport, once } from './once.ts';
import { followRotation, printForecast, printHost, printPlan, printStatus } from './print.ts';
import { lookUpRecord } from './record.ts';
import { up } from './up.ts';

leaveWhenUnread();

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const port = (text: string): number => {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 0 || n > 65_535)
    throw new InvalidArgumentError('a port is a whole number from 0 to 65535');
  return n;
};

const dayCount = (text: string): number => {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1 || n > 3_650)
    throw new InvalidArgumentError('days are a whole number from 1 to 3650');
  return n;
};

const path = (domain: string): string => `/v1/domains/${encodeURIComponent(domain)}`;
const allDomains = async (dir: string): Promise<readonly DomainStatus[]> => {
  const domains: DomainStatus[] = [];
  for (let after: string | undefined; ; ) {
    const query = after === undefined ? '' : `&after=${encodeURIComponent(after)}`;
    const page = await call<{ domains: DomainStatus[]; next?: string }>(
      dir,
      'GET',
      `/v1/domains?limit=500${query}`,
    );
    domains.push(...page.domains);
    if (page.next === undefined) return domains;
    after = page.next;
  }
};
const statuses = (dir: string, domain: string | undefined): Promise<readonly DomainStatus[]> =>
  domain === undefined ? allDomains(dir) : call<DomainStatus>(dir, 'GET', path(domain)).then((one) => [one]);

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

const program = new Command('selkie')
  .description('Rotates the DKIM keys of mail domains, proving each step before it takes the next.')
  .version('0.1.0')
  .showHelpAfterError('(selkie --help tells more)')
  .exitOverride();

const dirOption = ['--dir <dir>', 'state folder', '.selkie'] as const;

program
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
  .action(async (options) => {
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
    if (options.json === true) say(JSON.stringify(report));
    else printOnce(report);
    if (!report.ok) process.exitCode = 1;
  });

program
  .command('status')
  .description('what each domain signs with, what happens next, and what it waits for')
  .argument('[domain]')
  .option(...dirOption)
  .option('--json', 'as JSON')
  .action(async (domain: string | undefined, options) => {
    const found = await statuses(options.dir, domain);
    if (options.json === true) say(JSON.stringify(domain === undefined ? { domains: found } : found[0]));
    else for (const status of found) printStatus(status, say);
  });

program
  .command('rotate')
  .description('rotate the keys of a domain now')
  .argument('<domain>')
  .option(...dirOption)
  .option('--reason <text>', 'for the record')
  .option(
    '--compromised <selector>',
    'an emergency: others may hold this key; its successor hurries, then it is revoked',
  )
  .option(
    '--unsigned',
    'with --compromised: revoke at once, though mail goes unsigned until the successor signs',
  )
  .option('--wait', 'show each step until every host signs with the new keys')
  .action(async (domain: string, options) => {
    if (options.unsigned === true && options.compromised === undefined)
      throw new SelkieError('invalid', '--unsigned goes with --compromised');
    const body = {
      ...(options.reason === undefined ? {} : { reason: options.reason }),
      ...(options.compromised === undefined ? {} : { kind: 'emergency', compromised: options.compromised }),
      ...(options.unsigned === true ? { unsigned: true } : {}),
    };
    const answer = await call<{ joined: boolean; rotation: { id: string } }>(
      options.dir,
      'POST',
      `${path(domain)}/rotations`,
      body,
    );
    say(`${answer.joined ? 'joined the rotation under way' : 'rotation requested'}: ${answer.rotation.id}`);
    if (options.wait === true)
      await followRotation(
        () => call<DomainStatus>(options.dir, 'GET', path(domain)),
        answer.rotation.id,
        say,
      );
    else say(`look again with: npm run selkie -- status ${domain}`);
  });

for (const [verb, what] of [
  ['rollback', 'go back to the key set before, or give up a rotation that has not switched'],
  ['abort', 'give up the rotation under way'],
] as const)
  program
    .command(verb)
    .description(what)
    .argument('<domain>')
    .option(...dirOption)
    .option('--reason <text>', 'for the record')
    .action(async (domain: string, options) => {
      const body = options.reason === undefined ? {} : { reason: options.reason };
      const answer = await call<{ rotation: { kind: string; id: string } }>(
        options.dir,
        'POST',
        `${path(domain)}/${verb}`,
        body,
      );
      say(
        `${verb}: rotation ${answer.rotation.id} (${answer.rotation.kind}); look again with: npm run selkie -- status ${domain}`,
      );
    });

const host = program.command('host').description('the mail hosts of the fleet');
host
  .command('list')
  .description('each host, whether it counts, and what troubles it')
  .option(...dirOption)
  .action(async (options) => {
    const { hosts } = await call<{ hosts: Parameters<typeof printHost>[0][] }>(
      options.dir,
      'GET',
      '/v1/hosts',
    );
    for (const each of hosts) printHost(each, say);
  });
host
  .command('exclude')
  .description('rotations no longer wait for this host')
  .argument('<host>')
  .option(...dirOption)
  .option('--reason <text>', 'for the record')
  .action(async (name: string, options) => {
    const body = options.reason === undefined ? {} : { reason: options.reason };
    await call(options.dir, 'POST', `/v1/hosts/${encodeURIComponent(name)}/exclusion`, body);
    say(
      `${name} is excluded: rotations no longer wait for it; take it back with: selkie host return ${name}`,
    );
  });
host
  .command('return')
  .description('rotations wait for this host again, once it holds a full snapshot')
  .argument('<host>')
  .option(...dirOption)
  .action(async (name: string, options) => {
    await call(options.dir, 'DELETE', `/v1/hosts/${encodeURIComponent(name)}/exclusion`);
    say(`${name} counts again once it holds a full snapshot`);
  });

program
  .command('plan')
  .description('what would be done now, and what it waits for')
  .argument('[domain]')
  .option(...dirOption)
  .option('--json', 'as JSON')
  .action(async (domain: string | undefined, options) => {
    const found = await statuses(options.dir, domain);
    if (options.json === true)
      say(
        JSON.stringify(
          found.map(({ domain: name, next, blockedBy, wakeAt }) => ({
            domain: name,
            next,
            blockedBy,
            wakeAt,
          })),
        ),
      );
    else for (const status of found) printPlan(status, say);
  });

program
  .command('forecast')
  .description('what will happen if nothing goes wrong')
  .argument('[domain]')
  .option(...dirOption)
  .option('--days <n>', 'how far', dayCount, 120)
  .option('--json', 'as JSON')
  .action(async (domain: string | undefined, options) => {
    const domains =
      domain === undefined ? (await allDomains(options.dir)).map((each) => each.domain) : [domain];
    const found = [];
    for (const name of domains)
      found.push(
        await call<{ domain: string; events: { at: string; does: string }[] }>(
          options.dir,
          'GET',
          `${path(name)}/forecast?days=${options.days}`,
        ),
      );
    if (options.json === true) say(JSON.stringify(found));
    else for (const each of found) printForecast(each, say);
  });

program
  .command('record')
  .description('print a key record, to paste or compare')
  .argument('<domain>')
  .argument('<selector>')
  .option(...dirOption)
  .option('--format <format>', 'zone (as opendkim-genkey writes it), route53 or value', 'zone')
  .action(async (domain: string, selector: string, options) => {
    const formats: readonly string[] = ['zone', 'route53', 'value'] satisfies RecordFormat[];
    if (!formats.includes(options.format))
      throw new SelkieError('invalid', `--format is one of ${formats.join(', ')}, not "${options.format}"`);
    const value = await lookUpRecord(options.dir, domain, selector);
    process.stdout.write(
      `${printKeyRecord({ domain, selector, value }, options.format as RecordFormat).trimEnd()}\n`,
    );
  });

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    process.stderr.write(`selkie: ${describe(error)}\n`);
    process.exitCode = 1;
  }
}
