import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { signaturesOf } from '../../../agent/drivers/check-signature.ts';
import { keyRows, keyTableFaults } from '../../../agent/opendkim/key-table.ts';
import { signingIndex, signingRow, signingTableFaults } from '../../../agent/opendkim/signing-table.ts';
import { parseTable, printTable, tablePlace } from '../../../agent/opendkim/table.ts';
import { testKey } from '../../oracles/records.ts';
import { describeWith } from '../../tools/machine.ts';
import { startOpendkim } from '../../tools/opendkim.ts';

describe('where a table lies (opendkim(8), DATA SETS)', () => {
  it.each([
    ['file:/etc/opendkim/KeyTable', { type: 'file', path: '/etc/opendkim/KeyTable' }],
    ['refile:/etc/opendkim/SigningTable', { type: 'refile', path: '/etc/opendkim/SigningTable' }],
    ['REFILE:/a', { type: 'refile', path: '/a' }],
    ['/etc/opendkim/KeyTable', { type: 'file', path: '/etc/opendkim/KeyTable' }],
  ])('%s', (value, place) => expect(tablePlace('SigningTable', value)).toEqual(place));

  it.each([
    'csl:a=b',
    'example.jp=mail',
    'db:/etc/opendkim/KeyTable',
    '/etc/opendkim/KeyTable.db',
    'dsn:mysql://host/db',
    'ldap://host/ou=dkim',
    'file:KeyTable',
    '',
  ])('what cannot be edited is refused, with the line to have instead: %j', (value) =>
    expect(() => tablePlace('KeyTable', value)).toThrow(
      /name it in opendkim\.conf: KeyTable file:\/etc\/opendkim\/KeyTable$/,
    ),
  );
});

describe('a table as text', () => {
  it('is printed as it was read, whatever it holds', () => {
    const line = fc.string({ unit: fc.constantFrom('a', '*', '@', '.', ':', ' ', '\t', '#', '/') });
    fc.assert(
      fc.property(fc.array(line), fc.constantFrom('file' as const, 'refile' as const), (lines, type) => {
        const text = lines.map((one) => `${one}\n`).join('');
        expect(printTable(parseTable(text, type))).toBe(text);
      }),
    );
  });

  it('has rows, comments, and white space as OpenDKIM sees them', () => {
    const text = '# c\n\na b # c\n  d\te f  \n#x y\ng\n';
    const rows = (type: 'file' | 'refile') => parseTable(text, type).flatMap(({ row }) => row ?? []);
    expect(rows('file')).toEqual([
      { key: 'a', value: 'b' },
      { key: 'd', value: 'e f' },
      { key: 'g', value: '' },
    ]);
    expect(rows('refile').map(({ key }) => key)).toEqual(['a', 'g']);
  });

  it('KeyTable: the first of one name counts; a key in the table itself is not handed on', () => {
    const lines = parseTable('a d:s:/f\na d:t:/g\nb d:s:MIIEsecret\nc d:s\n', 'file');
    expect([...keyRows(lines).values()]).toEqual([
      { name: 'a', domain: 'd', selector: 's', file: '/f' },
      { name: 'b', domain: 'd', selector: 's' },
    ]);
    expect(keyTableFaults(lines)).toEqual(['line 4 (c) is no NAME DOMAIN:SELECTOR:KEYFILE']);
    expect(keyTableFaults(parseTable(`a d:s:/${'f'.repeat(1_100)}\n`, 'file'))[0]).toMatch(/longer than/);
  });

  it('SigningTable: what would put mail off is named', () => {
    const lines = parseTable('*@a k\n*@b\n*@c gone\n*@d %\n(*@e k\n', 'refile');
    expect(signingTableFaults(lines, 'refile', (name) => name === 'k')).toEqual([
      'line 2 (*@b) names no key of KeyTable',
      'line 3 (*@c) names gone, which KeyTable does not have',
      'line 5 ((*@e) is no pattern',
    ]);
  });
});

const patterns = [
  '*@example.com',
  '*@*.example.com',
  '*@exa*.com',
  'user@example.com',
  'User@EXAMPLE.com',
  'example.com',
  '.example.com',
  'user@.example.com',
  'user@*',
  '*',
  '*@example+com',
  '*@[a-f]xample.com',
  ' *@example.com',
];
const authors = [
  'user@example.com',
  'other@example.com',
  'user@mail.example.com',
  'other@a.b.example.com',
  'user@example.net',
  'user@exam.ple.com',
];

describeWith(['opendkim'], 'who is signed for, held against OpenDKIM itself', () => {
  it.each(['file', 'refile'] as const)('%s', { timeout: 120_000 }, async (signingType) => {
    const opendkim = await startOpendkim({ signingType });
    onTestFinished(opendkim.end);
    const own = join(opendkim.folder, 'own');
    mkdirSync(own, { mode: 0o700 });
    chownSync(own, opendkim.uid, opendkim.gid);
    const file = join(own, 'key');
    writeFileSync(file, testKey('example.com', 'mail').key.export({ type: 'pkcs8', format: 'pem' }), {
      mode: 0o600,
    });
    chownSync(file, opendkim.uid, opendkim.gid);
    // Selector by row, so that the signature says which one counted.
    writeFileSync(opendkim.keyTable, patterns.map((_, i) => `k${i} example.com:s${i}:${file}\n`).join(''));
    const orders = [
      patterns,
      patterns.toReversed(),
      [...patterns.slice(6), ...patterns.slice(0, 6)],
      patterns.filter((_, i) => i % 2 === 0),
    ];
    for (const order of orders) {
      const text = order.map((pattern) => `${pattern} k${patterns.indexOf(pattern)} # a row\n`).join('');
      writeFileSync(opendkim.signingTable, text);
      await opendkim.kill();
      await opendkim.start();
      const lines = parseTable(text, signingType);
      const index = signingIndex(lines, signingType);
      const mailer = await opendkim.connect();
      for (const author of authors) {
        const { raw } = await mailer.send(author);
        const [first] = index.find(author);
        const row = first === undefined ? undefined : lines[first]?.row;
        const expected = row === undefined ? [] : [`s${signingRow(row)?.name.slice(1)}`];
        expect([author, order, signaturesOf(raw).map(({ selector }) => selector)]).toEqual([
          author,
          order,
          expected,
        ]);
      }
      await mailer.close();
    }
  });
});
