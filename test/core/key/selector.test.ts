// Selectors: YYMMDD[e][-n].
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { algorithms, isAlgorithm } from '../../../core/algorithm.ts';
import { formatSelector, parseSelector, selectorFor } from '../../../core/key/selector.ts';
import { isDnsName } from '../../../core/names.ts';
import { calendarDate, instant } from '../../../core/time.ts';

describe('selectorFor', () => {
  it.each([
    ['rsa2048', [], '240128'],
    ['rsa4096', ['240128'], '240128-2'],
    ['rsa2048', ['240128', '240128-2', '240128-4'], '240128-5'],
    ['rsa2048', ['240128-7', '240127-9', '240128e-11', 'mail'], '240128-8'],
    ['ed25519', [], '240128e'],
    ['ed25519', ['240128', '240128-2'], '240128e'],
    ['ed25519', ['240128e'], '240128e-2'],
  ] as const)('%s, used %j: %s', (algorithm, used, selector) => {
    expect(selectorFor('240128', algorithm, used)).toBe(selector);
  });

  it('gives each request of a day another selector, and each can be parsed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: Date.UTC(2000, 0, 2), max: Date.UTC(2099, 11, 30) }),
        fc.array(fc.constantFrom(...Object.keys(algorithms).filter(isAlgorithm)), { maxLength: 12 }),
        (at, asked) => {
          const date = calendarDate(instant(at), 'Asia/Tokyo');
          const used = new Set<string>();
          for (const algorithm of asked) {
            const selector = selectorFor(date, algorithm, used);
            expect(used.has(selector)).toBe(false);
            expect(isDnsName(selector)).toBe(true);
            const parsed = parseSelector(selector);
            expect(parsed).toMatchObject({ date, suffix: algorithms[algorithm].suffix });
            expect(parsed && formatSelector(parsed)).toBe(selector);
            used.add(selector);
          }
        },
      ),
    );
  });

  it.each(['', '2024-01-28', '240230', '241301', '240100', '24012', 'x240128', '2401281', '240199'])(
    'refuses the date "%s"',
    (date) => {
      expect(() => selectorFor(date, 'rsa2048', [])).toThrow(expect.objectContaining({ code: 'invalid' }));
    },
  );

  it('says which date it was given', () => {
    expect(() => selectorFor('today', 'rsa2048', [])).toThrow('"today" is no date of the form YYMMDD.');
  });

  it('knows the last day of a month, and leap years of 2000 to 2099', () => {
    const isDate = (date: string): boolean => parseSelector(date) !== undefined;
    expect(['240131', '240430', '240229', '000229', '991231'].map(isDate)).not.toContain(false);
    expect(['240431', '230229', '990229', '240230', '240132'].map(isDate)).not.toContain(true);
  });

  it('takes the last of 9,999 a day, and gives up behind it', () => {
    expect(selectorFor('240128', 'rsa2048', ['240128-9998'])).toBe('240128-9999');
    expect(() => selectorFor('240128', 'ed25519', ['240128e-9999'])).toThrow(
      expect.objectContaining({
        code: 'invalid',
        message: 'All 9999 selectors 240128e of the day are used.',
      }),
    );
  });
});

describe('parseSelector', () => {
  it.each([
    ['240128', { date: '240128', suffix: '', n: 1 }],
    ['240229e', { date: '240229', suffix: 'e', n: 1 }],
    ['240128e-2', { date: '240128', suffix: 'e', n: 2 }],
    ['240128-12', { date: '240128', suffix: '', n: 12 }],
  ])('%s', (text, selector) => expect(parseSelector(text)).toEqual(selector));

  it.each([
    'default',
    '240128-1',
    '240128-02',
    '240128-0',
    '240128x',
    '240128E',
    '230229',
    'x240128',
    '240128-',
    '240128 ',
  ])('is not of our form: %s', (text) => expect(parseSelector(text)).toBeUndefined());
});
