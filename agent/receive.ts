// What happens to a bundle, however it came: opened, applied, acknowledged. No I/O of its own.

import type { JWK } from 'jose';
import { signAck } from '../contract/acknowledgement.ts';
import { openBundle } from '../contract/bundle.ts';
import type { Duration, Instant } from '../core/time.ts';
import type { Applier } from './apply.ts';
import type { Identity } from './identity.ts';

export interface ReceiverOptions {
  readonly host: string;
  readonly identity: Pick<Identity, 'encryption' | 'signing'>;
  readonly applier: Applier;
  /** Bundle keys that this host trusts at present. */
  readonly trusted: () => readonly JWK[];
  readonly now: () => Instant;
  /** How far the control plane's clock may differ from ours. */
  readonly skew: Duration;
}

/** @param bundle compact JWE  @returns the acknowledgement, compact JWS  @throws SelkieError untrusted, invalid, unavailable */
export type Receive = (bundle: string) => Promise<string>;

export const createReceiver =
  ({ host, identity, applier, trusted, now, skew }: ReceiverOptions): Receive =>
  async (bundle) => {
    const opened = await openBundle(bundle, {
      encryptionKey: identity.encryption,
      host,
      trusted: trusted(),
      now: now(),
      skew,
    });
    return signAck(await applier.apply(opened), identity.signing);
  };
