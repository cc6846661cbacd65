// The wanted keys as files that OpenDKIM can read. Touches the driver's folder.
import { algorithms } from '../../../core/algorithm.ts';
import { describe } from '../../../core/errors.ts';
import { pemOf } from './key-files.ts';
import { isTried, nameOf, say, type Work } from './work.ts';

/** What may stand in a table and a file's name without meaning something else there. */
const plainName = /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/i;

export const writeKeys = async (work: Work): Promise<void> => {
  const { settings, files, wanted, signing, ready } = work;
  let left = settings.atOnce;
  let written = false;
  for (const key of wanted.keys) {
    const name = nameOf(key);
    const { domain, selector, algorithm } = key;
    const signer = signing.get(domain);
    if (algorithms[algorithm].keyType !== 'rsa')
      say(
        work,
        name,
        `OpenDKIM signs with one algorithm for all keys of a host, and here with RSA: it cannot use a key of ${algorithm}.`,
      );
    else if (!plainName.test(domain) || !plainName.test(selector))
      say(work, name, 'Its domain or selector has characters that OpenDKIM would misread in its tables.');
    else if (key.duty === 'signing' && signer !== key)
      say(
        work,
        name,
        `${signer?.selector} is to sign for ${domain} too: a domain signs with one key of each type.`,
      );
    else if (isTried(work, key) && (await files.has(key))) ready.add(name);
    else if (left > 0) {
      left -= 1;
      try {
        await files.put(key, pemOf(await key.load()));
        ready.add(name);
        written = true;
      } catch (error) {
        say(work, name, `The key was not put where OpenDKIM reads it: ${describe(error)}`);
      }
    }
  }
  if (written) await files.sync();
  await settings.step('keys written');
};
