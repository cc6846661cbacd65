// `selkie-agent enrol`: makes the host's keys, pins the bundle key, prints the host's entry for the fleet file.
import { type Command, InvalidArgumentError } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import { instant } from '../../core/time.ts';
import { defaultConfigFile, loadConfig } from '../config.ts';
import { keyTypesOf } from '../drivers/key-types.ts';
import { fleetEntry, fleetYaml, loadOrMakeIdentity } from '../identity.ts';
import { type Settings, saveSettings } from '../settings.ts';
import { findBundleKeys, trust } from '../trust.ts';
import { example } from './example.ts';
import { defaultStateFolder, say } from './terminal.ts';

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
  readonly config?: string;
}

const enrol = async (options: EnrolOptions): Promise<void> => {
  const { dir, name, pool, controlPlane, endpointHost = name } = options;
  const keyTypes = keyTypesOf[(await loadConfig(options.config)).driver];
  const settings: Settings = {
    name,
    endpointHost,
    ...(options.push ? { pushPort: options.pushPort } : {}),
    ...(controlPlane === undefined ? {} : { controlPlane }),
    ...(keyTypes.length === keyTypesOf.builtin.length ? {} : { keyTypes }),
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

export const addEnrol = (program: Command): void => {
  const command = program
    .command('enrol')
    .description("make this host's keys, pin the bundle key, and print the host's entry for fleet.yaml")
    .requiredOption('--name <name>', 'the name of this host in the fleet file')
    .requiredOption(
      '--bundle-key <file|thumbprint>',
      'the key that signs bundles: a JWK file, or the thumbprint that the deployment printed (with --control-plane)',
    )
    .option('--dir <folder>', 'state folder', defaultStateFolder)
    .option(
      '--config <file>',
      `configuration, whose driver says which keys this host can sign with; default: ${defaultConfigFile}, if it is there`,
    )
    .option('--endpoint-host <name|address>', 'where the control plane connects to; default: the name')
    .option('--push-port <port>', 'where bundles are pushed to', portNumber, 8463)
    .option('--no-push', 'this host cannot be reached: it only pulls')
    .option('--control-plane <url>', 'pull from here as well, each 60 seconds')
    .option('--pool <pool>', 'the pool of this host; default: the only one')
    .action(enrol);
  example(command, 'selkie-agent enrol --name mx1.example.jp --bundle-key bundle-key.jwk');
};
