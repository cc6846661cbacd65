#!/usr/bin/env node
// `selkie-agent`: the mail host's daemon on the command line. Reads arguments, calls and prints; nothing else.
import { Command, InvalidArgumentError } from 'commander';
import { describe, SelkieError } from '../core/errors.ts';
import { instant } from '../core/time.ts';
import { fleetEntry, fleetYaml, loadOrMakeIdentity } from './identity.ts';
import { loadSettings, milterAddress, type Settings, saveSettings } from './settings.ts';
import { startAgent } from './start.ts';
import { findBundleKeys, trust, trustedKeys } from './trust.ts';

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const portNumber = (text: string): number => {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new InvalidArgumentError('not a port');
  return port;
};

interface EnrolOptions {
  readonly dir: string;
  readonly name: string;
  readonly endpointHost?: string;
  readonly pushPort: number;
  readonly push: boolean;
  readonly pool?: string;
  readonly bundleKey: string;
  readonly controlPlane?: string;
}

const enrol = async (options: EnrolOptions): Promise<void> => {
  const { dir, name, pool, controlPlane, endpointHost = name } = options;
  const settings: Settings = {
    name,
    endpointHost,
    ...(options.push ? { pushPort: options.pushPort } : {}),
    ...(controlPlane === undefined ? {} : { controlPlane }),
  };
  if (!options.push && controlPlane === undefined)
    throw new SelkieError('invalid', 'A host that is not pushed to needs --control-plane to pull from.');
  const keys = await findBundleKeys(options.bundleKey, controlPlane);
  await saveSettings(dir, settings);
  const pinned = await trust(dir, keys);
  const identity = await loadOrMakeIdentity(dir, endpointHost, instant(Date.now()));
  say(`# Bundle keys that this host trusts: ${pinned.join(', ')}`);
  say('# Add this to fleet.yaml and deploy, then start selkie-agent run:');
  say(fleetYaml(name, fleetEntry(identity, settings), pool).trimEnd());
};

interface RunOptions {
  readonly dir: string;
  readonly milter: string;
}

const run = async ({ dir, milter }: RunOptions): Promise<void> => {
  const settings = await loadSettings(dir);
  const trusted = await trustedKeys(dir);
  const agent = await startAgent({
    ...settings,
    dir,
    milter: milterAddress(milter),
    trusted: () => trusted,
    now: Date.now,
    log: say,
  });
  say(`selkie-agent: ${settings.name} signs at ${milter}`);
  if (agent.ports.push !== undefined) say(`selkie-agent: bundles are taken at port ${agent.ports.push}`);
  const end = (): void => {
    agent.close().then(
      () => process.exit(0),
      (error: unknown) => fail(error),
    );
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
};

const fail = (error: unknown): void => {
  process.stderr.write(`selkie-agent: ${describe(error)}\n`);
  process.exitCode = 1;
};

const program = new Command('selkie-agent')
  .description('Keeps the DKIM keys of this mail host in step with Selkie, and signs with them.')
  .showHelpAfterError();

program
  .command('enrol')
  .description("make this host's keys, pin the bundle key, and print the host's entry for fleet.yaml")
  .requiredOption('--name <name>', 'the name of this host in the fleet file')
  .requiredOption(
    '--bundle-key <file|thumbprint>',
    'the key that signs bundles: a JWK file, or the thumbprint that the deployment printed (with --control-plane)',
  )
  .option('--dir <folder>', 'state folder', '/var/lib/selkie-agent')
  .option('--endpoint-host <name|address>', 'where the control plane connects to; default: the name')
  .option('--push-port <port>', 'where bundles are pushed to', portNumber, 8463)
  .option('--no-push', 'this host cannot be reached: it only pulls')
  .option('--control-plane <url>', 'pull from here as well, each 60 seconds')
  .option('--pool <pool>', 'the pool of this host; default: the only one')
  .action(enrol);

program
  .command('run')
  .description('run the agent: milter, push server and pulls')
  .option('--dir <folder>', 'state folder', '/var/lib/selkie-agent')
  .option(
    '--milter <address>',
    'where the milter listens: inet:PORT@ADDRESS or unix:/PATH',
    'inet:8891@127.0.0.1',
  )
  .action(run);

await program.parseAsync().catch(fail);
