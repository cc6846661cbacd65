// `dmarc:` of the fleet file: a map of its tags, or the record's text. Stricter than receivers, who pass over what they do not
// understand (RFC 9989 §4.7): a mistake here would be published. Zod; no I/O.

import { z } from 'zod';
import {
  type DmarcRecord,
  foFault,
  isDmarc,
  printDmarc,
  readDmarc,
  requests,
  uriFault,
} from '../core/dmarc/record.ts';
import { unknownField } from './check.ts';

export interface DmarcEntry {
  readonly value: string;
  readonly adopt: boolean;
}

type Fail = (message: string, ...path: (string | number)[]) => void;

const fields = ['p', 'sp', 'np', 'rua', 'ruf', 'fo', 'adkim', 'aspf', 't', 'adopt'];

const gone: Readonly<Record<string, string>> = {
  pct: 'is gone from DMARC (RFC 9989); write t: true while you test a policy',
  rf: 'is gone from DMARC (RFC 9989); leave it out',
  ri: 'is gone from DMARC (RFC 9989): reports come once a day; leave it out',
  v: 'is written by Selkie; leave it out',
};

/** The URIs of rua or ruf: an address stands for mailto: and it. */
const uris = (value: unknown, name: string, fail: Fail): string[] | undefined => {
  if (value === undefined) return undefined;
  const list: readonly unknown[] = Array.isArray(value)
    ? value
    : typeof value === 'string'
      ? value.split(',')
      : [value];
  if (list.length === 0) fail('is empty; leave it out where no reports are wanted', name);
  return list.flatMap((one, index) => {
    const place = Array.isArray(value) ? [name, index] : [name];
    if (typeof one !== 'string') {
      fail('must be an address or a URI, such as mailto:dmarc@example.jp', ...place);
      return [];
    }
    const text = one.trim();
    const uri = text.includes(':') || !text.includes('@') ? text : `mailto:${text}`;
    const fault = uriFault(uri);
    if (fault !== undefined) fail(value === one ? fault : `'${text}' ${fault}`, ...place);
    return [uri];
  });
};

const choice = <T extends string>(
  value: unknown,
  name: string,
  words: Readonly<Record<string, T>>,
  fail: Fail,
): T | undefined => {
  if (value === undefined) return undefined;
  const found = Object.hasOwn(words, String(value)) ? words[String(value)] : undefined;
  if (found === undefined) fail(`may be ${Object.keys(words).join(', ')}`, name);
  return found;
};

const policies = { none: 'none', quarantine: 'quarantine', reject: 'reject' } as const;
const modes = { r: 'r', s: 's', relaxed: 'r', strict: 's' } as const;
const tests = { y: 'y', n: 'n', true: 'y', false: 'n' } as const;

const failures = (value: unknown, fail: Fail): string[] | undefined => {
  if (value === undefined) return undefined;
  const list = (Array.isArray(value) ? value : String(value).split(':')).map((one) => String(one).trim());
  const fault = foFault(list);
  if (fault !== undefined) fail(fault, 'fo');
  return list;
};

const without = <T extends object>(record: T): T =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T;

const readMap = (value: Readonly<Record<string, unknown>>, fail: Fail): DmarcEntry => {
  for (const name of Object.keys(value))
    if (!fields.includes(name)) fail(gone[name] ?? unknownField(name, fields), name);
  if (value.p === undefined)
    fail('has no p; write p: none to begin with, and quarantine once the reports look well');
  if (value.adopt !== undefined && typeof value.adopt !== 'boolean') fail('must be true or false', 'adopt');
  const record = without({
    p: choice(value.p, 'p', policies, fail),
    sp: choice(value.sp, 'sp', policies, fail),
    np: choice(value.np, 'np', policies, fail),
    rua: uris(value.rua, 'rua', fail),
    ruf: uris(value.ruf, 'ruf', fail),
    fo: failures(value.fo, fail),
    adkim: choice(value.adkim, 'adkim', modes, fail),
    aspf: choice(value.aspf, 'aspf', modes, fail),
    t: choice(value.t, 't', tests, fail),
  }) as DmarcRecord;
  return { value: printDmarc(record), adopt: value.adopt === true };
};

const readText = (text: string, fail: Fail): DmarcEntry => {
  if (!isDmarc(text.trim())) {
    fail(
      'is no DMARC record: it begins with v=DMARC1; and says p=, such as v=DMARC1; p=none; rua=mailto:dmarc@example.jp',
    );
    return { value: text, adopt: false };
  }
  const { record, ignored } = readDmarc(text.trim());
  for (const { tag, why } of ignored) fail(`${tag} ${why}; receivers would pass over it`);
  if (record.p === undefined && !ignored.some(({ tag }) => tag === 'p')) fail('says no p=, such as p=none');
  for (const uri of [...(record.rua ?? []), ...(record.ruf ?? [])]) {
    const fault = uriFault(uri);
    if (fault !== undefined) fail(`'${uri}' ${fault}`);
  }
  return { value: printDmarc(record), adopt: false };
};

const read = (value: unknown, fail: Fail): DmarcEntry | false | undefined => {
  if (value === undefined || value === false) return value;
  if (typeof value === 'string') return readText(value, fail);
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return readMap(value as Record<string, unknown>, fail);
  fail("must be a map such as { p: none, rua: dmarc@example.jp }, a record's text, or false for none");
  return undefined;
};

const request = (description: string) => ({ enum: requests, description });
const reports = (description: string) => ({
  anyOf: [{ type: 'string' as const }, { type: 'array' as const, items: { type: 'string' as const } }],
  description,
});
const mode = (description: string) => ({ enum: Object.keys(modes), description });

export const dmarcField = z
  .unknown()
  .meta({
    description:
      "The domain's DMARC record (RFC 9989), at _dmarc.<domain>, which Selkie publishes, proves and keeps: a map of its tags, or the record's text. false: none, where the defaults have one.",
    anyOf: [
      {
        type: 'string',
        description: "The record's text, such as v=DMARC1; p=none; rua=mailto:dmarc@example.jp.",
      },
      { const: false, description: 'None.' },
      {
        type: 'object',
        additionalProperties: false,
        required: ['p'],
        properties: {
          p: request(
            'What receivers do with mail of the domain that fails: none first, then quarantine, then reject.',
          ),
          sp: request('The same, for sub-domains that exist. Default: as p.'),
          np: request('The same, for sub-domains that do not exist. Default: as sp.'),
          rua: reports(
            'Where aggregate reports go: addresses or URIs. Of another organisation: its word is published where its zone is in this file, else `selkie status` shows the record to ask for.',
          ),
          ruf: reports('Where failure reports go.'),
          fo: {
            anyOf: [{ type: 'string' }, { type: 'integer' }, { type: 'array', items: { type: 'string' } }],
            description: 'Which failures are reported: 0 or 1, d, s, such as 1:d. Default 0.',
          },
          adkim: mode('DKIM alignment: r (relaxed, the default) or s (strict).'),
          aspf: mode('SPF alignment: r (relaxed, the default) or s (strict).'),
          t: {
            anyOf: [{ type: 'boolean' }, { enum: ['y', 'n'] }],
            description: 'Testing: receivers go by the next milder policy.',
          },
          adopt: {
            type: 'boolean',
            description:
              'Take over a DMARC record that stands there already. Without it, one that is not ours is left alone.',
          },
        },
      },
    ],
  })
  .transform((value, context) =>
    read(value, (message, ...path) => context.addIssue({ code: 'custom', message, path })),
  );
