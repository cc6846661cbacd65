// Tables and lines: 80 columns, also with long names; colour only where it belongs.
import { expect, it } from 'vitest';
import { hasColour } from '../../cli/colour.ts';
import { joined, table, wrap } from '../../cli/out.ts';
import { printHost, printOverview, printStatus } from '../../cli/print.ts';
import type { DomainStatus } from '../../engine/status.ts';

const longName = `${'very-'.repeat(6)}long-name.mail.department.example.co.jp`;

const key = (
  selector: string,
  more: Partial<DomainStatus['keys'][number]> = {},
): DomainStatus['keys'][number] => ({
  selector,
  algorithm: 'rsa2048',
  state: 'active',
  record: '',
  reserved: '2024-01-28T09:00:00Z',
  active: '2024-01-28T09:20:00Z',
  ...more,
});

const status = (domain: string, more: Partial<DomainStatus> = {}): DomainStatus => ({
  domain,
  zone: domain,
  pool: 'outbound',
  leaving: false,
  keys: [key('240128'), key('240128e', { algorithm: 'ed25519' })],
  rotations: [],
  taken: [],
  next: [],
  blockedBy: [],
  nextRotation: '2024-04-27T09:00:00Z',
  ...more,
});

const printed = (print: (say: (text: string) => void) => void): readonly string[] => {
  const lines: string[] = [];
  print((text) => lines.push(...text.split('\n')));
  return lines;
};
const tooLong = (lines: readonly string[]): readonly string[] => lines.filter((line) => line.length > 80);

it('an overview has a line for each domain, and what stands in the way below', () => {
  const waits = [{ by: 'hosts' as const, says: 'waiting for mx2 to hold 240401 (1 of 2 hosts have)' }];
  const lines = printed((say) =>
    printOverview([status('example.jp'), status('shop.example.jp', { blockedBy: waits })], say),
  );
  expect(lines).toEqual([
    'DOMAIN           STATE    SIGNS WITH        NEXT ROTATION',
    'example.jp       healthy  240128 + 240128e  2024-04-27 09:00Z',
    'shop.example.jp  waits    240128 + 240128e  2024-04-27 09:00Z',
    '- shop.example.jp: waiting for mx2 to hold 240401 (1 of 2 hosts have)',
    'selkie status DOMAIN shows one of them closer, selkie forecast what comes.',
  ]);
});

it('fits 80 columns with names that are long', () => {
  const overview = printed((say) => printOverview([status('example.jp'), status(longName)], say));
  expect(overview).toContain(longName);
  expect(tooLong(overview)).toEqual([]);
  const compromised = { compromised: 'found in a backup' };
  const keys = [
    key('240128e-100', { ...compromised, algorithm: 'ed25519', state: 'publishing' }),
    key('240128'),
  ];
  const close = printed((say) => printStatus(status(longName, { keys, pool: 'p'.repeat(63) }), say));
  // A name is never cut: it has a line of its own.
  expect(close.filter((line) => line.length > 80).every((line) => line.includes(longName))).toBe(true);
  expect(close.join('\n')).toContain('COMPROMISED');
  const host = {
    host: longName,
    pool: 'p'.repeat(63),
    ready: true,
    failed: {},
    lastSeen: '2024-01-28T09:20:00Z',
  };
  expect(printed((say) => printHost(host, say)).length).toBeGreaterThan(1);
});

it('puts what does not fit on lines of their own', () => {
  expect(joined(['a'.repeat(50), 'b'.repeat(40), 'c']).split('\n')).toEqual([
    'a'.repeat(50),
    `    ${'b'.repeat(40)}  c`,
  ]);
  expect(table([['a'], ['b', 'c', 'd']], 2)).toEqual([
    '  a',
    '  b             c  d'.replace(/ {13}/, ' '.repeat(2)),
  ]);
  expect(table([])).toEqual([]);
});

it('what colours are is no width', () => {
  expect(
    table([
      ['\x1b[32mab\x1b[39m', 'c'],
      ['abc', 'd'],
    ]),
  ).toEqual(['\x1b[32mab\x1b[39m   c', 'abc  d']);
  expect(wrap('\x1b[32mab\x1b[39m cd', 5, 0)).toBe('\x1b[32mab\x1b[39m cd');
});

it.each([
  [{ isTTY: true }, {}, true],
  [{ isTTY: true }, { NO_COLOR: '' }, true],
  [{ isTTY: true }, { NO_COLOR: '1' }, false],
  [{ isTTY: true }, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
  [{ isTTY: true }, { TERM: 'dumb' }, false],
  [{}, {}, false],
  [{}, { FORCE_COLOR: '1' }, false],
])('%j with %j has colour: %s', (screen, env, expected) => {
  expect(hasColour(screen, env)).toBe(expected);
});
