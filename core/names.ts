// DNS names of domains and key records. Pure. Names are held as lower-case A-labels without the final dot.

/** A lower-case DNS name of LDH or underscore labels, without a final dot: RFC 1035 §2.3.4, RFC 5890 §2.3.1. */
const label = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;

export const isDnsName = (text: string): boolean =>
  text.length <= 253 && text.split('.').every((part) => label.test(part));

/** A domain that mail can be signed for: at least two labels, none with an underscore, the last not all digits. */
export const isDomainName = (text: string): boolean =>
  isDnsName(text) && text.includes('.') && !text.includes('_') && !/\.\d+$/.test(text);

export const lowerName = (text: string): string => text.toLowerCase().replace(/\.$/, '');

/** Whether `name` is `ancestor` or below it. */
export const isWithin = (name: string, ancestor: string): boolean =>
  name === ancestor || name.endsWith(`.${ancestor}`);

/** Where a selector's public key is published: RFC 6376 §3.6.2.1. */
export const keyRecordName = (selector: string, domain: string): string => `${selector}._domainkey.${domain}`;

/**
 * Where a key record lies whose name leads there by a CNAME, or by one DNAME at `_domainkey.<domain>` for all selectors
 * (RFC 6672): the same labels below `cname`.
 */
export const targetName = (selector: string, domain: string, cname: string): string =>
  `${keyRecordName(selector, domain)}.${cname}`;

/** The deepest of `zones` that holds `name`. */
export const deepestZone = (name: string, zones: readonly string[]): string | undefined =>
  zones
    .filter((zone) => isWithin(name, zone))
    .toSorted((a, b) => b.length - a.length)
    .at(0);
