// Whether a message's DKIM signature holds with a public key that is at hand: for messages of our own making only, so
// without DNS, `l=`, `x=` and the rest of a verifier. RFC 6376 §3.4, §3.7.
import { createHash, createPublicKey, verify } from 'node:crypto';
import { canonicalBody } from '../../core/dkim/canonical-body.ts';
import { canonicalHeader, type HeaderCanonicalization } from '../../core/dkim/canonical-header.ts';
import { parseMessage, type RawField } from '../milter/raw-message.ts';

export interface FoundSignature {
  /** `d=`, lower case. */
  readonly domain: string;
  /** `s=` */
  readonly selector: string;
  /** Whether it holds with this public key (base64 of SubjectPublicKeyInfo, as in an RSA key record). */
  holds(publicKey: string): boolean;
}

/** RFC 6376 §3.2. */
const tagsOf = (value: string): ReadonlyMap<string, string> =>
  new Map(
    value.split(';').flatMap((tag) => {
      const at = tag.indexOf('=');
      return at < 0 ? [] : [[tag.slice(0, at).trim(), tag.slice(at + 1).trim()] as const];
    }),
  );

const kind = (name: string | undefined): HeaderCanonicalization | undefined =>
  name === 'simple' || name === 'relaxed' ? name : undefined;

const latin = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** The fields named in `h=`, each name taking the last instance that is left (§5.4.2). */
const selected = (fields: readonly RawField[], names: string): RawField[] => {
  const left = [...fields];
  return names.split(':').flatMap((name) => {
    const wanted = name.trim().toLowerCase();
    const at = left.findLastIndex((field) => field.name.trim().toLowerCase() === wanted);
    return at < 0 ? [] : left.splice(at, 1);
  });
};

export const signaturesOf = (raw: Uint8Array): FoundSignature[] => {
  const { fields, body } = parseMessage(raw);
  return fields
    .filter(({ name }) => name.toLowerCase() === 'dkim-signature')
    .map((signature) => {
      const tags = tagsOf(signature.value);
      const [head, tail] = (tags.get('c') ?? 'simple/simple').split('/');
      return {
        domain: (tags.get('d') ?? '').toLowerCase(),
        selector: tags.get('s') ?? '',
        holds(publicKey) {
          const [header, bodyKind] = [kind(head), kind(tail ?? 'simple')];
          if (header === undefined || bodyKind === undefined || tags.get('a') !== 'rsa-sha256') return false;
          const hash = createHash('sha256');
          const canonical = canonicalBody(bodyKind, (bytes) => hash.update(bytes));
          canonical.write(body);
          canonical.end();
          const compact = (tag: string): string => (tags.get(tag) ?? '').replace(/\s/g, '');
          if (hash.digest('base64') !== compact('bh')) return false;
          const field = ({ name, value }: RawField): Uint8Array =>
            canonicalHeader({ name, value: latin(value) }, header);
          const signed = selected(fields, tags.get('h') ?? '').flatMap((one) => [field(one), latin('\r\n')]);
          // Its own field comes last, with an empty b= and without the CRLF that ends it (§3.7).
          const own = field({
            name: signature.name,
            value: signature.value.replace(/((?:^|;)\s*b\s*=)[^;]*/, '$1'),
          });
          const data = Buffer.concat([...signed, own]);
          const key = createPublicKey({
            key: Buffer.from(publicKey, 'base64'),
            format: 'der',
            type: 'spki',
          });
          return verify('sha256', data, key, Buffer.from(compact('b'), 'base64'));
        },
      };
    });
};
