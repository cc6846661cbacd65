// What each driver's signer can sign with: known at enrolment, before there is a signer. No I/O.
import type { KeyType } from '../../core/algorithm.ts';
import type { Config } from '../config.ts';

export const keyTypesOf = {
  builtin: ['rsa', 'ed25519'],
  /** One algorithm for all keys of a host: with both, OpenDKIM 2.11 makes signatures that do not hold. */
  opendkim: ['rsa'],
  /** One selector a domain, where maps name it. */
  rspamd: ['rsa'],
} as const satisfies Record<Config['driver'], readonly KeyType[]>;
