// Shapes of facts that more than one life is told in: keys' (core/key/evidence.ts) and policy records' (core/policy-records/).

import type { Instant } from './time.ts';

export interface At {
  readonly at: Instant;
}

/** A change of a zone that the DNS provider accepted, by the provider's id for it. */
export interface Accepted extends At {
  readonly changeId: string;
}

/** A zone at its provider, as the fleet said when it was last installed. */
export interface HostedZone {
  /** Route 53's hosted zone id. */
  readonly id: string;
  /** The ARN of the role that it is changed by. */
  readonly role?: string;
}
