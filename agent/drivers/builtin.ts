// Our own milter as the signer: its ring of keys is swapped in one step, on all connections at once. No I/O.

import type { KeyRing } from '../signing/key-ring.ts';
import type { Driver } from './driver.ts';
import { keyTypesOf } from './key-types.ts';

export const createBuiltinDriver = (ring: KeyRing): Driver => ({
  keyTypes: keyTypesOf.builtin,
  async apply({ keys, stopped }) {
    ring.replace(
      keys.filter(({ duty }) => duty === 'signing'),
      stopped,
    );
    return new Map();
  },
  async close() {},
});
