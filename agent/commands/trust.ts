// `selkie-agent trust`: the bundle keys that this host trusts. They follow one another by themselves; by hand only where the
// old one is lost, so that it cannot sign the new one in.
import type { Command } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import { loadSettings } from '../settings.ts';
import { distrust, findBundleKeys, thumbprints, trust, trustedKeys } from '../trust.ts';
import { example } from './example.ts';
import { defaultStateFolder, say } from './terminal.ts';

interface TrustOptions {
  readonly dir: string;
  readonly list?: boolean;
  readonly add?: string;
  readonly remove?: string;
}

const change = async ({ dir, list, add, remove }: TrustOptions): Promise<void> => {
  if (list === true && (add !== undefined || remove !== undefined))
    throw new SelkieError('invalid', '--list changes nothing: it stands alone.');
  // Added first: the other way round, the last one could not be replaced.
  if (add !== undefined) {
    const { controlPlane } = await loadSettings(dir);
    await trust(dir, await findBundleKeys(add, controlPlane));
  }
  if (remove !== undefined) await distrust(dir, remove);
  say('# Bundle keys that this host trusts (RFC 7638 thumbprints):');
  for (const thumbprint of await thumbprints(await trustedKeys(dir))) say(thumbprint);
};

export const addTrust = (program: Command): void => {
  const command = program
    .command('trust')
    .description('show or change the bundle keys that this host trusts; a running agent takes it up at once')
    .option('--list', 'show them, as without any option')
    .option(
      '--add <file|thumbprint>',
      'trust this one too: a JWK file, or the thumbprint of one that the control plane shows',
    )
    .option('--remove <thumbprint>', 'trust this one no more')
    .option('--dir <folder>', 'state folder', defaultStateFolder)
    .action(change);
  example(command, 'selkie-agent trust --list');
};
