import { describe, expect, it } from 'vitest';
import { emptySignature, fillSignature, type SignatureTags } from '../../../core/dkim/signature-header.ts';

const tags: SignatureTags = {
  algorithm: 'rsa-sha256',
  canonicalization: 'relaxed/relaxed',
  domain: 'example.com',
  selector: '240128',
  time: 1_706_400_000,
  headers: ['From', 'From', 'Subject'],
  bodyHash: `${'h'.repeat(43)}=`,
};

const parse = (value: string): Record<string, string> =>
  Object.fromEntries(
    value.split(';').map((tag) => {
      const [name = '', ...rest] = tag.split('=');
      return [name.trim(), rest.join('=').replace(/\s/g, '')];
    }),
  );

describe('DKIM-Signature', () => {
  it('is written so: RFC 6376 §3.5', () =>
    expect(`DKIM-Signature:${emptySignature(tags)}`).toBe(
      'DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=240128;\r\n' +
        '\tt=1706400000; h=From:From:Subject;\r\n' +
        `\tbh=${'h'.repeat(43)}=;\r\n\tb=`,
    ));

  it.each([
    ['many header fields', { headers: Array.from({ length: 60 }, (_, i) => `Field-${i}`) }],
    ['one header field', { headers: ['From'] }],
    ['a long domain', { domain: `${'a'.repeat(50)}.example.com`, selector: '240128e-2' }],
    ['ed25519', { algorithm: 'ed25519-sha256', canonicalization: 'relaxed/simple' }],
    ['a simple header', { canonicalization: 'simple/relaxed' }],
    ['an end', { expires: 1_707_000_000 }],
    ['an identity', { identity: 'jo=3Bdoe@mail.example.com' }],
  ] satisfies [string, Partial<SignatureTags>][])('%s: lines within 78, every tag readable', (_, change) => {
    const all = { ...tags, ...change };
    const signature = Buffer.alloc(256, 7).toString('base64');
    const value = fillSignature(emptySignature(all), signature);
    for (const line of `DKIM-Signature:${value}`.split('\r\n')) expect(line.length).toBeLessThanOrEqual(78);
    expect(value.replace(/\r\n(?=\t\S)/g, '')).not.toMatch(/[\r\n]/);
    expect(parse(value)).toEqual({
      v: '1',
      a: all.algorithm,
      c: all.canonicalization,
      d: all.domain,
      s: all.selector,
      ...('identity' in all ? { i: all.identity } : {}),
      t: String(all.time),
      ...('expires' in all ? { x: String(all.expires) } : {}),
      h: all.headers.join(':'),
      bh: all.bodyHash,
      b: signature,
    });
  });

  it('goes over 78 only for what cannot be folded', () => {
    const value = emptySignature({ ...tags, domain: `${'a'.repeat(63)}.${'b'.repeat(63)}.example` });
    expect(value.split('\r\n').filter((line) => line.length > 78)).toHaveLength(1);
  });

  it.each([0, 1, 74, 75, 76, 77, 152, 153, 344])(
    'folds a signature of %i characters without losing one',
    (length) => {
      const signature = 'x'.repeat(length);
      const filled = fillSignature('b=', signature);
      expect(filled.slice(2).replace(/\r\n\t/g, '')).toBe(signature);
      expect(filled).not.toMatch(/\r\n\t?$/);
    },
  );
});

describe('folding', () => {
  const lines = (change: Partial<SignatureTags>): string[] =>
    `DKIM-Signature:${emptySignature({ ...tags, ...change })}`.split('\r\n');

  it('fills a line up to 78 characters, and not one more', () => {
    const start = 'DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;';
    const [fits, over] = [`${'d'.repeat(13)}.example`, `${'d'.repeat(14)}.example`];
    expect(lines({ domain: fits }).slice(0, 2)).toEqual([
      `${start} d=${fits};`,
      '\ts=240128; t=1706400000; h=From:From:Subject;',
    ]);
    expect(lines({ domain: over }).slice(0, 2)).toEqual([
      start,
      `\td=${over}; s=240128; t=1706400000; h=From:From:Subject;`,
    ]);
    expect(lines({ domain: fits })[0]).toHaveLength(78);
  });

  it('counts the tab of a folded line', () => {
    const [fits, over] = ['s'.repeat(60), 's'.repeat(61)];
    expect(lines({ selector: fits })[1]).toBe(`\ts=${fits}; t=1706400000;`);
    expect(lines({ selector: fits })[1]).toHaveLength(78);
    expect(lines({ selector: over }).slice(1, 3)).toEqual([
      `\ts=${over};`,
      '\tt=1706400000; h=From:From:Subject;',
    ]);
  });

  it('separates names by colons, ends the list by a semicolon, and can be empty', () => {
    const list = (headers: string[]): string => lines({ headers }).join('').replaceAll('\t', '');
    expect(list(['From', 'To'])).toContain('h=From:To;');
    expect(list(['From'])).toContain('h=From;');
    expect(list([])).toContain(' h=; bh=');
  });

  it.each([
    [75, [75]],
    [76, [75, 1]],
    [152, [75, 77]],
    [153, [75, 77, 1]],
    [229, [75, 77, 77]],
  ])('a signature of %i characters stands in lines of %j', (length, lengths) => {
    const filled = fillSignature('b=', 'x'.repeat(length)).slice(2).split('\r\n\t');
    expect(filled.map((line) => line.length)).toEqual(lengths);
  });
});
