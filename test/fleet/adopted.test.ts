// Adopted keys and hosts with some key types, in the fleet file: each test changes one thing of a valid one.
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { FleetError } from '../../fleet/problems.ts';
import { parseFleet } from '../../fleet/read.ts';

const rsa = (modulusLength: number, type: 'spki' | 'pkcs1' = 'spki'): string =>
  generateKeyPairSync('rsa', { modulusLength }).publicKey.export({ type, format: 'der' }).toString('base64');

const raw = (type: 'ed25519' | 'x25519'): string => {
  const pair = type === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('x25519');
  return pair.publicKey.export({ format: 'jwk' }).x ?? '';
};

const ed25519 = (): string => Buffer.from(raw('ed25519'), 'base64url').toString('base64');

const fleet = (domain: string, hosts = ''): string => `domains:
  mail.example.jp: {${domain}}
zones:
  example.jp: { id: Z0123 }
pools: [outbound, lists]
hosts: {${hosts}}
`;
const host = (name: string, more: string): string =>
  `${name}: {pool: outbound, encryptionKey: ${raw('x25519')}, signingKey: ${raw('ed25519')}, ${more}}`;
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
const adopting = (list: string): string => fleet(`pool: outbound, adopted: ${list}`);

describe('adopted keys', () => {
  test('are read with the algorithm of their public key', () => {
    const [old, young] = [rsa(1024), ed25519()];
    const found = parse(
      adopting(`[{selector: Mail, publicKey: ${old}}, {selector: e.2020, publicKey: ${young}}]`),
    );
    expect(found.domains.get('mail.example.jp')?.adopted).toEqual([
      { selector: 'mail', algorithm: 'rsa1024', publicKey: old },
      { selector: 'e.2020', algorithm: 'ed25519', publicKey: young },
    ]);
  });

  test.each([
    [2048, 'spki', 'rsa2048'],
    [2048, 'pkcs1', 'rsa2048'],
    [1536, 'spki', 'rsa1024'],
    [4096, 'spki', 'rsa4096'],
  ] as const)('RSA of %s bits as %s is %s', (bits, type, algorithm) => {
    const publicKey = rsa(bits, type);
    const found = parse(adopting(`[{selector: mail, publicKey: ${publicKey}}]`));
    expect(found.domains.get('mail.example.jp')?.adopted).toEqual([
      { selector: 'mail', algorithm, publicKey },
    ]);
  });

  test('may be folded, as they are in a zone file', () => {
    const publicKey = rsa(1024);
    const folded = `>-\n        ${publicKey.slice(0, 60)}\n        ${publicKey.slice(60)}`;
    const text = `domains:\n  mail.example.jp:\n    adopted:\n    - selector: mail\n      publicKey: ${folded}\nzones: { example.jp: { id: Z1 } }\npools: [outbound]\n`;
    expect(parse(text).domains.get('mail.example.jp')?.adopted?.[0]?.publicKey).toBe(publicKey);
  });

  test('an empty list is none', () => {
    expect(parse(adopting('[]')).domains.get('mail.example.jp')).not.toHaveProperty('adopted');
  });

  test.each([
    ['{selector: mail}', '[0].publicKey: is missing: run `selkie-agent adopt` on a host that has the key'],
    ['{publicKey: AAAA}', '[0].selector: is missing'],
    ['{selector: "a b", publicKey: AAAA}', "[0].selector: 'a b' is not a selector, such as mail"],
    ['{selector: mail, publicKey: "%%"}', '[0].publicKey: is not base64'],
    ['{selector: mail, publicKey: ""}', '[0].publicKey: is not base64'],
    ['{selector: mail, publicKey: AAAA}', '[0].publicKey: is no public key of RSA or Ed25519'],
    ['{selector: mail, publicKey: AAAA, bits: 7}', '[0].bits: is not a field here'],
  ])('%s is refused', (entry, wrong) => {
    const found = problems(adopting(`[${entry}]`));
    expect(found.some((line) => line.startsWith(`domains.mail.example.jp.adopted${wrong}`))).toBe(true);
  });

  test('RSA under 1,024 bits is refused, with what to do', () => {
    expect(problems(adopting(`[{selector: mail, publicKey: ${rsa(768)}}]`))[0]).toContain(
      'is an RSA key of 768 bits, and verifiers need not take less than 1,024',
    );
  });

  test('two of a kind are refused: hosts with keys of their own need one that is named', () => {
    const found = problems(
      adopting(`[{selector: a, publicKey: ${rsa(1024)}}, {selector: b, publicKey: ${rsa(2048)}}]`),
    );
    expect(found).toEqual([
      'domains.mail.example.jp.adopted: has a and b: at most one rsa key signs for a domain; name the one that most hosts have',
    ]);
  });

  test('a selector that leaves no room for the name is refused', () => {
    const long = Array.from({ length: 4 }, () => 'a'.repeat(58)).join('.');
    expect(problems(adopting(`[{selector: ${long}, publicKey: ${ed25519()}}]`))[0]).toContain(
      'makes a record name that is no DNS name',
    );
  });

  // Invariant 9
  test.each(['pkcs1', 'pkcs8'] as const)(
    'a private key (%s) in its place is refused, and not repeated',
    (type) => {
      const secret = generateKeyPairSync('rsa', { modulusLength: 1024 })
        .privateKey.export({ format: 'der', type })
        .toString('base64');
      const found = problems(adopting(`[{selector: mail, publicKey: ${secret}}]`)).join('\n');
      expect(found).toContain('is no public key');
      expect(found).not.toContain(secret.slice(0, 20));
    },
  );
});

describe('a host that cannot sign with every key type', () => {
  test('says so', () => {
    const found = parse(fleet('pool: outbound', host('mx1', 'keyTypes: [rsa]')));
    expect(found.hosts.get('mx1')?.keyTypes).toEqual(['rsa']);
    expect(parse(fleet('pool: outbound', host('mx1', ''))).hosts.get('mx1')).not.toHaveProperty('keyTypes');
  });

  test.each([
    ['[]', 'is empty'],
    ['[dsa]', "'dsa' may have 'rsa' and 'ed25519'"],
    ['rsa', "'rsa' is text; it must be a list"],
  ])('keyTypes: %s', (list, wrong) => {
    expect(problems(fleet('pool: outbound', host('mx1', `keyTypes: ${list}`)))[0]).toContain(wrong);
  });

  // Invariant 3
  test('is in no pool of a domain that it cannot sign for', () => {
    const hosts = `${host('mx1', '')}, ${host('mx2', 'keyTypes: [rsa]')}`;
    expect(problems(fleet('pool: outbound, algorithms: [ed25519]', hosts))).toEqual([
      'domains.mail.example.jp: signs with ed25519 only, and host mx2 of pool outbound signs with rsa keys only, so its mail would leave unsigned; add an algorithm that it can sign with',
    ]);
    expect(problems(fleet('pool: outbound, algorithms: [ed25519, rsa2048]', hosts))).toEqual([]);
    expect(problems(fleet('pool: lists, algorithms: [ed25519]', hosts))).toEqual([]);
  });
});
