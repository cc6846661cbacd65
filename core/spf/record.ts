// SPF records (RFC 7208): which hosts may send mail for a domain. Text to terms and back; what the terms cost is lookups.ts,
// what they are worth advice.ts. Pure.

import { SelkieError } from '../errors.ts';
import { isIpv4, isIpv6, isPrefixLength } from '../ip.ts';

/** RFC 7208 §4.6.2: pass, fail, softfail, neutral. */
export type Qualifier = '+' | '-' | '~' | '?';

export type MechanismName = 'all' | 'include' | 'a' | 'mx' | 'ptr' | 'ip4' | 'ip6' | 'exists';

export interface Mechanism {
  readonly is: 'mechanism';
  readonly qualifier: Qualifier;
  readonly name: MechanismName;
  /** domain-spec, or of `ip4` and `ip6` the address; absent: the domain that is checked. */
  readonly value?: string;
  /** Prefix lengths: of IPv4 addresses and IPv6 ones. */
  readonly length4?: number;
  readonly length6?: number;
}

export interface Modifier {
  readonly is: 'modifier';
  /** `redirect`, `exp`, or one that nobody knows, which is ignored (RFC 7208 §6). */
  readonly name: string;
  readonly value: string;
}

export type Term = Mechanism | Modifier;

/** The terms in their order: they are evaluated from left to right (RFC 7208 §4.6.2). */
export interface SpfRecord {
  readonly terms: readonly Term[];
}

/** Whether a TXT value is an SPF record, well-formed or not: RFC 7208 §4.5. */
export const isSpf = (value: string): boolean => /^v=spf1(?: |$)/i.test(value);

const bad = (term: string, what: string): SelkieError =>
  new SelkieError('invalid', `SPF record: "${term}" ${what}.`);

/** RFC 7208 §7.3: how many labels are kept is not zero. */
const macro = /%(?:\{[slodiphcrtv](?!0+\D)\d{0,3}r?[.\-+,/_=]*\}|[%_-])/gi;

/** macro-string: RFC 7208 §7.1. */
const isMacroString = (text: string): boolean =>
  /^[\x21-\x7e]*$/.test(text) && !text.replace(macro, '').includes('%');

/** Whether a domain-spec says the same whatever the message: no macro but the escapes. */
export const isLiteral = (spec: string): boolean => !spec.includes('%');

/** RFC 7208 §7.1: it ends in a top-level label, or in a macro. */
const domainFault = (spec: string): string | undefined => {
  if (spec === '') return 'names no domain behind its colon';
  if (!isMacroString(spec))
    return 'has a macro that is none: they are written %{d}, and a percent sign %% (RFC 7208 §7)';
  if (/%\{[^}]*\}$/.test(spec)) return undefined;
  const top = /\.([^.]*)\.?$/.exec(spec)?.[1] ?? '';
  if (!/^(?=.*[a-z-])[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/i.test(top))
    return `names "${spec}", which is no domain: write the whole name, such as mail.example.jp`;
  if (
    isLiteral(spec) &&
    !spec
      .replace(/\.$/, '')
      .split('.')
      .every((label) => /^[\x21-\x7e]{1,63}$/.test(label))
  )
    return `names "${spec}", which has an empty label or one of more than 63 characters`;
  return undefined;
};

const checkedDomain = (term: string, spec: string): string => {
  const fault = domainFault(spec);
  if (fault !== undefined) throw bad(term, fault);
  return spec;
};

/** `/24`, `//64`, `/24//64` at the end: dual-cidr-length of RFC 7208 §5.3. Behind another slash, the name or a macro goes on. */
const cutLengths = (term: string, text: string): { rest: string; length4?: number; length6?: number } => {
  const [, rest = '', four, six] = /^(.*?)(?:\/([^/.}]*))?(?:\/\/([^/.}]*))?$/.exec(text) ?? [];
  if (four !== undefined && !isPrefixLength(four, 32))
    throw bad(term, `has the prefix length /${four}; of IPv4 it is 0 to 32`);
  if (six !== undefined && !isPrefixLength(six, 128))
    throw bad(term, `has the prefix length //${six}; of IPv6 it is 0 to 128`);
  return {
    rest,
    ...(four === undefined ? {} : { length4: Number(four) }),
    ...(six === undefined ? {} : { length6: Number(six) }),
  };
};

const addressTerm = (term: string, name: 'ip4' | 'ip6', text: string): Pick<Mechanism, 'value'> => {
  const [address = '', length, more] = text.split('/');
  const most = name === 'ip4' ? 32 : 128;
  const isAddress = name === 'ip4' ? isIpv4 : isIpv6;
  if (!isAddress(address))
    throw bad(
      term,
      `has no IPv${name.slice(2)} address behind its colon, such as ${name === 'ip4' ? 'ip4:192.0.2.0/24' : 'ip6:2001:db8::/32'}`,
    );
  if (more !== undefined || (length !== undefined && !isPrefixLength(length, most)))
    throw bad(term, `has a prefix length that is none: it is 0 to ${most}`);
  return {
    value: address,
    ...(length === undefined
      ? {}
      : name === 'ip4'
        ? { length4: Number(length) }
        : { length6: Number(length) }),
  };
};

const mechanisms: readonly MechanismName[] = ['all', 'include', 'a', 'mx', 'ptr', 'ip4', 'ip6', 'exists'];
const isMechanism = (name: string): name is MechanismName => mechanisms.some((known) => known === name);

const readMechanism = (
  term: string,
  qualifier: Qualifier,
  name: MechanismName,
  behind: string,
): Mechanism => {
  const head = { is: 'mechanism', qualifier, name } as const;
  const colon = behind.startsWith(':');
  const value = colon ? behind.slice(1) : undefined;
  switch (name) {
    case 'all':
      if (behind !== '') throw bad(term, 'has something behind "all", which takes nothing');
      return head;
    case 'include':
    case 'exists':
      if (value === undefined) throw bad(term, `names no domain: write ${name}:example.jp`);
      return { ...head, value: checkedDomain(term, value) };
    case 'ip4':
    case 'ip6':
      if (value === undefined) throw bad(term, `names no address: write ${name}:…`);
      return { ...head, ...addressTerm(term, name, value) };
    case 'ptr':
      if (behind !== '' && !colon) throw bad(term, 'is no mechanism');
      return value === undefined ? head : { ...head, value: checkedDomain(term, value) };
    case 'a':
    case 'mx': {
      const { rest, ...lengths } = cutLengths(term, behind);
      if (rest !== '' && !rest.startsWith(':')) throw bad(term, 'is no mechanism');
      return rest === ''
        ? { ...head, ...lengths }
        : { ...head, value: checkedDomain(term, rest.slice(1)), ...lengths };
    }
  }
};

const readTerm = (term: string): Term => {
  const [, modifier, text] = /^([a-z][a-z0-9_.-]*)=(.*)$/is.exec(term) ?? [];
  if (modifier !== undefined && text !== undefined) {
    const name = modifier.toLowerCase();
    if (name === 'v')
      throw bad(term, 'begins a second record: a domain has one, so put the terms of both into one');
    if (name === 'redirect' || name === 'exp') checkedDomain(term, text);
    else if (!isMacroString(text)) throw bad(term, 'has a macro that is none (RFC 7208 §7)');
    return { is: 'modifier', name, value: text };
  }
  const [, qualifier = '', name = '', behind = ''] = /^([+?~-]?)([a-z][a-z0-9]*)(.*)$/is.exec(term) ?? [];
  const known = name.toLowerCase();
  if (!isMechanism(known))
    throw bad(
      term,
      `is no mechanism of SPF: there are ${mechanisms.join(', ')}, and the modifiers redirect= and exp=`,
    );
  return readMechanism(term, qualifier === '' ? '+' : (qualifier as Qualifier), known, behind);
};

/**
 * RFC 7208 §4.6.1: a syntax error anywhere makes the whole record an error, whatever stands before it.
 * @throws invalid, naming the term and the mend
 */
export const parseSpf = (value: string): SpfRecord => {
  if (!isSpf(value))
    throw new SelkieError('invalid', 'SPF record: it does not begin with "v=spf1" and a space.');
  if (!/^[\x20-\x7e]*$/.test(value))
    throw new SelkieError('invalid', 'SPF record: it holds a character that is not printable ASCII.');
  const terms = value
    .slice('v=spf1'.length)
    .split(' ')
    .filter((text) => text !== '')
    .map(readTerm);
  // RFC 7208 §6
  for (const name of ['redirect', 'exp'])
    if (terms.filter((term) => term.is === 'modifier' && term.name === name).length > 1)
      throw bad(`${name}=`, 'stands twice: keep one');
  return { terms };
};

export const printTerm = (term: Term): string => {
  if (term.is === 'modifier') return `${term.name}=${term.value}`;
  const { qualifier, name, value, length4, length6 } = term;
  const sign = qualifier === '+' ? '' : qualifier;
  const lengths =
    name === 'ip6'
      ? length6 === undefined
        ? ''
        : `/${length6}`
      : `${length4 === undefined ? '' : `/${length4}`}${length6 === undefined ? '' : `//${length6}`}`;
  return `${sign}${name}${value === undefined ? '' : `:${value}`}${lengths}`;
};

/** In one form: single spaces, lower-case names, `+` left out, which is the default. */
export const printSpf = ({ terms }: SpfRecord): string => ['v=spf1', ...terms.map(printTerm)].join(' ');
