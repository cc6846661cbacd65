// Brings the signer to what the key store says, less the keys whose record forbids them to sign. The one caller of the
// driver: bundles, the record check and the start all come through here, one at a time.
import { describe } from '../core/errors.ts';
import { hostKeyName } from '../core/key/evidence.ts';
import type { Driver } from './drivers/driver.ts';
import type { KeyStore } from './key-store.ts';
import type { Log } from './log.ts';

export interface Duties {
  /** `domain/selector` → why this key is not as the key store wants it, as of the last time. */
  readonly unusable: ReadonlyMap<string, string>;
  /** The key store has changed, or it is time to look again. Never fails: what could not be done is in `unusable`. */
  enforce(): Promise<void>;
  /** These keys must not sign (`domain/selector` → why), in place of those said before. */
  stop(keys: ReadonlyMap<string, string>): Promise<void>;
}

/** @param later takes a look to be had when some time has passed, for what a signer could not do now (it was down, say) */
export const createDuties = (
  store: KeyStore,
  driver: Driver,
  log: Log,
  later: (look: () => void) => void = () => {},
): Duties => {
  let stopped: ReadonlyMap<string, string> = new Map();
  let unusable: ReadonlyMap<string, string> = new Map();
  let last: Promise<void> = Promise.resolve();

  const enforce = async (): Promise<void> => {
    const held = store.heldKeys();
    const named = held.map((key) => ({ key, name: hostKeyName(key.domain, key.selector) }));
    const kept = new Map([
      ...named.flatMap(({ key, name }) => {
        const why = stopped.get(name);
        return why === undefined || key.duty !== 'signing' ? [] : [[name, why] as const];
      }),
      ...store.lost,
    ]);
    const keys = named.flatMap(({ key, name }) => (kept.has(name) ? [] : [key]));
    let undone: ReadonlyMap<string, string>;
    try {
      undone = await driver.apply({ keys, stopped: kept });
    } catch (error) {
      const why = `The signer did not take it: ${describe(error)}`.slice(0, 500);
      undone = new Map(keys.map(({ domain, selector }) => [hostKeyName(domain, selector), why]));
    }
    const next = new Map([...kept, ...undone]);
    for (const [name, why] of next) if (unusable.get(name) !== why) log(`key ${name}: ${why}`);
    for (const name of unusable.keys()) if (!next.has(name)) log(`key ${name}: in order again`);
    unusable = next;
    // The control plane asks again too, but may be away.
    if (undone.size > 0) later(() => void queued());
  };
  const queued = (): Promise<void> => {
    last = last.then(enforce);
    return last;
  };

  return {
    get unusable() {
      return unusable;
    },
    enforce: queued,
    stop(keys) {
      stopped = keys;
      return queued();
    },
  };
};
