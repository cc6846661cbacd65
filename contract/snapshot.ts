// Names a snapshot by its content, so that a host that was interrupted between two parts of it gets the next one from
// whoever makes the same snapshot again: nothing about the parts is remembered on the control plane. Pure; core only.

import type { Place } from '../core/key/evidence.ts';
import type { KeyChange } from './manifest.ts';

/** MurmurHash3's 32-bit final mix. */
const mixed = (hash: number): number => {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
};

/** FNV-1a over four lanes with primes of their own: 128 bits against chance, none against intent. */
const createHash = () => {
  const lanes = [0x811c9dc5, 0x9747b28c, 0x3c6ef372, 0x510e527f];
  const primes = [0x01000193, 0x01000197, 0x010001a5, 0x010001b3];
  return {
    add(text: string): void {
      let [a = 0, b = 0, c = 0, d = 0] = lanes;
      const [p = 0, q = 0, r = 0, s = 0] = primes;
      for (let i = 0; i < text.length; i += 1) {
        const code = text.charCodeAt(i);
        a = Math.imul(a ^ code, p);
        b = Math.imul(b ^ code, q);
        c = Math.imul(c ^ code, r);
        d = Math.imul(d ^ code, s);
      }
      lanes.splice(0, 4, a, b, c, d);
    },
    end: (): string => lanes.map((lane) => mixed(lane).toString(16).padStart(8, '0')).join(''),
  };
};

/**
 * The id of the snapshot of a pool's log up to `place`, in these parts. The same content in the same parts has the same id;
 * the fleet's operator alone has a say in the content, so that chance is all that it must withstand.
 * @returns 32 hex digits
 */
export const snapshotId = (
  place: Place,
  parts: readonly (readonly Pick<KeyChange, 'domain' | 'selector' | 'duty' | 'publicKey'>[])[],
): string => {
  const hash = createHash();
  hash.add(`${place.epoch}.${place.n}.${parts.length}`);
  for (const part of parts) {
    hash.add('\n\n');
    for (const { domain, selector, duty, publicKey } of part)
      hash.add(`${domain}/${selector} ${duty} ${publicKey}\n`);
  }
  return hash.end();
};
