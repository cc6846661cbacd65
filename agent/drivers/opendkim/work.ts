// What one call of the driver works on, and what it finds out on its way. Types, and the index of what is wanted; no I/O.
import { createHash } from 'node:crypto';
import { hostKeyName } from '../../../core/key/evidence.ts';
import type { DriverKey, Wanted } from '../driver.ts';
import type { KeyFiles } from './key-files.ts';
import type { KeyPlace } from './rows.ts';
import type { StateFile } from './state.ts';
import type { OpendkimView } from './view.ts';

export interface Settings {
  readonly config: string;
  readonly folder: string;
  readonly now: () => number;
  readonly backups: number;
  readonly timeout: number;
  readonly reloadWithin: number;
  readonly settleWithin: number;
  readonly atOnce: number;
  readonly askWithin: number;
  readonly step: (done: string) => Promise<void>;
}

/** Keys that a domain's own canary found not to sign, though one of a reserved address did: not put to work each minute. */
export type Refused = Map<string, { readonly why: string; readonly times: number; readonly until: number }>;

export interface Work {
  readonly settings: Settings;
  readonly view: OpendkimView;
  readonly files: KeyFiles;
  readonly saved: StateFile;
  readonly wanted: Wanted;
  readonly byName: ReadonlyMap<string, DriverKey>;
  /** By domain, the key that is to sign. */
  readonly signing: ReadonlyMap<string, DriverKey>;
  readonly refused: Refused;
  /** Written, and of a kind that OpenDKIM signs with. */
  readonly ready: Set<string>;
  /** Put to work in vain. */
  readonly failed: Set<string>;
  /** `domain/selector` → why it is not as wanted, where that is known already. */
  readonly reasons: Map<string, string>;
}

export const nameOf = ({ domain, selector }: Pick<KeyPlace, 'domain' | 'selector'>): string =>
  hostKeyName(domain, selector);

/** Of the public half: what a key is, whatever file it lies in. */
export const fingerprint = (key: Pick<DriverKey, 'publicKey'>): string =>
  createHash('sha256').update(key.publicKey).digest('hex');

export const beginWork = (
  given: Pick<Work, 'settings' | 'view' | 'files' | 'saved' | 'wanted' | 'refused'>,
): Work => {
  const signing = new Map<string, DriverKey>();
  // OpenDKIM signs with RSA only; of two, the first: the other one is told.
  for (const key of given.wanted.keys)
    if (key.duty === 'signing' && !signing.has(key.domain) && key.algorithm !== 'ed25519')
      signing.set(key.domain, key);
  return {
    ...given,
    byName: new Map(given.wanted.keys.map((key) => [nameOf(key), key])),
    signing,
    ready: new Set(),
    failed: new Set(),
    reasons: new Map(),
  };
};

export const isTried = ({ saved }: Work, key: DriverKey): boolean =>
  saved.state.tried[nameOf(key)] === fingerprint(key);

/** The first reason counts: what follows from it says less. */
export const say = ({ reasons }: Work, name: string, why: string): void => {
  if (!reasons.has(name)) reasons.set(name, why);
};
