// What stands at a key's name, against what should.

import { sameKeyRecord } from '../core/dkim/key-record.ts';
import type { TxtSet } from './ports.ts';

/** Exactly this value and no other beside it: several TXT records at one name are undefined (RFC 6376 §3.6.2.2). */
export const holdsOnly = (set: TxtSet | undefined, value: string): boolean => {
  const [first, ...more] = set?.values ?? [];
  return first !== undefined && more.length === 0 && sameKeyRecord(first, value);
};
