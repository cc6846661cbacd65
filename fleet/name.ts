// Names as people write them into the fleet file, to the form that Selkie holds: lower-case A-labels without the final
// dot (RFC 5890 §2.3.2.1), and what is wrong with a name in words. Uses node:url for IDNA (UTS #46); no I/O.

import { domainToASCII } from 'node:url';
import { isDnsName, isDomainName, keyRecordName, lowerName } from '../core/names.ts';

export type Named = { readonly name: string } | { readonly wrong: string };

/** The longest selector that Selkie makes: Ed25519, the hundredth of a day. */
export const longestSelector = '240128e-100';

const ascii = (text: string): string | undefined => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly the ASCII range is meant
  const plain = /^[\x00-\x7f]*$/.test(text);
  return lowerName(plain ? text : domainToASCII(text.replace(/\.$/, ''))) || undefined;
};

const labelFault = (label: string): string | undefined => {
  if (label === '') return 'has an empty label (two dots in a row, or a dot in front)';
  if (label.length > 63)
    return `has a label of ${label.length} characters; 63 are the most (RFC 1035 §2.3.4)`;
  if (label.startsWith('-') || label.endsWith('-')) return `has a hyphen at an end of the label '${label}'`;
  const odd = /[^a-z0-9_-]/.exec(label)?.[0];
  if (odd === '*') return 'is a wildcard; name each domain that signs';
  if (odd === '@') return "is an address; write the part behind the '@'";
  return odd === undefined ? undefined : `has '${odd}', which no host name may have`;
};

const dnsFault = (text: string, name: string | undefined): string | undefined => {
  if (text.trim() === '') return 'is empty';
  if (name === undefined) return 'is not an internationalised domain name that IDNA allows (RFC 5891)';
  const label = name
    .split('.')
    .map(labelFault)
    .find((fault) => fault !== undefined);
  if (label !== undefined) return label;
  return name.length > 253 ? `has ${name.length} characters; 253 are the most (RFC 1035 §2.3.4)` : undefined;
};

/** Any DNS name, such as a zone's (`_domainkey.example.jp` too) or a host's. */
export const dnsName = (text: string): Named => {
  const name = ascii(text);
  const wrong = dnsFault(text, name);
  if (wrong !== undefined) return { wrong };
  return name !== undefined && isDnsName(name) ? { name } : { wrong: 'is not a DNS name' };
};

/** A signing domain, `d=`: RFC 6376 §3.5. */
export const domainName = (text: string): Named => {
  const found = dnsName(text);
  if ('wrong' in found) return found;
  const { name } = found;
  if (!name.includes('.')) return { wrong: 'is a single label; write the whole domain, such as example.jp' };
  if (name.includes('_'))
    return { wrong: 'has an underscore; write the domain that signs (d=), without _domainkey' };
  if (!isDomainName(name)) return { wrong: 'is an address or ends in digits; write a domain name' };
  const longest = keyRecordName(longestSelector, name).length;
  return longest > 253
    ? { wrong: `is too long: its key records would have names of ${longest} characters; 253 are the most` }
    : found;
};
