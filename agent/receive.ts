// What happens to a bundle, however it came: opened, applied, acknowledged. No I/O of its own.

import type { JWK } from 'jose';
import { signAck } from '../contract/acknowledgement.ts';
import { openBundle } from '../contract/bundle.ts';
import type { Succession } from '../contract/manifest.ts';
import type { Duration, Instant } from '../core/time.ts';
import type { Applier } from './apply.ts';
import type { Identity } from './identity.ts';

type Keys = Pick<Identity, 'encryption' | 'signing'>;

export interface ReceiverOptions<K extends Keys = Keys> {
  readonly host: string;
  /** Those that a bundle may be sealed to. The acknowledgement is signed by the same one. */
  readonly identities: () => Promise<readonly K[]>;
  /** A bundle sealed to this one holds. Before it is acknowledged. */
  readonly proved?: (identity: K) => Promise<void>;
  readonly applier: Applier;
  /** Bundle keys that this host trusts at present. */
  readonly trusted: () => Promise<readonly JWK[]>;
  /** Does what a manifest says of bundle keys, after `apply` found it to be the newest. */
  readonly succeed?: (succession: Succession) => Promise<void>;
  /** RFC 7638 thumbprints of the bundle keys that are trusted now: for the acknowledgement. */
  readonly trusts?: () => Promise<readonly string[]>;
  readonly now: () => Instant;
  /** How far the control plane's clock may differ from ours. */
  readonly skew: Duration;
}

/** @param bundle compact JWE  @returns the acknowledgement, compact JWS  @throws SelkieError untrusted, invalid, unavailable */
export type Receive = (bundle: string) => Promise<string>;

export const createReceiver =
  <K extends Keys>(options: ReceiverOptions<K>): Receive =>
  async (bundle) => {
    const { host, applier, now, skew } = options;
    const identities = await options.identities();
    const opened = await openBundle(bundle, {
      encryptionKey: identities.map(({ encryption }) => encryption),
      host,
      trusted: await options.trusted(),
      now: now(),
      skew,
    });
    const identity = identities[opened.sealedTo];
    if (identity === undefined) throw new Error('a bundle is sealed to no identity');
    // First of all: a replayed manifest, which might bring back a retired key, is refused here.
    const acknowledgement = await applier.apply(opened);
    if (opened.manifest.trust !== undefined) await options.succeed?.(opened.manifest.trust);
    await options.proved?.(identity);
    const trusts = await options.trusts?.();
    return signAck(trusts === undefined ? acknowledgement : { ...acknowledgement, trusts }, identity.signing);
  };
