// Signs messages as they stream by: RFC 6376 §3.7 and §5, RSA-SHA256 (RFC 8301) and Ed25519-SHA256 (RFC 8463). Computes
// only. OpenSSL's threads sign, so that a message's signature does not hold up the others; where there are none, it is made
// here, which spares two changes of thread.
import { createHash, type KeyObject, sign } from 'node:crypto';
import { type Algorithm, algorithms } from '../../core/algorithm.ts';
import { type BodyCanonicalization, canonicalBody } from '../../core/dkim/canonical-body.ts';
import {
  asciiBytes,
  canonicalHeader,
  type HeaderCanonicalization,
  type HeaderField,
} from '../../core/dkim/canonical-header.ts';
import { type HeaderPolicy, selectHeaders } from '../../core/dkim/header-selection.ts';
import { dkimQuotedPrintable } from '../../core/dkim/quoted-printable.ts';
import {
  type Canonicalization,
  emptySignature,
  fillSignature,
  signatureFieldName,
} from '../../core/dkim/signature-header.ts';
import { describe, SelkieError } from '../../core/errors.ts';
import { isWithin } from '../../core/names.ts';
import { type Choice, type ChoiceOptions, chooseKeys } from './choice.ts';
import type { Address } from './from-address.ts';
import type { SigningKey } from './key-ring.ts';

/** When `i=` names the author: never, where the author's domain is `d=`, or also where it lies below. */
export type Identity = 'none' | 'domain' | 'subdomains';

export interface SignerOptions extends ChoiceOptions {
  /** `relaxed/relaxed` unless told otherwise. */
  readonly canonicalization?: Canonicalization;
  readonly headers?: HeaderPolicy;
  /** `none` unless told otherwise. */
  readonly identity?: Identity;
  /** Whether `t=` is said; true unless told otherwise. */
  readonly timestamp?: boolean;
  /** `x=`: seconds after `t=`, so only with it; no `x=` where absent. */
  readonly expireAfter?: number;
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

/** What became of a message's keys. */
export interface Signed {
  /** In the order of `keys` (RSA first); empty where none could sign. */
  readonly signatures: readonly Signature[];
  /** `cannot sign (s=…, d=…): why`, of each key that could not. */
  readonly failures: readonly string[];
}

/** A message that will be signed: its keys are chosen, its body is being read. */
export interface MessageSigner {
  readonly kind: 'signing';
  readonly author: Address;
  readonly keys: readonly SigningKey[];
  /** The next bytes of the body; read before this returns. */
  body(chunk: Uint8Array): void;
  /**
   * The body is complete: one signature per key that can sign. Never fails.
   * @param alone no other message is in hand that would wait meanwhile; false unless told otherwise
   */
  finish(alone?: boolean): Promise<Signed>;
}

/** Less than a millisecond: a message that comes meanwhile may wait for it. */
const isQuick = (algorithm: Algorithm): boolean => algorithm === 'rsa2048' || algorithm === 'ed25519';

/** RSA hashes the data inside of `sign`; Ed25519 signs the SHA-256 of it as a message (RFC 8463 §3). */
const signWith = (
  privateKey: KeyObject,
  algorithm: Algorithm,
  data: Uint8Array,
  alone: boolean,
): Promise<string> =>
  new Promise((resolve, reject) => {
    const { keyType } = algorithms[algorithm];
    const rsa = keyType === 'rsa';
    if (privateKey.type !== 'private' || privateKey.asymmetricKeyType !== keyType)
      throw new SelkieError('invalid', `it is not a private ${keyType} key`);
    const hash = rsa ? 'sha256' : null;
    const input = rsa ? data : createHash('sha256').update(data).digest();
    if (alone && isQuick(algorithm)) resolve(sign(hash, input, privateKey).toString('base64'));
    else
      sign(hash, input, privateKey, (error, signature) =>
        error === null ? resolve(signature.toString('base64')) : reject(error),
      );
  });

const crlf = asciiBytes('\r\n');

/** The data that a signature signs: the selected fields, then the signature's own, empty and without CRLF (§3.7). */
const signedData = (fields: readonly Uint8Array[], empty: string, kind: HeaderCanonicalization): Uint8Array =>
  Buffer.concat([
    ...fields.flatMap((field) => [field, crlf]),
    canonicalHeader({ name: signatureFieldName, value: asciiBytes(empty) }, kind),
  ]);

/** `i=`; undefined where it must not be said: its domain must be `d=` or below (RFC 6376 §3.5). */
const identityOf = (author: Address, domain: string, identity: Identity): string | undefined => {
  const { localPart } = author;
  if (identity === 'none' || !isWithin(author.domain, domain)) return undefined;
  if (identity === 'domain' && author.domain !== domain) return undefined;
  // Bytes that are no UTF-8 came out as U+FFFD: then it is not the author's name any more.
  if (localPart.includes('\ufffd')) return undefined;
  return `${dkimQuotedPrintable(Buffer.from(localPart.replaceAll('\r\n', '')))}@${author.domain}`;
};

const messageSigner = (
  fields: readonly HeaderField[],
  { author, keys }: Choice & { kind: 'keys' },
  {
    canonicalization = 'relaxed/relaxed',
    headers,
    identity = 'none',
    timestamp = true,
    expireAfter,
    now,
  }: SignerOptions,
): MessageSigner => {
  const [headerKind, bodyKind] = canonicalization.split('/') as [
    HeaderCanonicalization,
    BodyCanonicalization,
  ];
  const selection = selectHeaders(fields, headers);
  const canonical = selection.fields.map((field) => canonicalHeader(field, headerKind));
  const hash = createHash('sha256');
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
    alone: boolean,
  ): Promise<Signature> => {
    const { domain, selector } = key;
    const name = identityOf(author, domain, identity);
    const empty = emptySignature({
      algorithm: algorithms[key.algorithm].signature,
      canonicalization,
      domain,
      selector,
      ...(name === undefined ? {} : { identity: name }),
      ...(timestamp ? { time } : {}),
      ...(timestamp && expireAfter !== undefined ? { expires: time + expireAfter } : {}),
      headers: selection.names,
      bodyHash,
    });
    const data = signedData(canonical, empty, headerKind);
    const value = await signWith(await loading, key.algorithm, data, alone);
    return { domain, selector, value: fillSignature(empty, value) };
  };

  return {
    kind: 'signing',
    author,
    keys,
    body: (chunk) => body.write(chunk),
    async finish(alone = false) {
      body.end();
      const bodyHash = hash.digest('base64');
      const time = Math.floor(now() / 1000);
      const signatures: Signature[] = [];
      const failures: string[] = [];
      const outcomes = await Promise.allSettled(taken.map((one) => signature(one, bodyHash, time, alone)));
      for (const [i, outcome] of outcomes.entries()) {
        if (outcome.status === 'fulfilled') signatures.push(outcome.value);
        else
          failures.push(
            `cannot sign (s=${keys[i]?.selector}, d=${keys[i]?.domain}): ${describe(outcome.reason)}`,
          );
      }
      return { signatures, failures };
    },
  };
};

/**
 * A message's header is complete: decides whether it is signed, and takes its keys from the ring. This is the only look at
 * the ring, so a swap in the middle of a message takes effect with the next one.
 * `fields` may leave out those that are never signed, but not From and Sender.
 */
export const beginMessage = (
  fields: readonly HeaderField[],
  options: SignerOptions,
): MessageSigner | Exclude<Choice, { kind: 'keys' }> => {
  const choice = chooseKeys(fields, options);
  return choice.kind === 'keys' ? messageSigner(fields, choice, options) : choice;
};
