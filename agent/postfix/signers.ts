// Other programs that sign, as far as an address tells: a second signature of one domain is of no use, and verifiers look at
// a few only (OpenDKIM at three). Pure.
import { sameMilter } from './address.ts';

/** Addresses that Debian's packages and tutorials give them. */
const usual: readonly (readonly [RegExp, string])[] = [
  [/^unix:.*opendkim|^local:.*opendkim/, 'OpenDKIM'],
  [/^(?:unix|local):.*dkimpy/, 'dkimpy-milter'],
  [/^inet:.*:(?:8891|12301)$/, "OpenDKIM's usual address"],
  [/^inet:.*:8892$/, "dkimpy-milter's usual address"],
  [/^inet:.*:11332$|^(?:unix|local):.*rspamd/, 'rspamd'],
];

/** @param known address → what is there, read from its own configuration */
export const signerAt = (
  address: string,
  known: ReadonlyMap<string, string>,
  queueDirectory: string,
): string | undefined =>
  [...known].find(([one]) => sameMilter(one, address, queueDirectory))?.[1] ??
  usual.find(([pattern]) => pattern.test(address))?.[1];
