// `spf:` of the fleet file: the record's text, a list of mechanisms, or the addresses of the pool's hosts. Zod; no I/O.

import { z } from 'zod';
import { describe } from '../core/errors.ts';
import { networkFamily } from '../core/ip.ts';
import type { FleetHost } from '../core/policy.ts';
import { spfAdvice } from '../core/spf/advice.ts';
import { type Mechanism, parseSpf, printSpf, type Term } from '../core/spf/record.ts';
import { unknownField } from './check.ts';

/** RFC 7208 §4.6.2, by the results that they give. */
const qualifiers = { fail: '-', softfail: '~', neutral: '?' } as const;
type All = keyof typeof qualifiers;

export interface SpfEntry {
  /** The record's text, in place of all below. */
  readonly record?: string;
  readonly mechanisms: readonly string[];
  /** The addresses of the pool's hosts, in front of the mechanisms. */
  readonly hosts: boolean;
  readonly all: All;
  readonly adopt: boolean;
}

/** What is wrong, as a sentence goes on behind the text itself. */
const reason = (error: unknown): string =>
  describe(error)
    .replace(/^SPF record: /, '')
    .replace(/\.$/, '');

type Fail = (message: string, ...path: (string | number)[]) => void;

const usualAll: All = 'softfail';
const plain: SpfEntry = { mechanisms: [], hosts: false, all: usualAll, adopt: false };
const fields = ['record', 'mechanisms', 'hosts', 'all', 'adopt'];

/** In one form, where the record may stand as it is. */
const checkedText = (text: string, fail: (message: string) => void): string => {
  try {
    const record = parseSpf(text.trim());
    if (spfAdvice(record).some((says) => says.includes('+all')))
      fail('ends in +all, by which every host of the world may send as the domain; write ~all or -all');
    return printSpf(record);
  } catch (error) {
    fail(`is no SPF record: ${reason(error)}`);
    return text;
  }
};

const checkTerm = (text: string): Term | string => {
  try {
    const [term, ...more] = parseSpf(`v=spf1 ${text}`).terms;
    if (term === undefined || more.length > 0)
      return 'is not one mechanism; write each as an entry of its own';
    return term.is === 'mechanism' && term.name === 'all' && term.qualifier === '+'
      ? 'lets every host of the world send as the domain; write ~all or -all'
      : term;
  } catch (error) {
    return reason(error).replace(`"${text}" `, '');
  }
};

const termsOf = (value: unknown, fail: Fail, ...at: string[]): string[] => {
  if (!Array.isArray(value)) {
    fail("must be a list of mechanisms, such as [mx, 'ip4:192.0.2.0/24']", ...at);
    return [];
  }
  const texts: string[] = [];
  for (const [index, text] of value.entries()) {
    const found = typeof text === 'string' ? checkTerm(text) : "must be text, such as 'ip4:192.0.2.1'";
    if (typeof found === 'string') fail(found, ...at, index);
    else texts.push(String(text));
  }
  return texts;
};

const allOf = (value: unknown, fail: Fail): All => {
  if (value === undefined) return usualAll;
  const text = String(value).replace(/all$/, '');
  const found = Object.entries(qualifiers).find(([name, sign]) => value === name || text === sign);
  if (found === undefined) fail("may be 'fail' (-all), 'softfail' (~all) or 'neutral' (?all)", 'all');
  return (found?.[0] as All | undefined) ?? usualAll;
};

const flag = (value: unknown, name: string, fail: Fail): boolean => {
  if (value !== undefined && typeof value !== 'boolean') fail('must be true or false', name);
  return value === true;
};

const readMap = (value: Readonly<Record<string, unknown>>, fail: Fail): SpfEntry => {
  for (const name of Object.keys(value)) if (!fields.includes(name)) fail(unknownField(name, fields), name);
  const { record, mechanisms } = value;
  const adopt = flag(value.adopt, 'adopt', fail);
  if (record !== undefined) {
    for (const name of ['mechanisms', 'hosts', 'all'])
      if (value[name] !== undefined)
        fail('stands beside record, which is the whole record; keep one of them', name);
    if (typeof record !== 'string') fail('must be text, such as v=spf1 mx -all', 'record');
    const text = typeof record === 'string' ? checkedText(record, (message) => fail(message, 'record')) : '';
    return { ...plain, record: text, adopt };
  }
  const hosts = flag(value.hosts, 'hosts', fail);
  if (mechanisms === undefined && !hosts)
    fail(
      'names no senders; write mechanisms, hosts: true or record (a domain that sends nothing: record: v=spf1 -all)',
    );
  return {
    mechanisms: mechanisms === undefined ? [] : termsOf(mechanisms, fail, 'mechanisms'),
    hosts,
    all: allOf(value.all, fail),
    adopt,
  };
};

const read = (value: unknown, fail: Fail): SpfEntry | false | undefined => {
  if (value === undefined || value === false) return value;
  if (typeof value === 'string') return { ...plain, record: checkedText(value, fail) };
  if (Array.isArray(value)) {
    if (value.length === 0) fail('is empty; for a domain that sends nothing write v=spf1 -all');
    return { ...plain, mechanisms: termsOf(value, fail) };
  }
  if (typeof value === 'object' && value !== null) return readMap(value as Record<string, unknown>, fail);
  fail("must be a record's text (v=spf1 mx -all), a list of mechanisms, a map of fields, or false for none");
  return undefined;
};

const entries = { type: 'array', items: { type: 'string' } } as const;

export const spfField = z
  .unknown()
  .meta({
    description:
      "The domain's SPF record (RFC 7208), which Selkie publishes beside what else stands at its name, proves and keeps: the record's text, a list of mechanisms, or a map. false: none, where the defaults have one.",
    anyOf: [
      { type: 'string', description: "The record's text, such as v=spf1 mx -all." },
      {
        ...entries,
        description: "Mechanisms, such as [mx, 'ip4:192.0.2.0/24']; ~all follows unless one says all.",
      },
      { const: false, description: 'None.' },
      {
        type: 'object',
        additionalProperties: false,
        properties: {
          record: { type: 'string', description: "The record's text, in place of the fields below." },
          mechanisms: { ...entries, description: "Such as [mx, 'ip4:192.0.2.0/24']." },
          hosts: {
            type: 'boolean',
            description: "The addresses of the pool's hosts (hosts[].addresses), before the mechanisms.",
          },
          all: {
            enum: Object.keys(qualifiers),
            description: 'What holds for every other host: -all, ~all or ?all. Default softfail.',
          },
          adopt: {
            type: 'boolean',
            description:
              'Take over an SPF record that stands there already. Without it, one that is not ours is left alone.',
          },
        },
      },
    ],
  })
  .transform((value, context) =>
    read(value, (message, ...path) => context.addIssue({ code: 'custom', message, path })),
  );

/** An address or network that a host's mail leaves from. */
export const addressesField = z
  .array(
    z
      .string()
      .refine(
        (text) => networkFamily(text) !== undefined,
        'is no address or network, such as 192.0.2.1 or 2001:db8::/64',
      ),
  )
  .min(1, 'is empty; leave it out where nothing is derived from it')
  .describe(
    'Where its mail leaves from, as the world sees it: addresses or networks, for `spf: { hosts: true }`.',
  );

/**
 * The record's text; undefined: none yet, since the pool has no hosts.
 * @returns `wrong`, as a sentence goes on
 */
export const composeSpf = (
  { record, mechanisms, hosts, all }: SpfEntry,
  pool: readonly FleetHost[],
): { readonly value?: string } | { readonly wrong: string } => {
  if (record !== undefined) return { value: record };
  const silent = hosts ? pool.find(({ addresses }) => addresses === undefined) : undefined;
  if (silent !== undefined)
    return {
      wrong: `is derived from hosts, and host ${silent.name} of the pool does not say where its mail leaves from; add addresses: to it`,
    };
  if (hosts && pool.length === 0 && mechanisms.length === 0) return {};
  const networks = hosts ? [...new Set(pool.flatMap(({ addresses = [] }) => addresses))] : [];
  const terms = [
    ...networks.map((network) => `${networkFamily(network) ?? 'ip4'}:${network}`),
    ...mechanisms,
  ];
  const parsed = parseSpf(['v=spf1', ...terms].join(' ')).terms;
  const ends = parsed.some((term) => term.name === 'redirect' || (term as Mechanism).name === 'all');
  const last: Mechanism = { is: 'mechanism', qualifier: qualifiers[all], name: 'all' };
  return { value: printSpf({ terms: ends ? parsed : [...parsed, last] }) };
};
