// `selkie-agent keys`: this host's own keys (not those that sign mail), and how new ones follow them.
import { X509Certificate } from 'node:crypto';
import type { Command } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import { instant } from '../../core/time.ts';
import {
  eraseIdentity,
  fleetEntry,
  fleetYaml,
  type Identity,
  loadIdentity,
  loadOrMakeIdentity,
  places,
} from '../identity.ts';
import { loadSettings } from '../settings.ts';
import { example } from './example.ts';
import { defaultStateFolder, say } from './terminal.ts';

interface KeysOptions {
  readonly dir: string;
  readonly pool?: string;
}

const presentOf = async (dir: string): Promise<Identity> => {
  const present = await loadIdentity(dir);
  if (present === undefined)
    throw new SelkieError('invalid', `This host has no keys in ${dir}: run selkie-agent enrol.`);
  return present;
};

const show = async ({ dir }: KeysOptions): Promise<void> => {
  await loadSettings(dir);
  const all = [
    ['present', await presentOf(dir)],
    ['next', await loadIdentity(dir, places.next)],
    ['old', await loadIdentity(dir, places.old)],
  ] as const;
  for (const [what, identity] of all) {
    if (identity === undefined) continue;
    const { fingerprint256, validTo } = new X509Certificate(identity.tls.cert);
    say(`${what}:`);
    say(`  encryptionKey: ${identity.encryptionKey}`);
    say(`  signingKey: ${identity.signingKey}`);
    say(`  certificate: SHA-256 ${fingerprint256}, until ${new Date(validTo).toISOString().slice(0, 10)}`);
  }
};

const roll = async ({ dir, pool }: KeysOptions): Promise<void> => {
  const settings = await loadSettings(dir);
  await presentOf(dir);
  const before = await loadIdentity(dir, places.next);
  const next = await loadOrMakeIdentity(dir, settings.endpointHost, instant(Date.now()), places.next);
  say(
    before === undefined
      ? '# New keys of this host are made; the present ones stay in use until the new ones are deployed.'
      : '# The new keys that were made before, and are not yet deployed (selkie-agent keys drop forgets them).',
  );
  say(
    "# Put this in place of the host's entry in fleet.yaml and deploy: the agent then turns to them by itself.",
  );
  say(fleetYaml(settings.name, fleetEntry(next, settings), pool).trimEnd());
};

const drop = async ({ dir }: KeysOptions): Promise<void> => {
  const next = await loadIdentity(dir, places.next);
  if (next === undefined) throw new SelkieError('not-found', `No new keys are waiting in ${dir}.`);
  await eraseIdentity(dir, places.next);
  say('# The new keys are erased. Where their entry was deployed, put the old one back:');
  const settings = await loadSettings(dir);
  say(fleetYaml(settings.name, fleetEntry(await presentOf(dir), settings), undefined).trimEnd());
};

export const addKeys = (program: Command): void => {
  const keys = program
    .command('keys')
    .description(
      "show or roll this host's own keys: what bundles are sealed to, and what it signs its answers with",
    );
  const add = (name: string, description: string, action: (options: KeysOptions) => Promise<void>): Command =>
    example(
      keys
        .command(name)
        .description(description)
        .option('--dir <folder>', 'state folder', defaultStateFolder)
        .action(action),
      `selkie-agent keys ${name}`,
    );
  add('show', 'show their public halves', show);
  add(
    'roll',
    "make new ones beside the present ones, and print the host's new entry for fleet.yaml",
    roll,
  ).option('--pool <pool>', 'the pool of this host; default: the only one');
  add('drop', 'erase new ones that are not in use yet', drop);
};
