// Remembers which keys messages were signed with, for the acknowledgement: the drain of a retired key begins no earlier than
// its last use. A ring around the ring; no I/O.
import { hostKeyName } from '../core/key/evidence.ts';
import { type Instant, instant } from '../core/time.ts';
import type { KeyRing } from './signing/key-ring.ts';

export interface UseRecorder {
  /** For the signer: `signingKeys` of it counts as use. */
  readonly ring: KeyRing;
  /** `domain/selector` → the last use since the start, of keys that sign no more and that `holds` names. */
  retired(holds: (name: string) => boolean): Readonly<Record<string, Instant>>;
}

/** @param now milliseconds since 1970 */
export const recordUse = (ring: KeyRing, now: () => number): UseRecorder => {
  const uses = new Map<
    string,
    { readonly domain: string; readonly selector: string; readonly at: Instant }
  >();
  return {
    ring: {
      replace: (keys, stopped) => ring.replace(keys, stopped),
      stopped: (domain) => ring.stopped(domain),
      signingKeys(domain) {
        const keys = ring.signingKeys(domain);
        for (const key of keys)
          uses.set(hostKeyName(key.domain, key.selector), {
            domain: key.domain,
            selector: key.selector,
            at: instant(now()),
          });
        return keys;
      },
    },
    retired(holds) {
      const retired: Record<string, Instant> = {};
      for (const [name, { domain, selector, at }] of uses) {
        if (ring.signingKeys(domain).some((key) => key.selector === selector)) continue;
        if (holds(name)) retired[name] = at;
        else uses.delete(name);
      }
      return retired;
    },
  };
};
