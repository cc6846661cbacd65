// What a person should know of a DMARC record before it is published, and of a step that goes too far.
import { describe, expect, it } from 'vitest';
import { dmarcAdvice, jump } from '../../../core/dmarc/advice.ts';
import { readDmarc } from '../../../core/dmarc/record.ts';

const record = (text: string) => readDmarc(`v=DMARC1; ${text}`).record;
const rua = 'rua=mailto:dmarc@example.jp';

it.each([
  `p=none; ${rua}`,
  `p=quarantine; ${rua}`,
  `p=reject; ${rua}; sp=reject; np=reject`,
  `p=none; ${rua}; sp=quarantine; np=reject`,
  `p=quarantine; ${rua}; np=reject`,
  `p=quarantine; ${rua}; t=y`,
  `p=none; ${rua}; t=n`,
  `p=none; ${rua}; ruf=mailto:dmarc@example.jp; fo=1`,
  // A receiver takes it as p=none: RFC 9989 §4.7.
  rua,
])('nothing to say of %s', (text) => {
  expect(dmarcAdvice(record(text))).toEqual([]);
});

const silent =
  'DMARC: p=none without rua asks receivers for nothing and tells you nothing; add rua, or a policy';

it.each([
  ['p=none', silent],
  ['adkim=s', silent],
  [
    'p=quarantine',
    'DMARC: p=quarantine without rua: nobody will tell you which of your own mail fails; add rua',
  ],
  ['p=reject', 'DMARC: p=reject without rua: nobody will tell you which of your own mail fails; add rua'],
  [`p=none; ${rua}; fo=1`, 'DMARC: fo without ruf is ignored (RFC 9989 §4.7)'],
  [
    `p=reject; ${rua}; sp=quarantine`,
    'DMARC: sp=quarantine is milder than p=reject, so sub-domains are easier to forge than the domain',
  ],
  [
    `p=quarantine; ${rua}; sp=none`,
    'DMARC: sp=none is milder than p=quarantine, so sub-domains are easier to forge than the domain',
  ],
  // Without sp, p holds for sub-domains too: RFC 9989 §4.7.
  [
    `p=reject; ${rua}; np=none`,
    'DMARC: np=none is milder than what holds for sub-domains that exist: names that nobody uses are the easiest to forge',
  ],
  [
    `p=none; ${rua}; sp=reject; np=quarantine`,
    'DMARC: np=quarantine is milder than what holds for sub-domains that exist: names that nobody uses are the easiest to forge',
  ],
  [`p=none; ${rua}; t=y`, 'DMARC: t=y has no effect beside p=none (RFC 9989 §4.7)'],
  [`${rua}; t=y`, 'DMARC: t=y has no effect beside p=none (RFC 9989 §4.7)'],
])('%s', (text, says) => {
  expect(dmarcAdvice(record(text))).toEqual([says]);
});

it('np is held against sp where there is one, whatever p says', () => {
  expect(dmarcAdvice(record(`p=reject; ${rua}; sp=none; np=none`))).toEqual([
    'DMARC: sp=none is milder than p=reject, so sub-domains are easier to forge than the domain',
  ]);
});

describe('none, quarantine, reject, one after the other: RFC 9989 §5.1.6', () => {
  const step = (before: string | undefined, next: string) =>
    jump(before === undefined ? undefined : record(before), record(next));

  it.each([
    [undefined, 'p=none'],
    [undefined, rua],
    // Receivers go by none, until t goes.
    [undefined, 'p=quarantine; t=y'],
    [undefined, 'p=none; t=y'],
    ['p=none', 'p=none'],
    ['p=none', 'p=quarantine'],
    [rua, 'p=quarantine'],
    ['p=quarantine', 'p=reject'],
    ['p=reject', 'p=reject'],
    // Receivers go by quarantine.
    ['p=none', 'p=reject; t=y'],
    ['p=reject; t=y', 'p=reject'],
    ['p=quarantine; t=y', 'p=reject; t=y'],
    ['p=quarantine; t=y', 'p=quarantine'],
    ['p=quarantine; t=n', 'p=reject; t=n'],
    // Back is open at any time.
    ['p=reject', 'p=none'],
    ['p=reject', 'p=none; t=y'],
  ])('from %s to %s is one step', (before, next) => {
    expect(step(before, next)).toBeUndefined();
  });

  it.each([
    [undefined, 'p=quarantine', 'it begins with p=quarantine'],
    [undefined, 'p=reject', 'it begins with p=reject'],
    [undefined, 'p=reject; t=y', 'it begins with p=reject'],
  ])('from %s to %s is no beginning', (before, next, says) => {
    expect(step(before, next)).toBe(
      `DMARC: ${says}: mail of yours that nobody thought of may be lost. Begin with p=none and rua, and read the reports first`,
    );
  });

  it.each([
    ['p=none', 'p=reject', 'from p=none to p=reject'],
    [rua, 'p=reject', 'from p=none to p=reject'],
    ['p=none; t=y', 'p=reject; t=n', 'from p=none with t=y to p=reject'],
    // Receivers went by none.
    ['p=quarantine; t=y', 'p=reject', 'from p=quarantine with t=y to p=reject'],
  ])('from %s to %s is two', (before, next, says) => {
    expect(step(before, next)).toBe(
      `DMARC: ${says} in one step: take p=quarantine first, and read the reports`,
    );
  });
});
