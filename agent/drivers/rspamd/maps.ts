// The two maps that rspamd reads, each with a row that names its version, so that a worker can show which one it has read: of the
// selector map by what it signs a canary of that name with, of the stopped domains by its answer.
import { createHash, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { describe } from '../../../core/errors.ts';
import type { CanaryAnswer } from './canary.ts';
import { generationName, keyFileName, sharedNames } from './configuration.ts';
import { formatSelectorsMap, otherRows, parseSelectorsMap, type SelectorsMap } from './selectors-map.ts';
import type { SharedFolder } from './shared-folder.ts';

type Rows = ReadonlyMap<string, string>;

export interface RspamdMaps {
  /** Selkie's rows on the disk, domain → selector, and the administrator's. @throws SelkieError invalid */
  selectors(): Promise<{ readonly rows: Rows; readonly others: Rows }>;
  stopped(): Promise<ReadonlySet<string>>;
  writeSelectors(rows: Rows): Promise<void>;
  writeStopped(domains: ReadonlySet<string>): Promise<void>;
  /**
   * Waits until all workers have read both maps as they are on the disk.
   * @returns undefined, or why not; where rspamd does not answer, that
   */
  confirm(): Promise<string | undefined>;
  /** Key files that the maps themselves need. */
  ownFiles(): Promise<ReadonlySet<string>>;
}

export interface MapsOptions {
  readonly folder: SharedFolder;
  readonly id: () => string;
  /** Waits for every worker to answer a canary from this domain so; `everyWorker`. */
  readonly everyWorker: (
    domain: string,
    isCurrent: (answer: CanaryAnswer) => boolean,
  ) => Promise<string | undefined>;
}

const pair = promisify(generateKeyPair);
const canaryKey = keyFileName(generationName, 'canary');

/** Signs canaries only: no record names it. */
const makeCanaryKey = async (folder: SharedFolder): Promise<void> => {
  if ((await folder.keys()).has(canaryKey)) return;
  const { privateKey } = await pair('rsa', { modulusLength: 2048 });
  await folder.writeKey(canaryKey, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
};

const without = (rows: Rows): Rows => new Map([...rows].filter(([name]) => name !== generationName));

/** Opens the maps in the folder, and makes them where they are missing, so that rspamd finds them. */
export const openMaps = async ({ folder, id, everyWorker }: MapsOptions): Promise<RspamdMaps> => {
  const path = (name: string): string => `${folder.path}/${name}`;
  const read = async (name: string): Promise<SelectorsMap> =>
    parseSelectorsMap(await folder.read(name), path(name));
  const generation = async (name: string): Promise<string> =>
    (await read(name)).rows.get(generationName) ?? '';
  /** A fresh name; selectors are labels (RFC 6376 §3.1). */
  const fresh = (): string => `g${createHash('sha256').update(id()).digest('hex').slice(0, 20)}`;
  /** Not seen by all workers the last time: written anew at the next look, in case rspamd missed it. */
  let unseen = false;

  const write = async (name: string, rows: Rows): Promise<void> => {
    const version = fresh();
    if (name === sharedNames.map) await folder.linkKey(canaryKey, keyFileName(generationName, version));
    const present = await read(name);
    await folder.replace(
      name,
      formatSelectorsMap({ ...present, rows: new Map([...without(rows), [generationName, version]]) }),
    );
  };

  await makeCanaryKey(folder);
  for (const name of [sharedNames.map, sharedNames.stopped])
    if ((await generation(name)) === '') await write(name, (await read(name)).rows);

  return {
    async selectors() {
      const map = await read(sharedNames.map);
      return { rows: without(map.rows), others: otherRows(map) };
    },
    async stopped() {
      return new Set(without((await read(sharedNames.stopped)).rows).keys());
    },
    writeSelectors: (rows) => write(sharedNames.map, rows),
    writeStopped: (domains) =>
      write(sharedNames.stopped, new Map([...domains].map((domain) => [domain, 'stopped']))),
    async confirm() {
      try {
        if (unseen)
          for (const name of [sharedNames.map, sharedNames.stopped])
            await write(name, (await read(name)).rows);
        const [map, stopped] = [await generation(sharedNames.map), await generation(sharedNames.stopped)];
        const why = await everyWorker(
          generationName,
          ({ selector, worker }) => selector === map && worker?.stopped === stopped,
        );
        unseen = why !== undefined;
        return why;
      } catch (error) {
        unseen = true;
        return describe(error);
      }
    },
    async ownFiles() {
      return new Set([canaryKey, keyFileName(generationName, await generation(sharedNames.map))]);
    },
  };
};
