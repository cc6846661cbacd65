// Writes the DKIM-Signature field: RFC 6376 §3.5, folded by §2.8 and RFC 5322 §2.1.1. Pure; the hash and the signature
// come in as base64.
import type { AlgorithmFacts } from '../algorithm.ts';
import type { BodyCanonicalization } from './canonical-body.ts';
import type { HeaderCanonicalization } from './canonical-header.ts';

export const signatureFieldName = 'DKIM-Signature';

/** `c=`: of the header, of the body. A header's "simple" does not survive an MTA that folds or unfolds. */
export type Canonicalization = `${HeaderCanonicalization}/${BodyCanonicalization}`;

export interface SignatureTags {
  readonly algorithm: AlgorithmFacts['signature'];
  readonly canonicalization: Canonicalization;
  readonly domain: string;
  readonly selector: string;
  /** `i=`, in dkim-quoted-printable; its domain is `domain` or below it. */
  readonly identity?: string;
  /** `t=`: whole seconds since 1970; recommended, not required. */
  readonly time?: number;
  /** `x=`: whole seconds since 1970, after `time` where both are there. */
  readonly expires?: number;
  /** What `h=` lists. */
  readonly headers: readonly string[];
  /** Base64. */
  readonly bodyHash: string;
}

const lineLength = 78;
const fold = '\r\n\t';

/**
 * The field's value with `b=` empty: what is hashed (§3.7), and what `fillSignature` completes. It begins with the space
 * behind the colon; no line is longer than 78 characters unless one name alone is.
 */
export const emptySignature = (tags: SignatureTags): string => {
  const names = tags.headers.map((name, i) => (i === tags.headers.length - 1 ? `${name};` : `${name}:`));
  const [firstName = ';', ...otherNames] = names;
  const pieces = [
    ' v=1;',
    ` a=${tags.algorithm};`,
    ` c=${tags.canonicalization};`,
    ` d=${tags.domain};`,
    ` s=${tags.selector};`,
    ...(tags.identity === undefined ? [] : [` i=${tags.identity};`]),
    ...(tags.time === undefined ? [] : [` t=${tags.time};`]),
    ...(tags.expires === undefined ? [] : [` x=${tags.expires};`]),
    ` h=${firstName}`,
    ...otherNames,
    ` bh=${tags.bodyHash};`,
  ];
  let value = '';
  let column = signatureFieldName.length + 1;
  for (const piece of pieces) {
    if (column + piece.length > lineLength) {
      const rest = piece.trimStart();
      value += fold + rest;
      column = 1 + rest.length;
    } else {
      value += piece;
      column += piece.length;
    }
  }
  return `${value}${fold}b=`;
};

/** `empty` with the signature in it, folded: white space inside of base64 is ignored (§3.5, `sig-b-tag-data`). */
export const fillSignature = (empty: string, signature: string): string => {
  const first = lineLength - '\tb='.length;
  const lines = [signature.slice(0, first)];
  for (let at = first; at < signature.length; at += lineLength - 1)
    lines.push(signature.slice(at, at + lineLength - 1));
  return empty + lines.join(fold);
};
