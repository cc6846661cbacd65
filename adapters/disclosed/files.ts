// Disclosed keys as files, wherever files are kept: a folder of this machine, or a bucket. They are laid out as a web server
// shows them. Touches nothing but the files that it is given.
//
//   <domain>/<selector>.pem   key-file.ts
//   <domain>/index.json       which there are

import { SelkieError } from '../../core/errors.ts';
import { isDnsName } from '../../core/names.ts';
import { formatInstant } from '../../core/time.ts';
import { inParallel } from '../../engine/parallel.ts';
import type { DisclosedKey, Disclosure } from '../../engine/ports.ts';
import { keyFileText, parseKeyFile } from './key-file.ts';

/** Files by their paths, `/` between folders. All throw unavailable, throttled or denied. */
export interface Files {
  /** Undefined: there is none. */
  read(path: string): Promise<string | undefined>;
  /** Whole, in place of what is there. */
  write(path: string, text: string): Promise<void>;
  /** Names of the files right in `folder`: every one whose `write` has ended. */
  names(folder: string): Promise<readonly string[]>;
}

const suffix = '.pem';
/** Files read at once. */
const width = 8;
/** Workers that publish keys of one domain at once, each of which may have to write the index again. */
const mostTries = 10;

interface Entry {
  readonly selector: string;
  readonly algorithm: string;
  readonly removed: string;
  readonly file: string;
}

/** What a reader of the index sees; {} of one that is missing or damaged: it is made anew. */
const entriesOf = (text: string | undefined): ReadonlyMap<string, Entry> => {
  try {
    const { keys } = JSON.parse(text ?? '{"keys":[]}') as { readonly keys: readonly Entry[] };
    return new Map(keys.map((entry) => [entry.selector, entry]));
  } catch {
    return new Map();
  }
};

const entryOf = ({ selector, algorithm, removed }: DisclosedKey): Entry => ({
  selector,
  algorithm,
  removed: formatInstant(removed),
  file: `${selector}${suffix}`,
});

export const createFileDisclosure = (files: Files): Disclosure => {
  const pathOf = (domain: string, selector: string): string => `${domain}/${selector}${suffix}`;

  const selectorsOf = async (domain: string): Promise<readonly string[]> =>
    (await files.names(domain))
      .filter((name) => name.endsWith(suffix))
      .map((name) => name.slice(0, -suffix.length))
      .filter(isDnsName)
      .toSorted();

  const readKey = async (domain: string, selector: string): Promise<DisclosedKey> => {
    const path = pathOf(domain, selector);
    const text = await files.read(path);
    if (text === undefined) throw new SelkieError('unavailable', `${path} was listed and cannot be read`);
    return parseKeyFile(text, path);
  };

  /**
   * Two workers may list at once and write one after the other: each looks again after its own write, and the last of them sees
   * what the others put there.
   */
  const writeIndex = async (domain: string): Promise<void> => {
    const path = `${domain}/index.json`;
    for (let tries = 0; tries < mostTries; tries += 1) {
      const selectors = await selectorsOf(domain);
      const known = entriesOf(await files.read(path));
      const keys = await inParallel(
        width,
        selectors,
        async (selector) => known.get(selector) ?? entryOf(await readKey(domain, selector)),
      );
      await files.write(path, `${JSON.stringify({ domain, keys }, null, 2)}\n`);
      if ((await selectorsOf(domain)).join() === selectors.join()) return;
    }
    throw new SelkieError('unavailable', `${path} is written by too many at once`);
  };

  return {
    async publish(key) {
      const { domain, selector } = key;
      if (!isDnsName(domain) || !isDnsName(selector))
        throw new SelkieError('invalid', `No DNS names: domain "${domain}", selector "${selector}".`);
      const text = keyFileText(key);
      const path = pathOf(domain, selector);
      const there = await files.read(path);
      if (there !== undefined && parseKeyFile(there, path).publicKey !== key.publicKey)
        throw new SelkieError('conflict', `${path} is another key: move it away.`);
      if (there === undefined) await files.write(path, text);
      await writeIndex(domain);
    },

    async list(domain, { after, limit }) {
      if (!isDnsName(domain)) return { keys: [] };
      const selectors = (await selectorsOf(domain)).filter(
        (selector) => after === undefined || selector > after,
      );
      const page = selectors.slice(0, limit);
      const keys = await inParallel(width, page, (selector) => readKey(domain, selector));
      const last = page.at(-1);
      return selectors.length > page.length && last !== undefined ? { keys, next: last } : { keys };
    },
  };
};
