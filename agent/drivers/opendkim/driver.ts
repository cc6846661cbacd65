// OpenDKIM as the signer: its keys and its two tables are kept for it, it is told to reload, and what it then signs with is
// observed. Touches the driver's folder, KeyTable and SigningTable; signals OpenDKIM.
import { createHash, createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { algorithms } from '../../../core/algorithm.ts';
import { describe, SelkieError } from '../../../core/errors.ts';
import { hostKeyName } from '../../../core/key/evidence.ts';
import { openConnections } from '../../opendkim/connections.ts';
import { pathFault } from '../../opendkim/safe-path.ts';
import type { Driver, DriverKey, Wanted } from '../driver.ts';
import { type CanaryAnswer, openCanary } from './canary.ts';
import { type KeyFiles, openKeyFiles, pemOf } from './key-files.ts';
import { planRows } from './plan.ts';
import {
  type BuiltTables,
  buildTables,
  type KeyPlace,
  servingKeys,
  trialAddress,
  type WantedRows,
} from './rows.ts';
import { forgetEnded, noteReload, olderThan, openState, type StateFile } from './state.ts';
import {
  changedDomains,
  checkTables,
  differs,
  inForce,
  purgeKeyTable,
  putTables,
  readTables,
  reload,
  restoreTables,
} from './swap.ts';
import { absence, lookAt, type OpendkimView } from './view.ts';

export interface OpendkimDriverOptions {
  /** opendkim.conf */
  readonly config: string;
  /** Of this driver alone: keys and what it must not forget. Made 0700, of OpenDKIM's user; no directory above may be writable by others. */
  readonly folder: string;
  /** Milliseconds since 1970, for the names of backups. */
  readonly now: () => number;
  /** How many dated copies of each table are kept; 10 unless told otherwise. */
  readonly backups?: number;
  /** Milliseconds that OpenDKIM may take to answer; 10 s unless told otherwise. */
  readonly timeout?: number;
  /** Milliseconds that it may take to reload; 10 s unless told otherwise. */
  readonly reloadWithin?: number;
  /** Milliseconds that a call waits for old connections to end before it answers that they are still there; 2 s unless told otherwise. */
  readonly settleWithin?: number;
  /** How many keys are written and tried in one call, which is to return soon; 1,000 unless told otherwise. */
  readonly atOnce?: number;
  /** Told after each effect; for tests of what a crash leaves. */
  readonly step?: (done: string) => Promise<void> | void;
}

interface Settings extends Required<Omit<OpendkimDriverOptions, 'step'>> {
  readonly step: (done: string) => Promise<void>;
}

const fingerprint = (key: Pick<DriverKey, 'publicKey'>): string =>
  createHash('sha256').update(key.publicKey).digest('hex');

const nameOf = ({ domain, selector }: Pick<KeyPlace, 'domain' | 'selector'>): string =>
  hostKeyName(domain, selector);

const shorten = (why: string): string => (why.length > 500 ? `${why.slice(0, 499)}…` : why);

const turn = 'Other keys are put to work first; this one follows within minutes.';

/** One call of `apply`. */
class Round {
  readonly #settings: Settings;
  readonly #view: OpendkimView;
  readonly #files: KeyFiles;
  readonly #saved: StateFile;
  readonly #wanted: Wanted;
  readonly #reasons = new Map<string, string>();
  /** Written, and of a kind that OpenDKIM signs with. */
  readonly #ready = new Set<string>();
  /** Put to work in vain. */
  readonly #failed = new Set<string>();
  /** What a domain goes on with while its new key is not fit. */
  #serving: ReadonlyMap<string, KeyPlace> = new Map();
  /** Canaries that may still be asked for in this call. */
  #left: number;

  constructor(settings: Settings, view: OpendkimView, files: KeyFiles, saved: StateFile, wanted: Wanted) {
    this.#settings = settings;
    this.#view = view;
    this.#files = files;
    this.#saved = saved;
    this.#wanted = wanted;
    this.#left = settings.atOnce;
  }

  get #state() {
    return this.#saved.state;
  }

  async run(): Promise<ReadonlyMap<string, string>> {
    this.#prune();
    let trouble: string | undefined;
    let answers = true;
    try {
      await this.#writeKeys();
      this.#serving = await this.#findServing();
      answers = await this.#answers();
      if (answers) await this.#bringAll();
      else await this.#takeOut();
    } catch (error) {
      trouble = describe(error);
    }
    if (!answers) trouble = absence(this.#view);
    try {
      await this.#settle();
      if (answers && trouble === undefined) await this.#clean();
      await this.#saved.save();
    } catch (error) {
      trouble ??= describe(error);
    }
    return this.#answer(trouble, answers);
  }

  /** What is remembered of keys that are no longer wanted. */
  #prune(): void {
    const names = new Set(this.#wanted.keys.map(nameOf));
    for (const name of Object.keys(this.#state.tried)) if (!names.has(name)) delete this.#state.tried[name];
    for (const name of Object.keys(this.#state.gone))
      if (this.#wanted.keys.some((key) => key.duty === 'signing' && nameOf(key) === name))
        delete this.#state.gone[name];
  }

  #isTried(key: DriverKey): boolean {
    return this.#state.tried[nameOf(key)] === fingerprint(key);
  }

  async #writeKeys(): Promise<void> {
    const signing = new Map<string, string>();
    let left = this.#settings.atOnce;
    let written = false;
    for (const key of this.#wanted.keys) {
      const name = nameOf(key);
      if (algorithms[key.algorithm].keyType !== 'rsa') {
        this.#reasons.set(
          name,
          `OpenDKIM signs with one algorithm for all keys of a host, and here with RSA: it cannot use a key of ${key.algorithm}.`,
        );
        continue;
      }
      const other = signing.get(key.domain);
      if (key.duty === 'signing' && other !== undefined) {
        this.#reasons.set(
          name,
          `${other} is to sign for ${key.domain} too: a domain signs with one key of each type.`,
        );
        continue;
      }
      if (key.duty === 'signing') signing.set(key.domain, key.selector);
      if (this.#isTried(key) && (await this.#files.has(key))) {
        this.#ready.add(name);
        continue;
      }
      if (left === 0) continue;
      left -= 1;
      try {
        await this.#files.put(key, pemOf(await key.load()));
        this.#ready.add(name);
        written = true;
      } catch (error) {
        this.#reasons.set(name, `The key was not put where OpenDKIM reads it: ${describe(error)}`);
      }
    }
    if (written) await this.#files.sync();
    await this.#settings.step('keys written');
  }

  /** The key last seen to sign, or else the one that KeyTable names; of domains that are to be signed for. */
  async #findServing(): Promise<ReadonlyMap<string, KeyPlace>> {
    const tables = await readTables(this.#view);
    const listed = servingKeys(tables.keyTable, tables.keyType);
    const serving = new Map<string, KeyPlace>();
    for (const { domain, duty } of this.#wanted.keys) {
      const seen = this.#state.signing[domain]?.selector;
      const places = [
        ...(seen === undefined
          ? []
          : [{ domain, selector: seen, file: this.#files.path({ domain, selector: seen }) }]),
        ...[listed.get(domain) ?? []].flat(),
      ];
      for (const place of duty === 'signing' ? places : [])
        if (
          !serving.has(domain) &&
          !this.#wanted.stopped.has(nameOf(place)) &&
          (await this.#files.has(place))
        )
          serving.set(domain, place);
    }
    return serving;
  }

  /** Whether OpenDKIM answers; and if it does not have the tables that it was last seen with, what was seen counts no more. */
  async #answers(): Promise<boolean> {
    const { tables, signing } = this.#state;
    try {
      if (await inForce(this.#view, tables?.hash ?? '', this.#settings.timeout)) return true;
      for (const seen of Object.values(signing)) delete seen.reload;
      return true;
    } catch {
      return false;
    }
  }

  #plan(): WantedRows {
    const keys = this.#wanted.keys.map((key) => ({
      name: nameOf(key),
      domain: key.domain,
      selector: key.selector,
      duty: key.duty,
      file: this.#files.path(key),
      ready: this.#ready.has(nameOf(key)),
      tried: this.#isTried(key),
      failed: this.#failed.has(nameOf(key)),
    }));
    return planRows(keys, this.#serving, this.#files.canaryKey);
  }

  /** Rows of others that name these are rows of keys that are ours. */
  #held(rows: WantedRows): ReadonlySet<string> {
    const signed = new Set(rows.signing.map(({ domain }) => domain));
    return new Set([
      ...this.#wanted.keys.filter(({ domain }) => signed.has(domain)).map(nameOf),
      ...this.#wanted.stopped.keys(),
    ]);
  }

  /** Trial rows first; then, when those were signed with, the domains' rows; and back to the old key where a new one fails. */
  async #bringAll(): Promise<void> {
    let last = '';
    for (let pass = 0; pass < 4; pass += 1) {
      const rows = this.#plan();
      const said = JSON.stringify(rows);
      if (said === last) return;
      last = said;
      await this.#bring(rows);
      await this.#tryKeys(rows);
      await this.#observe(rows);
      await this.#observeGone(rows);
    }
  }

  /** Tables with these rows, on the disk and in force. */
  async #bring(rows: WantedRows): Promise<void> {
    const { timeout, reloadWithin: within, step, now, backups } = this.#settings;
    const present = await readTables(this.#view);
    const built = buildTables(present, rows, this.#held(rows));
    const changes = differs(present, built);
    if (changes) {
      checkTables(present, built);
      await this.#unsee(changedDomains(present, built));
      await putTables(present, built, { now: now(), backups, step });
    }
    const there = await inForce(this.#view, built.hash, timeout);
    if (!there && !(await this.#reloaded(built.hash, { timeout, within, step }))) {
      if (changes) await restoreTables(present, built);
      throw new SelkieError(
        'unavailable',
        `OpenDKIM did not take new tables within ${within / 1_000} s of the signal to reload; see its log (journalctl -u opendkim).${changes ? ' The old tables are back.' : ''}`,
      );
    }
    if (there && this.#state.tables?.hash === built.hash) return;
    // After the reload was seen: a connection that is opened from now on has these tables.
    const number = noteReload(this.#state, await openConnections(this.#view.target));
    this.#state.tables = { hash: built.hash, reload: number };
    await this.#saved.save();
    await step('reload seen');
  }

  async #reloaded(hash: string, how: Parameters<typeof reload>[2]): Promise<boolean> {
    return reload(this.#view, hash, how);
  }

  /** What was seen of these domains holds no longer: written down before it comes true. */
  async #unsee(domains: ReadonlySet<string>): Promise<void> {
    for (const domain of domains) delete this.#state.signing[domain]?.reload;
    await this.#saved.save();
    await this.#settings.step('state saved');
  }

  /** OpenDKIM does not run. What must not sign is taken out before it starts again; all else waits until it can be observed. */
  async #takeOut(): Promise<void> {
    const present = await readTables(this.#view);
    const signing = new Set(
      this.#wanted.keys.filter(({ duty }) => duty === 'signing').map(({ domain }) => domain),
    );
    const rows: WantedRows = {
      signing: [...servingKeys(present.keyTable, present.keyType).values()].filter(
        (key) => signing.has(key.domain) && !this.#wanted.stopped.has(nameOf(key)),
      ),
      trials: [],
      canaryKey: this.#files.canaryKey,
    };
    const built = buildTables(present, rows, this.#held(rows));
    const changed = changedDomains(present, built);
    if (changed.size === 0) return;
    checkTables(present, built);
    await this.#unsee(changed);
    const { now, backups, step } = this.#settings;
    await putTables(present, built, { now: now(), backups, step });
  }

  /** Asks in turn, on one connection as long as nothing goes wrong on it. */
  async #ask<T extends KeyPlace>(
    keys: readonly T[],
    author: (key: T) => string,
    see: (key: T, answer: CanaryAnswer) => Promise<void>,
  ): Promise<void> {
    const open = () => openCanary(this.#view.target, this.#settings.timeout);
    let canary: Awaited<ReturnType<typeof open>> | undefined;
    try {
      for (const key of keys) {
        if (this.#left === 0) return;
        this.#left -= 1;
        canary ??= await open();
        const answer = await canary.ask(author(key));
        await see(key, answer);
        if (answer.verdict === 'accept') continue;
        await canary.close().catch(() => undefined);
        canary = undefined;
      }
    } catch (cause) {
      throw new SelkieError('unavailable', absence(this.#view), { cause });
    } finally {
      await canary?.close().catch(() => undefined);
    }
  }

  /** Why an answer does not show that OpenDKIM signs with this key; undefined where it does. */
  async #fault(key: KeyPlace, { verdict, signatures }: CanaryAnswer): Promise<string | undefined> {
    if (verdict !== 'accept') {
      const fault = await pathFault(key.file, this.#view.user, this.#view.accounts).catch(describe);
      return `OpenDKIM cannot use the key, it put off a test message: ${fault ?? 'its log says why (journalctl -u opendkim)'}`;
    }
    const ofDomain = signatures.filter(({ domain }) => domain === key.domain);
    const own = ofDomain.filter(({ selector }) => selector === key.selector);
    const [other] = ofDomain.filter(({ selector }) => selector !== key.selector);
    if (own.length === 0)
      return other === undefined
        ? 'OpenDKIM did not sign a test message with it: look for ExemptDomains and the like in opendkim.conf, and in its log.'
        : `OpenDKIM signed a test message with ${other.selector} in its place: another row of SigningTable comes first.`;
    const publicKey = await this.#publicKey(key);
    if (!own.every((one) => one.holds(publicKey)))
      return "OpenDKIM signs with it, but the signature does not hold with the key's public half.";
    const ours = ofDomain.find(
      ({ selector }) =>
        selector !== key.selector &&
        this.#wanted.keys.some((held) => held.domain === key.domain && held.selector === selector),
    );
    return ours === undefined
      ? undefined
      : `OpenDKIM signed a test message with ${ours.selector} as well: take that row out of SigningTable, or MultipleSignatures out of opendkim.conf.`;
  }

  /** As the key store has it; of a key that is no longer wanted and signs on, from its file. */
  async #publicKey(key: KeyPlace): Promise<string> {
    const wanted = this.#wanted.keys.find((one) => nameOf(one) === nameOf(key));
    if (wanted !== undefined) return wanted.publicKey;
    const spki = createPublicKey(await readFile(key.file, 'utf8')).export({ type: 'spki', format: 'der' });
    return spki.toString('base64');
  }

  async #tryKeys(rows: WantedRows): Promise<void> {
    const wanted = new Map(this.#wanted.keys.map((key) => [nameOf(key), key]));
    const untried = rows.trials.filter((place) => {
      const key = wanted.get(nameOf(place));
      return key !== undefined && !this.#isTried(key) && !this.#failed.has(nameOf(place));
    });
    await this.#ask(untried, trialAddress, async (place, answer) => {
      const name = nameOf(place);
      const why = await this.#fault(place, answer);
      const key = wanted.get(name);
      if (why === undefined && key !== undefined) this.#state.tried[name] = fingerprint(key);
      else this.#fail(name, why ?? turn);
    });
    if (untried.length > 0) await this.#saved.save();
  }

  #fail(name: string, why: string): void {
    this.#failed.add(name);
    if (!this.#reasons.has(name)) this.#reasons.set(name, why);
  }

  async #observe({ signing }: WantedRows): Promise<void> {
    const { tables, signing: seen } = this.#state;
    const unseen = signing.filter(({ domain, selector }) => {
      const last = seen[domain];
      return last?.selector !== selector || last.reload === undefined;
    });
    await this.#ask(
      unseen,
      ({ domain }) => `selkie-canary@${domain}`,
      async (place, answer) => {
        const { domain, selector } = place;
        const why = await this.#fault(place, answer);
        if (why !== undefined) {
          this.#fail(nameOf(place), why);
          return;
        }
        const last = seen[domain];
        const before = last?.selector === selector ? last.before : last?.selector;
        seen[domain] = {
          selector,
          ...(before === undefined ? {} : { before }),
          ...(tables === null ? {} : { reload: tables.reload }),
        };
      },
    );
    if (unseen.length > 0) {
      await this.#saved.save();
      await this.#settings.step('domains seen');
    }
  }

  /** Domains that were signed for and have no row now. */
  async #observeGone({ signing }: WantedRows): Promise<void> {
    const { tables, signing: seen, gone } = this.#state;
    const rows = new Set(signing.map(({ domain }) => domain));
    const left = Object.entries(seen).flatMap(([domain, { selector }]) =>
      rows.has(domain) ? [] : [{ domain, selector, file: this.#files.path({ domain, selector }) }],
    );
    await this.#ask(
      left,
      ({ domain }) => `selkie-canary@${domain}`,
      async (place, { signatures }) => {
        const { domain, selector } = place;
        if (signatures.some((one) => one.domain === domain && one.selector === selector)) {
          this.#reasons.set(
            nameOf(place),
            `OpenDKIM still signs with it, by a row of SigningTable that Selkie did not write: take that out.`,
          );
          return;
        }
        delete seen[domain];
        if (tables !== null) gone[nameOf(place)] = tables.reload;
      },
    );
    if (left.length > 0) await this.#saved.save();
  }

  /** Waits a little for connections to end that were open before a reload. */
  async #settle(): Promise<void> {
    const { signing, gone, tables } = this.#state;
    const pause = 50;
    for (let waited = 0; ; waited += pause) {
      if (Object.keys(this.#state.reloads).length === 0) return;
      forgetEnded(this.#state, await openConnections(this.#view.target));
      const waits = [
        ...Object.values(signing).map(({ reload: number }) => number ?? 0),
        ...Object.values(gone),
        tables?.reload ?? 0,
      ].some((number) => olderThan(this.#state, number) > 0);
      if (!waits || waited >= this.#settings.settleWithin) return;
      await sleep(pause);
    }
  }

  /** When nothing can name them any more: rows of KeyTable, then key files. */
  async #clean(): Promise<void> {
    const { tables, gone } = this.#state;
    if (tables === null || olderThan(this.#state, tables.reload) > 0) return;
    for (const [name, number] of Object.entries(gone))
      if (olderThan(this.#state, number) === 0) delete gone[name];
    const present = await readTables(this.#view);
    const rows = this.#plan();
    const built: BuiltTables = buildTables(present, rows, this.#held(rows));
    if (built.hash !== tables.hash) return;
    await purgeKeyTable(present, built);
    await this.#settings.step('KeyTable purged');
    await this.#files.sweep(
      new Set([
        ...this.#wanted.keys.map((key) => this.#files.path(key)),
        ...built.keyTable.split(/[\s:]+/).filter((word) => word.startsWith('/')),
      ]),
    );
    await this.#settings.step('keys swept');
  }

  #waiting(reloadNumber: number, before: string | undefined): string | undefined {
    const count = olderThan(this.#state, reloadNumber);
    if (count === 0) return undefined;
    const what =
      count === 1 ? '1 connection opened before the reload' : `${count} connections opened before the reload`;
    const does =
      before === undefined
        ? `${count === 1 ? 'does' : 'do'} not sign yet`
        : `still ${count === 1 ? 'signs' : 'sign'} with ${before}`;
    return `${what} ${does}; waits until ${count === 1 ? 'it ends' : 'they end'}.`;
  }

  #answer(trouble: string | undefined, answers: boolean): ReadonlyMap<string, string> {
    const reasons = new Map(this.#reasons);
    const { signing, gone, tried } = this.#state;
    const add = (name: string, why: string | undefined): void => {
      if (why !== undefined && !reasons.has(name)) reasons.set(name, why);
    };
    for (const key of this.#wanted.keys) {
      const name = nameOf(key);
      const seen = signing[key.domain];
      if (!answers) add(name, trouble);
      else if (key.duty === 'standby')
        add(name, tried[name] === fingerprint(key) ? undefined : (trouble ?? turn));
      else if (seen?.selector === key.selector && seen.reload !== undefined)
        add(name, this.#waiting(seen.reload, seen.before));
      else add(name, trouble ?? turn);
    }
    for (const [name, number] of Object.entries(gone)) add(name, this.#waiting(number, name.split('/')[1]));
    // What must not sign and was not seen to have ceased.
    for (const [domain, { selector }] of Object.entries(signing)) {
      const name = hostKeyName(domain, selector);
      const wanted = this.#wanted.keys.some((key) => key.domain === domain && key.duty === 'signing');
      if (this.#wanted.stopped.has(name) || !wanted) add(name, trouble ?? turn);
    }
    return new Map([...reasons].map(([name, why]) => [name, shorten(why)]));
  }
}

/**
 * The keeper of an OpenDKIM, for `driver: opendkim`. Must run as OpenDKIM's user, or as root.
 * @throws SelkieError invalid where opendkim.conf is none that keys can be kept for, saying which lines to write; denied
 *   where this process may not; unsafe where OpenDKIM would refuse keys in `folder`, saying which directory and what mends it
 */
export const createOpendkimDriver = async (options: OpendkimDriverOptions): Promise<Driver> => {
  const settings: Settings = {
    backups: 10,
    timeout: 10_000,
    reloadWithin: 10_000,
    settleWithin: 2_000,
    atOnce: 1_000,
    ...options,
    step: async (done) => options.step?.(done),
  };
  const prepare = async () => {
    const view = await lookAt(settings.config);
    const files = await openKeyFiles(settings.folder, view.user);
    const fault = await pathFault(files.canaryKey, view.user, view.accounts);
    if (fault !== undefined)
      throw new SelkieError('unsafe', `OpenDKIM would not take keys from ${settings.folder}: ${fault}.`, {
        field: 'folder',
      });
    return { view, files };
  };
  await prepare();
  const saved = await openState(settings.folder);
  return {
    keyTypes: ['rsa'],
    async apply(wanted) {
      const { view, files } = await prepare();
      return new Round(settings, view, files, saved, wanted).run();
    },
    async close() {},
  };
};
