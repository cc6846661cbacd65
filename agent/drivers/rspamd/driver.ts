// An rspamd as the signer: the agent writes key files and a selector map, which rspamd's workers read by themselves, without a
// reload. Touches the shared folder, and speaks to rspamd as an MTA does.
//
// In this order, each step repeatable: key files (tried under another name first); the selector map, whole; every worker has
// shown that it read it; a canary of each domain that changed is signed as wanted; then the files of keys that are gone.

import { algorithms } from '../../../core/algorithm.ts';
import { describe } from '../../../core/errors.ts';
import { hostKeyName } from '../../../core/key/evidence.ts';
import type { Driver, DriverKey, Wanted } from '../driver.ts';
import { keyTypesOf } from '../key-types.ts';
import { type CanaryAnswer, type Entrance, parseEntrance, sendCanary, verifiesWith } from './canary.ts';
import { keyFileName } from './configuration.ts';
import { openMaps } from './maps.ts';
import { openSharedFolder } from './shared-folder.ts';
import { spread } from './spread.ts';
import { canonicalPublicKey, nameOf, tryKeys } from './trial.ts';
import { everyWorker } from './workers.ts';

export interface RspamdDriverOptions {
  /** Where the agent hands rspamd its maps and keys; `rspamdConfiguration` names it to rspamd. */
  readonly folder: string;
  /** Where mail enters rspamd, each: `inet:11332@127.0.0.1`, `unix:/PATH`, `http://127.0.0.1:11333`. */
  readonly entrances: readonly string[];
  /** Mail of a domain whose key must not sign: put off, unless told otherwise. */
  readonly onUnusableKey?: 'tempfail' | 'unsigned';
  /** Milliseconds that one `apply` waits for rspamd; 10 s unless told otherwise. */
  readonly patience?: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /** A fresh identifier. */
  readonly id: () => string;
}

type Rows = ReadonlyMap<string, string>;

const sameRows = (a: Rows, b: Rows): boolean =>
  a.size === b.size && [...a].every(([domain, selector]) => b.get(domain) === selector);

/** Domains whose rows are new, others, or gone since, with the selector that counts. */
const difference = (rows: Rows, before: Rows = new Map()): Rows =>
  new Map([
    ...[...before].filter(([domain]) => !rows.has(domain)),
    ...[...rows].filter(([domain, selector]) => before.get(domain) !== selector),
  ]);

const holds = (set: ReadonlySet<string>, all: ReadonlySet<string>): boolean =>
  [...all].every((one) => set.has(one));

const isRsa = ({ algorithm }: DriverKey): boolean => algorithms[algorithm].keyType === 'rsa';

const onlyRsa =
  'rspamd signs with one selector a domain where maps name them, so this host takes RSA keys only (driver: rspamd).';

/**
 * @throws SelkieError not-found, unsafe or denied where the folder cannot be used, with what mends it; invalid where a map in it or
 *   an entrance is wrong. rspamd itself need not answer yet.
 */
export const createRspamdDriver = async (options: RspamdDriverOptions): Promise<Driver> => {
  const { now, pause, id, patience = 10_000, onUnusableKey = 'tempfail' } = options;
  const entrances = options.entrances.map(parseEntrance);
  const folder = await openSharedFolder(options.folder);
  let until = 0;
  const hasTime = (): boolean => now() < until;
  const askAt = (entrance: Entrance, domain: string): Promise<CanaryAnswer> =>
    sendCanary(entrance, domain, { id: id(), now: now(), timeout: patience });
  const maps = await openMaps({
    folder,
    id,
    everyWorker: (domain, isCurrent) =>
      everyWorker({ entrances, ask: (entrance) => askAt(entrance, domain), isCurrent, until, now, pause }),
  });
  const [entrance] = entrances;
  const ask = (domain: string): Promise<CanaryAnswer> => {
    if (entrance === undefined) throw new Error('no place is named where mail enters rspamd');
    return askAt(entrance, domain);
  };

  /** Rows that every worker had, the last time that it was asked. */
  let confirmed: Rows | undefined;
  /** `FILE p=`: files that were read by this process and hold this key. */
  const read = new Set<string>();
  /** `domain/selector`: seen to sign by this process. */
  const shown = new Set<string>();

  const isInPlace = async (key: DriverKey, files: ReadonlySet<string>): Promise<boolean> => {
    const file = keyFileName(key.domain, key.selector);
    const mark = `${file} ${key.publicKey}`;
    if (!files.has(file)) return false;
    if (read.has(mark)) return true;
    if ((await folder.publicKey(file)) !== canonicalPublicKey(key.publicKey)) return false;
    read.add(mark);
    return true;
  };

  /** Key files brought to what is wanted, nothing erased. @returns the keys that rspamd can sign with, by name */
  const bring = async (
    keys: readonly DriverKey[],
    undone: Map<string, string>,
  ): Promise<ReadonlySet<string>> => {
    const files = await folder.keys();
    const missing: DriverKey[] = [];
    await spread(keys, async (key) => {
      if (!(await isInPlace(key, files))) missing.push(key);
    });
    const failed =
      missing.length === 0
        ? new Map<string, string>()
        : await tryKeys(missing, { folder, maps, ask, hasTime });
    for (const [name, why] of failed) undone.set(name, why);
    return new Set(keys.map(nameOf).filter((name) => !failed.has(name)));
  };

  /** The selector of each domain. One whose successor cannot sign yet goes on with the key that it had. */
  const rowsFor = async (
    keys: readonly DriverKey[],
    inPlace: ReadonlySet<string>,
    { stopped }: Wanted,
    present: Rows,
  ): Promise<Rows> => {
    const files = await folder.keys();
    const rows = new Map<string, string>();
    for (const key of keys) {
      if (key.duty !== 'signing') continue;
      const before = present.get(key.domain);
      if (inPlace.has(nameOf(key))) rows.set(key.domain, key.selector);
      else if (
        before !== undefined &&
        files.has(keyFileName(key.domain, before)) &&
        !stopped.has(hostKeyName(key.domain, before))
      )
        rows.set(key.domain, before);
    }
    return rows;
  };

  /** Why the domain's mail is not signed with this key. */
  const wrong = async ({ domain, selector, publicKey }: DriverKey): Promise<string | undefined> => {
    try {
      const answer = await ask(domain);
      if (answer.selector === selector && verifiesWith(answer, domain, publicKey)) return undefined;
      const seen = answer.selector === undefined ? 'not at all' : `with s=${answer.selector}`;
      return `rspamd signs mail of ${domain} ${seen} where this key should sign: another row of ${folder.path}/selectors.map, a path_map or a domain {} block of rspamd may name this domain.`;
    } catch (error) {
      return describe(error);
    }
  };

  /** Looks at each domain whose row is new to this process. @returns the rows to go back to, where the new one does not sign */
  const show = async (
    keys: readonly DriverKey[],
    rows: Rows,
    before: Rows,
    undone: Map<string, string>,
  ): Promise<ReadonlyMap<string, string | undefined>> => {
    const back = new Map<string, string | undefined>();
    const due = keys.filter((key) => rows.get(key.domain) === key.selector && !shown.has(nameOf(key)));
    await spread(due, async (key) => {
      const changed = before.get(key.domain) !== key.selector;
      // Rows that were there before this process are looked at as time allows.
      if (!hasTime() && !changed) return;
      const why = hasTime()
        ? await wrong(key)
        : 'rspamd was not seen to sign with it yet; many keys changed at once.';
      if (why === undefined) shown.add(nameOf(key));
      else {
        undone.set(nameOf(key), why);
        if (changed && hasTime()) back.set(key.domain, before.get(key.domain));
      }
    });
    return back;
  };

  const restore = async (rows: Rows, back: ReadonlyMap<string, string | undefined>): Promise<Rows> => {
    const files = await folder.keys();
    const next = new Map(rows);
    for (const [domain, selector] of back)
      if (selector !== undefined && files.has(keyFileName(domain, selector))) next.set(domain, selector);
    if (sameRows(next, rows)) return rows;
    await maps.writeSelectors(next);
    return (await maps.confirm()) === undefined ? next : rows;
  };

  const eraseOthers = async (keys: readonly DriverKey[], rows: Rows, others: Rows): Promise<void> => {
    const kept = new Set([
      ...(await maps.ownFiles()),
      ...keys.map(({ domain, selector }) => keyFileName(domain, selector)),
      ...[...rows, ...others].map(([domain, selector]) => keyFileName(domain, selector)),
    ]);
    const gone = [...(await folder.keys())].filter((file) => !kept.has(file));
    await folder.eraseKeys(gone);
    const isGone = new Set(gone);
    for (const mark of read) if (isGone.has(mark.split(' ')[0] ?? '')) read.delete(mark);
    const names = new Set(keys.map(nameOf));
    for (const name of shown) if (!names.has(name)) shown.delete(name);
  };

  /** A full disk, say, is no matter of keys whose rows stay as they are. */
  const written = async (rows: Rows): Promise<string | undefined> => {
    try {
      await maps.writeSelectors(rows);
      return undefined;
    } catch (error) {
      return `The selector map cannot be written: ${describe(error)}`;
    }
  };

  const writtenStopped = async (domains: ReadonlySet<string>): Promise<string | undefined> => {
    try {
      await maps.writeStopped(domains);
      return await maps.confirm();
    } catch (error) {
      return `Mail of this domain cannot be held back: ${describe(error)}`;
    }
  };

  const apply = async (wanted: Wanted): Promise<ReadonlyMap<string, string>> => {
    until = now() + patience;
    const undone = new Map<string, string>();
    const keys = wanted.keys.filter(isRsa);
    for (const key of wanted.keys) if (!isRsa(key)) undone.set(nameOf(key), onlyRsa);

    const inPlace = await bring(keys, undone);
    const { rows: present, others } = await maps.selectors();
    const rows = await rowsFor(keys, inPlace, wanted, present);
    const halted = new Set(
      onUnusableKey === 'unsigned'
        ? []
        : [...wanted.stopped.keys()]
            .map((name) => name.split('/')[0] ?? '')
            .filter((domain) => !rows.has(domain)),
    );
    // Put off first, then no longer signed; and the other way round.
    const haltedBefore = await maps.stopped();
    const stop = async (domains: ReadonlySet<string>): Promise<void> => {
      const why = await writtenStopped(domains);
      if (why !== undefined) for (const name of wanted.stopped.keys()) undone.set(name, why);
    };
    if (!holds(haltedBefore, halted)) await stop(new Set([...halted, ...haltedBefore]));
    const unseen = (sameRows(rows, present) ? undefined : await written(rows)) ?? (await maps.confirm());
    if (unseen !== undefined) {
      for (const [domain, selector] of difference(rows, confirmed))
        undone.set(hostKeyName(domain, selector), unseen);
      return undone;
    }
    // Of rows that this process never saw confirmed, those on the disk are what was.
    const before = confirmed ?? present;
    confirmed = await restore(rows, await show(keys, rows, before, undone));
    if (!holds(halted, await maps.stopped())) await stop(halted);
    await eraseOthers(keys, confirmed, others);
    return undone;
  };

  return {
    keyTypes: keyTypesOf.rspamd,
    async apply(wanted) {
      const undone = await apply(wanted);
      return new Map([...undone].map(([name, why]) => [name, why.slice(0, 500)]));
    },
    async close() {},
  };
};
