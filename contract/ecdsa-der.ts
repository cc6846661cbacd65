// ECDSA signatures from DER (RFC 3279 §2.2.3: what KMS and X.509 tools give) to r‖s (RFC 7518 §3.4: what JOSE wants).
// Pure.
import { SelkieError } from '../core/errors.ts';

const tags = { sequence: 0x30, integer: 0x02 } as const;

const broken = (what: string): SelkieError =>
  new SelkieError('invalid', `The ECDSA signature is not DER of two integers: ${what}.`);

/**
 * One element, and where the next begins. Lengths here are below 128 for every curve up to P-384, so that the long form
 * would not be DER (X.690 §10.1).
 */
const element = (der: Uint8Array, at: number, tag: number): { content: Uint8Array; next: number } => {
  const [found, length] = [der[at], der[at + 1]];
  if (found !== tag || length === undefined || length >= 128) throw broken(`no element at byte ${at}`);
  const next = at + 2 + length;
  if (next > der.length) throw broken(`the element at byte ${at} is cut off`);
  return { content: der.subarray(at + 2, next), next };
};

/** A positive integer in exactly `size` bytes: DER drops leading zeros, and adds one where the first bit is set. */
const fixed = (content: Uint8Array, size: number): Uint8Array => {
  const [first, second] = content;
  if (first === undefined) throw broken('an empty integer');
  if (first >= 128) throw broken('a negative integer');
  if (first === 0 && (second === undefined || second < 128))
    throw broken('a zero, or a zero too many in front');
  const digits = first === 0 ? content.subarray(1) : content;
  if (digits.length > size) throw broken(`an integer of ${digits.length} bytes where ${size} is the most`);
  const padded = new Uint8Array(size);
  padded.set(digits, size - digits.length);
  return padded;
};

/**
 * @param size bytes of each integer: 32 for ES256, 48 for ES384
 * @returns r‖s, 2 × `size` bytes
 * @throws invalid where the bytes are not exactly one DER signature of two positive integers that fit
 */
export const derToConcatenated = (der: Uint8Array, size: 32 | 48): Uint8Array => {
  const { content, next } = element(der, 0, tags.sequence);
  if (next !== der.length) throw broken('bytes behind its end');
  const r = element(content, 0, tags.integer);
  const s = element(content, r.next, tags.integer);
  if (s.next !== content.length) throw broken('more than two integers');
  const joined = new Uint8Array(2 * size);
  joined.set(fixed(r.content, size), 0);
  joined.set(fixed(s.content, size), size);
  return joined;
};
