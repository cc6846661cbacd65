// The fleet that is tortured: two domains in one zone, one whose keys drain for a week as by default, and one whose keys
// go their whole way, from birth to removal, within minutes.

export const zone = 'torture.example.jp';

export interface TorturedDomain {
  readonly domain: string;
  /** Signatures on each message. */
  readonly signatures: number;
  /** Invariant 1: how long after its signing a message must verify, in milliseconds. */
  readonly window: number;
}

const week = 7 * 24 * 3_600_000;

export const lasting: TorturedDomain = { domain: `lasting.${zone}`, signatures: 1, window: week };
export const hasty: TorturedDomain = { domain: `hasty.${zone}`, signatures: 2, window: 60_000 };
export const domains: readonly TorturedDomain[] = [lasting, hasty];

/** `window` is downstreamQueue + drainMargin. */
export const fleetYaml = `defaults:
  ttl: PT1M
domains:
  ${lasting.domain}:
  ${hasty.domain}:
    algorithms: [rsa2048, ed25519]
    downstreamQueue: PT40S
    drainMargin: PT20S
    hold: PT1M
    skewBound: PT1S
zones:
  ${zone}:
    id: ZLOCAL0000000001
pools: [local]
`;
