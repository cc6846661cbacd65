import { describe, expect, it } from 'vitest';
import { asciiBytes, canonicalHeader, canonicalName } from '../../../core/dkim/canonical-header.ts';

const canonical = (kind: 'simple' | 'relaxed', name: string, value: string): string =>
  Buffer.from(canonicalHeader({ name, value: Buffer.from(value, 'latin1') }, kind)).toString('latin1');

describe('canonical header', () => {
  it.each<[string, string, string, string, string]>([
    // RFC 6376 §3.4.5
    ['the example', 'A', ' X', 'A: X', 'a:X'],
    ['the folded example', 'B ', ' Y\t\r\n\tZ  ', 'B : Y\t\r\n\tZ  ', 'b:Y Z'],
    // RFC 6376 §3.4.2
    ['no value', 'Cc', '', 'Cc:', 'cc:'],
    ['white space only', 'Cc', ' \t\r\n ', 'Cc: \t\r\n ', 'cc:'],
    ['a colon in the value', 'Subject', ' Re: x', 'Subject: Re: x', 'subject:Re: x'],
    ['8-bit bytes', 'Subject', ' \xc3\xa4\xa0', 'Subject: \xc3\xa4\xa0', 'subject:\xc3\xa4\xa0'],
    ['a bare CR and LF are content', 'Subject', ' a\rb\nc', 'Subject: a\rb\nc', 'subject:a\rb\nc'],
  ])('%s', (_, name, value, simple, relaxed) => {
    expect(canonical('simple', name, value)).toBe(simple);
    expect(canonical('relaxed', name, value)).toBe(relaxed);
  });
  it('turns ASCII into bytes', () => expect([...asciiBytes('A:\r')]).toEqual([65, 58, 13]));
});

describe('canonical name', () => {
  it.each([
    ['Subject', 'subject'],
    ['Subject \t', 'subject'],
    [' \t', ''],
    ['a b', 'a b'],
    ['a\n', 'a\n'],
  ])('of %j', (name, canonicalForm) => expect(canonicalName(name)).toBe(canonicalForm));
  it('costs no more than its length, white space in its middle or not', () => {
    const started = performance.now();
    expect(canonicalName(`a${' '.repeat(128_000)}b`)).toHaveLength(128_002);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
