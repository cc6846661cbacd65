// The port between the agent and whatever signs on this host: our own milter, an OpenDKIM, an rspamd. One contract suite
// (test/contracts/driver.ts) runs on every driver.
import type { KeyType } from '../../core/algorithm.ts';
import type { Duty } from '../../core/key/evidence.ts';
import type { SigningKey } from '../signing/key-ring.ts';

/** A key of the key store, with its duty. */
export interface DriverKey extends SigningKey {
  /** What `p=` of its record says. */
  readonly publicKey: string;
  readonly duty: Exclude<Duty, 'none'>;
}

export interface Wanted {
  /** All keys that the host holds and may use. Of each domain and key type at most one signs. */
  readonly keys: readonly DriverKey[];
  /** `domain/selector` → why this signing key must not or cannot sign: its record is gone or revoked, its file damaged. Not in `keys`. */
  readonly stopped: ReadonlyMap<string, string>;
}

export interface Driver {
  /** The key types that its signer can sign with; said at enrolment, so that others do not come. */
  readonly keyTypes: readonly KeyType[];
  /**
   * Brings the signer to these keys and to no others of Selkie's, and observes that it is so: a standby key was tried in
   * the signer where it can be, a signing key signs on every connection. Level-triggered: it looks at what is and does what
   * is missing; again is the same, after a crash in its middle too. It returns soon: what must be waited for (connections
   * that still sign with an old key) is a reason in the answer, and the next call looks again. One call at a time.
   * @returns `domain/selector` → why this key is not as wanted; the signer then goes on with the keys that it had.
   *   Reasons name files and programs, never key material, and have at most 500 characters.
   */
  apply(wanted: Wanted): Promise<ReadonlyMap<string, string>>;
  close(): Promise<void>;
}
