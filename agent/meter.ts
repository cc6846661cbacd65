// What is counted of each message. Types only: metrics.ts keeps the figures and shows them, the milter reports them.

/** Why a message went on, or was put off, without a signature. */
export type UnsignedReason =
  /** Not from an internal or authenticated client. */
  | 'foreign'
  /** No key for its author's domain. */
  | 'no-match'
  /** No From field, several, or none with an address. */
  | 'no-author'
  /** Its key may not or cannot sign. */
  | 'key-unusable'
  /** Its header is longer than the agent keeps. */
  | 'too-long';

export interface Meter {
  /** @param seconds from the end of the message to its signatures */
  signed(keys: readonly { readonly domain: string; readonly selector: string }[], seconds: number): void;
  /** It went on as it was. */
  unsigned(reason: UnsignedReason): void;
  /** It was put off (4xx). */
  deferred(reason: UnsignedReason): void;
  /** A connection that ended by an error, its own or the MTA's. */
  failedConnection(): void;
}
