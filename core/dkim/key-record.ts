// Key records, RFC 6376 §3.6.1: the joined value of the TXT record that publishes a public key. Built, read and printed.
// Pure. Values are octet strings, as in txt.ts.

import { type Algorithm, algorithms } from '../algorithm.ts';
import { SelkieError } from '../errors.ts';
import type { RecordTags } from '../policy.ts';
import { printStrings, printValue, splitValue } from './txt.ts';

/**
 * The value of a key record, tags in the order and spacing of opendkim-genkey: `v=DKIM1; h=sha256; k=rsa; t=s; s=email; p=…`.
 * `k=` is always said, though RFC 6376 defaults it to rsa: some verifiers and checkers want it.
 * @param key.publicKey what `p=` says: base64 of the DER SubjectPublicKeyInfo (RSA), of the raw 32 bytes (Ed25519, RFC 8463 §4)
 * @throws invalid where `publicKey` is no such base64, or the note has characters beyond ASCII
 */
export const buildKeyRecord = (key: {
  readonly algorithm: Algorithm;
  readonly publicKey: string;
  readonly tags: RecordTags;
}): string => {
  const { algorithm, publicKey, tags } = key;
  if (publicKey === '' || !isBase64(publicKey))
    throw new SelkieError('invalid', 'A key record needs its public key in base64.', { field: 'publicKey' });
  const { keyType } = algorithms[algorithm];
  // The usual mistake is the SubjectPublicKeyInfo (44 bytes) instead of the key itself.
  if (keyType === 'ed25519' && decodedLength(publicKey) !== 32)
    throw new SelkieError('invalid', 'The p= of an Ed25519 key is its 32 raw bytes: RFC 8463 section 4.', {
      field: 'publicKey',
    });
  return [
    'v=DKIM1',
    ...(tags.note === undefined ? [] : [`n=${encodeNote(tags.note)}`]),
    ...(tags.hashes === undefined ? [] : [`h=${tags.hashes}`]),
    `k=${keyType}`,
    ...(tags.strict === undefined ? [] : ['t=s']),
    ...(tags.service === undefined ? [] : [`s=${tags.service}`]),
    `p=${publicKey}`,
  ].join('; ');
};

/** The value that says "revoked": RFC 6376 §3.6.1, an empty `p=`. */
export const buildTombstone = (algorithm: Algorithm): string =>
  `v=DKIM1; k=${algorithms[algorithm].keyType}; p=`;

export interface KeyRecord {
  /** `k=`; `rsa` where it is not said. May be a type that nobody knows. */
  readonly keyType: string;
  /** `p=` without white space; empty where revoked. */
  readonly publicKey: string;
  /** `h=`; undefined: all. */
  readonly hashes: readonly string[] | undefined;
  /** `s=`; `['*']` where it is not said. */
  readonly services: readonly string[];
  /** `t=`: `y` testing, `s` strict. */
  readonly flags: readonly string[];
  /** `n=`, decoded. */
  readonly note: string | undefined;
  readonly revoked: boolean;
}

/**
 * Reads a key record as a verifier does. Unknown tags are passed over.
 * @throws invalid, naming the tag: no tag list (RFC 6376 §3.2), a tag said twice, `v=` not first or not DKIM1, no `p=`, `p=` no base64
 */
export const parseKeyRecord = (value: string): KeyRecord => {
  const tags = parseTagList(value);
  const version = tags.get('v');
  if (version !== undefined && (version !== 'DKIM1' || [...tags.keys()].at(0) !== 'v'))
    throw new SelkieError('invalid', 'Key record: where v= is said it must be first, and DKIM1.');
  const key = tags.get('p');
  if (key === undefined) throw new SelkieError('invalid', 'Key record: there is no p= (public key).');
  const publicKey = key.replace(whiteSpace, '');
  if (!isBase64(publicKey)) throw new SelkieError('invalid', 'Key record: p= is no base64.');
  const note = tags.get('n');
  return {
    keyType: tags.get('k') ?? 'rsa',
    publicKey,
    hashes: list(tags.get('h')),
    services: list(tags.get('s')) ?? ['*'],
    flags: list(tags.get('t')) ?? [],
    note: note === undefined ? undefined : decodeNote(note),
    revoked: publicKey === '',
  };
};

/** Whether two joined values are the same record, octet for octet: what Selkie wrote, and nothing that only means the same. */
export const sameKeyRecord = (a: string, b: string): boolean => a === b;

/** FWS of RFC 6376 §2.8, and bare line ends, which other verifiers pass over too. */
const whiteSpace = /[ \t\r\n]+/g;

/** Without the white space at its ends. By hand: a pattern that ends in `$` tries every run of it, in square time. */
const trimmed = (text: string): string => {
  const isWhite = (at: number): boolean => ' \t\r\n'.includes(text.charAt(at));
  let [from, to] = [0, text.length];
  while (from < to && isWhite(from)) from += 1;
  while (to > from && isWhite(to - 1)) to -= 1;
  return text.slice(from, to);
};

/** tag-list of RFC 6376 §3.2. In the order of their appearance; values without the white space around them. */
const parseTagList = (value: string): Map<string, string> => {
  const tags = new Map<string, string>();
  const parts = value.split(';');
  if ((parts.at(-1) ?? '').replace(whiteSpace, '') === '') parts.pop();
  if (parts.length === 0) throw new SelkieError('invalid', 'Key record: it is empty.');
  for (const [index, part] of parts.entries()) {
    const found = /^[ \t\r\n]*([A-Za-z][A-Za-z0-9_]*)[ \t\r\n]*=([\s\S]*)$/.exec(part);
    const [, name, raw] = found ?? [];
    if (name === undefined || raw === undefined)
      throw new SelkieError('invalid', `Key record: tag ${index + 1} is not written name=value.`);
    const text = trimmed(raw);
    if (!/^[\x21-\x7e \t\r\n]*$/.test(text))
      throw new SelkieError('invalid', `Key record: ${name}= holds a character that is not printable ASCII.`);
    if (tags.has(name)) throw new SelkieError('invalid', `Key record: ${name}= is said twice.`);
    tags.set(name, text);
  }
  return tags;
};

const list = (text: string | undefined): string[] | undefined =>
  text?.split(':').map((item) => item.replace(whiteSpace, ''));

/** Base64 with its padding: RFC 4648 §4, base64string of RFC 6376 §2.10. */
const isBase64 = (text: string): boolean => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);

const decodedLength = (base64: string): number =>
  (base64.length / 4) * 3 - (base64.length - base64.replace(/=+$/, '').length);

/** qp-section of RFC 2045 §6.7, and `;` encoded, which would end the tag. */
const encodeNote = (note: string): string => {
  if (!/^[\x20-\x7e]*$/.test(note))
    throw new SelkieError('invalid', 'The note of a key record (n=) must be printable ASCII.', {
      field: 'note',
    });
  return note.replace(
    /[=;]|^ | $/g,
    (c) => `=${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
};

const decodeNote = (text: string): string =>
  text.replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

export type RecordFormat = 'zone' | 'route53' | 'value';

/**
 * A key record for people to paste. `zone`: as opendkim-genkey writes `SELECTOR.txt`, with a final line end.
 * `route53`: the text of Route 53's value field. `value`: the joined value itself.
 */
export const printKeyRecord = (
  record: { readonly domain: string; readonly selector: string; readonly value: string },
  format: RecordFormat,
): string => {
  switch (format) {
    case 'zone':
      return printZoneForm(record);
    case 'route53':
      return printValue(record.value, 'route53');
    case 'value':
      return record.value;
  }
};

/** opendkim-genkey gives `p=` lines of its own, 250 octets of key in each. */
const keyPerLine = 250;

const printZoneForm = ({
  domain,
  selector,
  value,
}: {
  domain: string;
  selector: string;
  value: string;
}): string =>
  `${selector}._domainkey\tIN\tTXT\t( ${zoneStrings(value)
    .map((string) => printStrings([string], 'zone'))
    .join('\n\t  ')} )  ; ----- DKIM key ${selector} for ${domain}\n`;

const zoneStrings = (value: string): string[] => {
  // Only where p= is the last tag, as we and opendkim-genkey write it; any other value is cut at 255.
  const [, head, key] = /^((?:.*;\s+)?)p=([^;]*)$/s.exec(value) ?? [];
  if (head === undefined || key === undefined || head.length > 255) return splitValue(value);
  const lines = [`p=${key.slice(0, keyPerLine)}`];
  for (let at = keyPerLine; at < key.length; at += keyPerLine) lines.push(key.slice(at, at + keyPerLine));
  return head === '' ? lines : [head, ...lines];
};
