// DMARC policy records (RFC 9989 §4.7, §4.8): what receivers are asked to do with mail that fails, and where they report. Text to
// values and back, as a receiver reads it: what it does not understand, it ignores. Pure.

import { SelkieError } from '../errors.ts';

/** From the mildest to the strictest. */
export const requests = ['none', 'quarantine', 'reject'] as const;
export type DmarcRequest = (typeof requests)[number];
export type Alignment = 'r' | 's';

/** Absent: not said. The values of a record, in the order of `printDmarc`. */
export interface DmarcRecord {
  readonly p?: DmarcRequest;
  /** For sub-domains that exist. */
  readonly sp?: DmarcRequest;
  /** For sub-domains that do not exist. */
  readonly np?: DmarcRequest;
  /** Where aggregate reports go: URIs. */
  readonly rua?: readonly string[];
  /** Where failure reports go. */
  readonly ruf?: readonly string[];
  /** `0` or `1`, and `d`, `s`. */
  readonly fo?: readonly string[];
  readonly adkim?: Alignment;
  readonly aspf?: Alignment;
  /** Testing: receivers go by the next milder policy. */
  readonly t?: 'y' | 'n';
  /** Whether it is a public suffix. */
  readonly psd?: 'y' | 'n' | 'u';
}

/** A tag that a receiver passes over, and why. */
export interface IgnoredTag {
  readonly tag: string;
  readonly why: string;
}

/** Whether a TXT value is a DMARC record: `v=DMARC1` first, in exactly these letters (RFC 9989 §4.7). */
export const isDmarc = (value: string): boolean => /^[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)/.test(value);

/** RFC 3986, with a scheme; a comma and an exclamation mark encoded (RFC 9989 §4.8). */
const uriForm = /^[a-z][a-z0-9+.-]*:(?:[a-z0-9\-._~:/?#[\]@$&'()*+;=]|%[0-9a-f]{2})*$/i;
const addressForm =
  /^mailto:([^@?]+)@([a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+)(?:\?.*)?$/i;

/** Why it is no URI that reports may go to; undefined: it is one. Receivers must know mailto: alone (RFC 9989 §4.7). */
export const uriFault = (uri: string): string | undefined => {
  if (/^[^:@\s]+@[^@\s]+$/.test(uri)) return `is an address; write mailto:${uri}`;
  if (/^mailto:[^!,]*![0-9]+[kmgt]?$/i.test(uri))
    return 'has a size behind an exclamation mark, which is gone from DMARC (RFC 9989 §4.8); leave it out';
  if (uri.includes(';')) return 'has a semicolon, which ends the tag; write %3B';
  if (!uriForm.test(uri))
    return 'is no URI; write mailto: and the address (a comma in it as %2C, an exclamation mark as %21)';
  if (/^mailto:/i.test(uri) && !addressForm.test(uri))
    return 'is no mail address behind mailto:, such as mailto:dmarc@example.jp';
  return undefined;
};

/** The domain whose mailbox a report goes to; undefined: it goes to no mailbox. */
export const reportHost = (uri: string): string | undefined => addressForm.exec(uri)?.[2]?.toLowerCase();

const gone: Readonly<Record<string, string>> = {
  pct: 'is gone since RFC 9989: write t=y while you test a policy, and leave pct out',
  rf: 'is gone since RFC 9989: there is one format of failure reports',
  ri: 'is gone since RFC 9989: aggregate reports come once a day',
};

const oneOf =
  <T extends string>(known: readonly T[]) =>
  (text: string): T | undefined =>
    known.find((value) => value === text.toLowerCase());

const request = oneOf(requests);
const alignment = oneOf(['r', 's'] as const);
const yes = oneOf(['y', 'n'] as const);
const suffix = oneOf(['y', 'n', 'u'] as const);

/** `0` and `1` exclude each other, and none stands twice: RFC 9989 §4.7. */
export const foFault = (list: readonly string[]): string | undefined => {
  const odd = list.find((one) => !['0', '1', 'd', 's'].includes(one));
  if (odd !== undefined) return `has "${odd}"; there are 0, 1, d and s`;
  if (list.includes('0') && list.includes('1')) return 'has both 0 and 1; 1 asks for what 0 does, and more';
  return new Set(list).size === list.length ? undefined : 'has a value twice';
};

/** What is read of a list of URIs: the well-formed ones, without obsolete sizes. */
const uris = (text: string): readonly string[] =>
  text
    .split(',')
    .map((uri) => uri.trim().replace(/![0-9]+[kmgt]?$/i, ''))
    .filter((uri) => uriForm.test(uri));

const readers: { readonly [Tag in keyof DmarcRecord]-?: (text: string) => DmarcRecord[Tag] | undefined } = {
  p: request,
  sp: request,
  np: request,
  rua: (text) => (uris(text).length === 0 ? undefined : uris(text)),
  ruf: (text) => (uris(text).length === 0 ? undefined : uris(text)),
  fo: (text) => {
    const list = text
      .toLowerCase()
      .split(':')
      .map((one) => one.trim());
    return foFault(list) === undefined ? list : undefined;
  },
  adkim: alignment,
  aspf: alignment,
  t: yes,
  psd: suffix,
};

const isTag = (name: string): name is keyof DmarcRecord => Object.hasOwn(readers, name);

/** @throws invalid where the value is no DMARC record at all, which a receiver passes over */
export const readDmarc = (
  value: string,
): { readonly record: DmarcRecord; readonly ignored: readonly IgnoredTag[] } => {
  if (!isDmarc(value)) throw new SelkieError('invalid', 'DMARC record: it does not begin with "v=DMARC1;".');
  const found: Record<string, unknown> = {};
  const ignored: IgnoredTag[] = [];
  for (const part of value.split(';').slice(1)) {
    if (part.trim() === '') continue;
    const [, name, text] = /^\s*([A-Za-z]+)\s*=(.*)$/s.exec(part) ?? [];
    if (name === undefined || text === undefined) {
      ignored.push({ tag: part.trim().slice(0, 40), why: 'is not written name=value' });
      continue;
    }
    const tag = name.toLowerCase();
    if (!isTag(tag)) {
      ignored.push({ tag: name, why: gone[tag] ?? 'is no tag of DMARC' });
      continue;
    }
    if (Object.hasOwn(found, tag)) {
      ignored.push({ tag: name, why: 'stands twice' });
      continue;
    }
    const read = readers[tag](text.trim());
    if (read === undefined)
      ignored.push({ tag: name, why: `has a value that is none: "${text.trim().slice(0, 60)}"` });
    else found[tag] = read;
  }
  return { record: found, ignored };
};

/** In one form: the tags in the order of `DmarcRecord`, one space behind each semicolon, none at the end. */
export const printDmarc = (record: DmarcRecord): string => {
  const tags: readonly (string | undefined)[] = [
    record.p,
    record.sp,
    record.np,
    record.rua?.join(','),
    record.ruf?.join(','),
    record.fo?.join(':'),
    record.adkim,
    record.aspf,
    record.t,
    record.psd,
  ];
  const names: readonly (keyof DmarcRecord)[] = [
    'p',
    'sp',
    'np',
    'rua',
    'ruf',
    'fo',
    'adkim',
    'aspf',
    't',
    'psd',
  ];
  return [
    'v=DMARC1',
    ...names.flatMap((name, n) => (tags[n] === undefined ? [] : `${name}=${tags[n]}`)),
  ].join('; ');
};

/** The policy that a receiver applies; undefined: none, since the record says neither a policy nor where to report (RFC 9989 §4.10.1). */
export const appliedPolicy = ({
  record,
  ignored,
}: ReturnType<typeof readDmarc>): DmarcRequest | undefined => {
  const broken = ignored.some(({ tag }) => ['p', 'sp', 'np'].includes(tag.toLowerCase()));
  if (record.p !== undefined && !broken) return record.p;
  return record.rua === undefined ? undefined : 'none';
};
