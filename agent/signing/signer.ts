// Signs messages as they stream by: RFC 6376 §3.7 and §5, RSA-SHA256 (RFC 8301) and Ed25519-SHA256 (RFC 8463). Computes
// only; OpenSSL's threads sign, so a message's signature does not hold up the others.
import { createHash, type KeyObject, sign } from 'node:crypto';
import { algorithms } from '../../core/algorithm.ts';
import { type BodyCanonicalization, canonicalBody } from '../../core/dkim/canonical-body.ts';
import {
  asciiBytes,
  canonicalHeader,
  canonicalName,
  type HeaderField,
} from '../../core/dkim/canonical-header.ts';
import { selectHeaders } from '../../core/dkim/header-selection.ts';
import {
  type Canonicalization,
  emptySignature,
  fillSignature,
  signatureFieldName,
} from '../../core/dkim/signature-header.ts';
import { describe, SelkieError } from '../../core/errors.ts';
import { type Address, fromAddress } from './from-address.ts';
import type { KeyRing, SigningKey } from './key-ring.ts';

export interface SignerOptions {
  readonly ring: KeyRing;
  readonly canonicalization?: Canonicalization;
  /** Milliseconds since 1970; `t=` is in whole seconds. */
  readonly now: () => number;
}

/** One signature of a message. */
export interface Signature {
  readonly domain: string;
  readonly selector: string;
  /** What stands behind `DKIM-Signature:`, a space first, folded with CRLF and a tab, without the final CRLF. */
  readonly value: string;
}

/** A message that will be signed: its keys are chosen, its body is being read. */
export interface MessageSigner {
  readonly kind: 'signing';
  readonly author: Address;
  readonly keys: readonly SigningKey[];
  /** The next bytes of the body; read before this returns. */
  body(chunk: Uint8Array): void;
  /**
   * The body is complete: one signature per key, in the order of `keys` (RSA first).
   * @throws unavailable where a key cannot sign; then there is no signature at all, and the message should wait
   */
  finish(): Promise<readonly Signature[]>;
}

/** A message that passes as it is. */
export interface Unsigned {
  readonly kind: 'unsigned';
  /** As OpenDKIM's log says it: `no signing table match for 'user@example.com'`. */
  readonly reason: string;
}

/** An address fit for a log line, whatever bytes the message had. */
const printable = (address: Address): string =>
  `${address.localPart}@${address.domain}`.replace(/[^\x21-\x7e]/g, '?').slice(0, 320);

/** RSA hashes the data inside of `sign`; Ed25519 signs the SHA-256 of it as a message (RFC 8463 §3). */
const signWith = (privateKey: KeyObject, keyType: 'rsa' | 'ed25519', data: Uint8Array): Promise<string> =>
  new Promise((resolve, reject) => {
    const rsa = keyType === 'rsa';
    if (privateKey.type !== 'private' || privateKey.asymmetricKeyType !== keyType)
      throw new SelkieError('invalid', `it is not a private ${keyType} key`);
    sign(
      rsa ? 'sha256' : null,
      rsa ? data : createHash('sha256').update(data).digest(),
      privateKey,
      (error, signature) => (error === null ? resolve(signature.toString('base64')) : reject(error)),
    );
  });

const crlf = asciiBytes('\r\n');

/** The data that a signature signs: the selected fields, then the signature's own, empty and without CRLF (§3.7). */
const signedData = (fields: readonly Uint8Array[], empty: string): Uint8Array =>
  Buffer.concat([
    ...fields.flatMap((field) => [field, crlf]),
    canonicalHeader({ name: signatureFieldName, value: asciiBytes(empty) }, 'relaxed'),
  ]);

const messageSigner = (
  fields: readonly HeaderField[],
  author: Address,
  keys: readonly SigningKey[],
  canonicalization: Canonicalization,
  now: () => number,
): MessageSigner => {
  const selection = selectHeaders(fields);
  const canonical = selection.fields.map((field) => canonicalHeader(field, 'relaxed'));
  const hash = createHash('sha256');
  const bodyKind = canonicalization.slice('relaxed/'.length) as BodyCanonicalization;
  const body = canonicalBody(bodyKind, (bytes) => hash.update(bytes));
  // Now, while the body is on its way: once the key is retired its file goes away.
  const taken = keys.map((key) => {
    const loading = key.load();
    // Heard when the message ends; until then a failure is nobody's.
    loading.catch(() => undefined);
    return { key, loading };
  });

  const signature = async (
    { key, loading }: (typeof taken)[number],
    bodyHash: string,
    time: number,
  ): Promise<Signature> => {
    const { domain, selector } = key;
    const empty = emptySignature({
      algorithm: algorithms[key.algorithm].signature,
      canonicalization,
      domain,
      selector,
      time,
      headers: selection.names,
      bodyHash,
    });
    try {
      return {
        domain,
        selector,
        value: fillSignature(
          empty,
          await signWith(await loading, algorithms[key.algorithm].keyType, signedData(canonical, empty)),
        ),
      };
    } catch (error) {
      throw new SelkieError('unavailable', `cannot sign (s=${selector}, d=${domain}): ${describe(error)}`, {
        cause: error,
      });
    }
  };

  return {
    kind: 'signing',
    author,
    keys,
    body: (chunk) => body.write(chunk),
    finish() {
      body.end();
      const bodyHash = hash.digest('base64');
      const time = Math.floor(now() / 1000);
      return Promise.all(taken.map((one) => signature(one, bodyHash, time)));
    },
  };
};

/**
 * A message's header is complete: decides whether it is signed, and takes its keys from the ring. This is the only look at
 * the ring, so a swap in the middle of a message takes effect with the next one.
 * `fields` may leave out those that are never signed.
 */
export const beginMessage = (
  fields: readonly HeaderField[],
  options: SignerOptions,
): MessageSigner | Unsigned => {
  const from = fields.filter((field) => canonicalName(field.name) === 'from');
  const [field] = from;
  if (field === undefined) return { kind: 'unsigned', reason: 'no From field' };
  // RFC 5322 §3.6: exactly one. Whose message it is would be each reader's guess.
  if (from.length > 1) return { kind: 'unsigned', reason: `${from.length} From fields` };
  const author = fromAddress(field.value);
  if (author === undefined) return { kind: 'unsigned', reason: 'no address in the From field' };
  const keys = options.ring.signingKeys(author.domain);
  if (keys.length === 0)
    return { kind: 'unsigned', reason: `no signing table match for '${printable(author)}'` };
  return messageSigner(fields, author, keys, options.canonicalization ?? 'relaxed/relaxed', options.now);
};
