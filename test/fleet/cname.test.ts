// Domains whose key records lie in another zone, in the fleet file: each test changes one thing of a valid one.
import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { compileFleet, loadCompiledFleet } from '../../core/compiled-fleet.ts';
import { FleetError } from '../../fleet/problems.ts';
import { parseFleet } from '../../fleet/read.ts';

const publicKey = Buffer.from(
  generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }).x ?? '',
  'base64url',
).toString('base64');

const fleet = (shop: string, more = ''): string => `domains:
  shop.example: {${shop}}
  ${more}
zones:
  keys.example.net: { id: Z1 }
  example.jp: { id: Z2 }
pools: [outbound]
`;
const parse = (text: string) => parseFleet(text, { file: 'fleet.yaml', version: 7 });
const problems = (text: string): string[] => {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof FleetError)
      return error.problems.map(({ field, message }) => `${field}: ${message}`);
    throw error;
  }
  return [];
};

test('a domain has its records in the zone that its cname lies in', () => {
  const found = parse(fleet('cname: Keys.Example.net.'));
  const entry = found.domains.get('shop.example');
  expect(entry).toMatchObject({ cname: 'keys.example.net', zone: 'keys.example.net' });
  expect(loadCompiledFleet(compileFleet(found)).domains.get('shop.example')).toEqual(entry);
});

test('an adopted key may have its record anywhere in that zone', () => {
  const adopted = `[{selector: mail, publicKey: ${publicKey}, record: S1.Keys.example.net}]`;
  const found = parse(fleet(`cname: keys.example.net, adopted: ${adopted}`));
  expect(found.domains.get('shop.example')?.adopted).toEqual([
    { selector: 'mail', algorithm: 'ed25519', publicKey, record: 's1.keys.example.net' },
  ]);
  expect(loadCompiledFleet(compileFleet(found)).domains).toEqual(found.domains);
});

const adopts = (record: string, cname = 'cname: keys.example.net, '): string =>
  `${cname}adopted: [{selector: mail, publicKey: ${publicKey}, record: ${record}}]`;

test.each([
  ['no zone holds its own name', fleet(''), 'no zone of this file holds its key records'],
  [
    'no zone holds the cname',
    fleet('cname: keys.other.example'),
    'no zone of this file holds its key records; add a zone shop.example.keys.other.example, or one above it',
  ],
  ['the cname is none', fleet('cname: "keys example"'), "'keys example'"],
  [
    'names become too long',
    fleet(`cname: ${Array(4).fill('a'.repeat(55)).join('.')}.keys.example.net`),
    'makes names of',
  ],
  [
    'the zone given does not hold them',
    fleet('cname: keys.example.net, zone: example.jp'),
    "'example.jp' does not hold *._domainkey.shop.example.keys.example.net",
  ],
  [
    'an adopted record lies in no zone of ours',
    fleet(adopts('s1.other.example')),
    "'s1.other.example' does not lie in zone keys.example.net",
  ],
  [
    'an adopted record lies elsewhere without a cname',
    fleet(
      'zone: keys.example.net, cname: keys.example.net',
      `a.example.jp: {${adopts('s1.example.jp', '')}}`,
    ),
    'the domain has no cname',
  ],
  [
    'two domains would take over one record',
    fleet(adopts('s1.keys.example.net'), `other.example: {${adopts('s1.keys.example.net')}}`),
    "'s1.keys.example.net' is adopted for shop.example too",
  ],
])('where %s, it is said', (_, text, wanted) => {
  expect(problems(text)).toEqual([expect.stringContaining(wanted)]);
});
