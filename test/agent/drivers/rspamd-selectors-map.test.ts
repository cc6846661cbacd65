import { describe, expect, it } from 'vitest';
import {
  emptyMap,
  formatSelectorsMap,
  otherRows,
  parseSelectorsMap,
} from '../../../agent/drivers/rspamd/selectors-map.ts';

const rows = new Map([
  ['example.net', '240128'],
  ['example.com', '240129'],
]);
const begin = '# selkie: begin (written by the agent: rows of your own go above or below)';
const end = '# selkie: end';

describe('the selector map', () => {
  it('has the rows in one order, between two comments', () => {
    expect(formatSelectorsMap({ ...emptyMap, rows })).toBe(
      `${begin}\nexample.com 240129\nexample.net 240128\n${end}\n`,
    );
  });

  it.each([
    ['nothing', '', ''],
    ['rows above', '# mine\nother.example\tdkim # old\n\n', ''],
    ['rows above without a line’s end', 'other.example dkim', ''],
    ['rows below', '', 'other.example dkim\n# mine'],
    ['rows on both sides', 'a.example x\n', 'b.example y\n'],
  ])('keeps what is not ours byte for byte: %s', (_, before, after) => {
    const text = formatSelectorsMap({ before, after, rows });
    const parsed = parseSelectorsMap(text, 'selectors.map');
    expect(parsed.rows).toEqual(new Map([...rows].sort()));
    expect(parsed.after).toBe(after);
    expect(parsed.before).toBe(before === '' || before.endsWith('\n') ? before : `${before}\n`);
    expect(formatSelectorsMap(parsed)).toBe(text);
  });

  it('is all the administrator’s where it has no such comments', () => {
    const text = 'other.example dkim\n';
    expect(parseSelectorsMap(text, 'selectors.map')).toEqual({ before: text, after: '', rows: new Map() });
  });

  it('tells the administrator’s rows, whatever surrounds them', () => {
    const text = formatSelectorsMap({
      before: '#x y\n Other.Example \t dkim#old\n\nlone\n',
      after: 'b.example y',
      rows,
    });
    expect(otherRows(parseSelectorsMap(text, 'selectors.map'))).toEqual(
      new Map([
        ['other.example', 'dkim'],
        ['b.example', 'y'],
      ]),
    );
  });

  it.each([
    ['no end', `${begin}\nexample.com x\n`],
    ['no beginning', `example.com x\n${end}\n`],
    ['the end first', `${end}\n${begin}\n`],
    ['two beginnings', `${begin}\n${begin}\n${end}\n`],
    ['two of both', `${begin}\n${end}\n${begin}\n${end}\n`],
  ])('is refused, with what mends it, where its comments have %s', (_, text) => {
    expect(() => parseSelectorsMap(text, '/var/lib/rspamd/selkie/selectors.map')).toThrow(
      /^\/var\/lib\/rspamd\/selkie\/selectors\.map: .*take both .* out/,
    );
  });
});
