// Other programs that sign, as far as an address tells: a second signature of one domain is of no use, and verifiers look at
// a few only (OpenDKIM at three). Pure.
import { sameMilter } from './address.ts';

/** Addresses that Debian's packages and tutorials give them. */
const usual: readonly (readonly [RegExp, string])[] = [
  [/^(?:unix|local):.*opendkim/, "OpenDKIM's usual path"],
  [/^(?:unix|local):.*dkimpy/, "dkimpy-milter's usual path"],
  [/^inet:.*:(?:8891|12301)$/, "OpenDKIM's usual address"],
  [/^inet:.*:8892$/, "dkimpy-milter's usual address"],
  [/^inet:.*:11332$|^(?:unix|local):.*rspamd/, "rspamd's usual address"],
];

export interface OtherSigner {
  readonly name: string;
  /** Its own configuration says so; else it is a guess by its address. */
  readonly certain: boolean;
}

/** @param known address → what is there, read from its own configuration */
export const signerAt = (
  address: string,
  known: ReadonlyMap<string, string>,
  queueDirectory: string,
): OtherSigner | undefined => {
  const read = [...known].find(([one]) => sameMilter(one, address, queueDirectory))?.[1];
  if (read !== undefined) return { name: read, certain: true };
  const guess = usual.find(([pattern]) => pattern.test(address))?.[1];
  return guess === undefined ? undefined : { name: guess, certain: false };
};
