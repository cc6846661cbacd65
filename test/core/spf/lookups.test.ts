// What a record costs its receivers, term by term: RFC 7208 §4.6.4. Against other verifiers: oracles.test.ts.
import { describe, expect, it } from 'vitest';
import { countLookups, evaluated, limitFault } from '../../../core/spf/lookups.ts';
import { parseSpf, printTerm } from '../../../core/spf/record.ts';
import { asked, type DnsTable } from '../../oracles/dns-table.ts';

/** The count, and the questions that it asked. */
const counted = (text: string, table: DnsTable = {}, domain = 'example.jp') => {
  const walk = countLookups(parseSpf(`v=spf1 ${text}`), domain);
  const questions: string[] = [];
  let step = walk.next();
  while (step.done !== true) {
    questions.push(`${step.value.type} ${step.value.name}`);
    step = walk.next(asked(table, step.value));
  }
  return { ...step.value, questions };
};

const both = (name: string): DnsTable => ({
  [`A ${name}`]: ['192.0.2.1'],
  [`AAAA ${name}`]: ['2001:db8::1'],
});
const free = { lookups: 0, voids: 0, strictVoids: 0, costs: [], faults: [], questions: [] };

describe('terms in the order of their evaluation', () => {
  it.each([
    ['nothing behind all: RFC 7208 §5.1', 'mx -all a', 'mx -all'],
    ['no redirect where there is an all, wherever it stands: §5.1', 'redirect=b.example mx ~all', 'mx ~all'],
    ['redirect last: §6.1', 'redirect=b.example mx a', 'mx a redirect=b.example'],
    ['no other modifier', 'exp=b.example mx x=y', 'mx'],
    ['an empty record', '', ''],
  ])('%s', (_, text, order) => {
    expect(
      evaluated(parseSpf(`v=spf1 ${text}`))
        .map(printTerm)
        .join(' '),
    ).toBe(order);
  });
});

describe('what counts toward the ten: RFC 7208 §4.6.4', () => {
  it.each(['-all', 'ip4:192.0.2.0/24', 'ip6:2001:db8::/32', 'exp=why.example.jp', 'x=y', ''])(
    '"%s" does not, and asks nothing',
    (text) => {
      expect(counted(text)).toEqual(free);
    },
  );

  it('nor does what stands behind all', () => {
    expect(counted('-all mx a redirect=b.example')).toEqual(free);
  });

  it.each([
    ['a', both('example.jp'), ['A example.jp', 'AAAA example.jp']],
    ['a:h.example/24', both('h.example'), ['A h.example', 'AAAA h.example']],
    ['mx', { 'MX example.jp': ['h.example'] }, ['MX example.jp']],
    ['mx:Other.Example.', { 'MX other.example': ['h.example'] }, ['MX other.example']],
    ['exists:h.example', { 'A h.example': ['127.0.0.2'] }, ['A h.example']],
    // The macro of the domain is known beforehand: RFC 7208 §7.2.
    ['a:%{d}', both('example.jp'), ['A example.jp', 'AAAA example.jp']],
    ['exists:%{D}.x.%{d}', { 'A example.jp.x.example.jp': ['127.0.0.2'] }, ['A example.jp.x.example.jp']],
  ])('%s: one', (term, table, questions) => {
    expect(counted(term, table)).toEqual({ ...free, lookups: 1, costs: [{ term, lookups: 1 }], questions });
  });

  it.each(['ptr', 'ptr:example.net', 'exists:%{i}.example.jp', 'include:%{i}.example.jp', 'a:%{d2}'])(
    '%s: one, and what it finds depends on the message',
    (term) => {
      expect(counted(term)).toEqual({ ...free, lookups: 1, costs: [{ term, lookups: 1, depends: true }] });
    },
  );

  it.each([
    ['include:b.example', 'include:b.example'],
    ['-include:B.example.', '-include:B.example.'],
    ['redirect=b.example', 'redirect=b.example'],
  ])('%s: one, and those of the record that it leads to', (text, term) => {
    const table = {
      'TXT b.example': ['site-verification=1', 'v=spf1 mx a:h.example ip4:192.0.2.1 -all'],
      'MX b.example': ['h.example'],
      ...both('h.example'),
    };
    expect(counted(text, table)).toEqual({
      ...free,
      lookups: 3,
      costs: [
        {
          term,
          lookups: 3,
          within: [
            { term: 'mx', lookups: 1 },
            { term: 'a:h.example', lookups: 1 },
          ],
        },
      ],
      questions: ['TXT b.example', 'MX b.example', 'A h.example', 'AAAA h.example'],
    });
  });

  it('those of an included record’s includes, each of them for itself', () => {
    const table = {
      'TXT b.example': ['v=spf1 include:c.example ~all'],
      'TXT c.example': ['v=spf1 exists:%{i}.c.example -all'],
    };
    // The same record twice, one after the other, is no loop.
    expect(counted('include:b.example include:c.example -all', table)).toMatchObject({
      lookups: 5,
      faults: [],
      costs: [
        { lookups: 3, within: [{ lookups: 2, within: [{ lookups: 1 }] }] },
        { lookups: 2, within: [{ lookups: 1 }] },
      ],
    });
  });

  it('in an included record, the domain is the included one', () => {
    const table = {
      'TXT b.example': ['v=spf1 a:x.%{d} mx'],
      ...both('x.b.example'),
      'MX b.example': ['h.example'],
    };
    expect(counted('include:b.example', table).questions).toEqual([
      'TXT b.example',
      'A x.b.example',
      'AAAA x.b.example',
      'MX b.example',
    ]);
  });

  it('the domain is asked in lower case, without its final dot', () => {
    expect(counted('mx', { 'MX example.jp': ['h.example'] }, 'Example.JP.').questions).toEqual([
      'MX example.jp',
    ]);
  });

  it('counting ends at forty', () => {
    const found = counted(Array(45).fill('ptr').join(' '));
    expect(found.lookups).toBe(40);
    expect(found.costs).toHaveLength(40);
  });
});

describe('lookups that find nothing: RFC 7208 §4.6.4', () => {
  it.each([
    ['a', {}, 1, 1],
    ['a', { 'A example.jp': ['192.0.2.1'] }, 0, 1],
    ['a', { 'AAAA example.jp': ['2001:db8::1'] }, 0, 1],
    ['a', both('example.jp'), 0, 0],
    ['mx', {}, 1, 1],
    ['exists:h.example', {}, 1, 1],
    ['ptr', {}, 0, 0],
    ['include:b.example', {}, 1, 1],
    ['redirect=b.example', {}, 1, 1],
    // It found something, though no SPF record.
    ['include:b.example', { 'TXT b.example': ['site-verification=1'] }, 0, 0],
  ])('%s with %j: %i, strictly %i', (term, table, voids, strictVoids) => {
    const found = counted(term, table);
    expect(found).toMatchObject({ voids, strictVoids });
    expect(found.costs[0]?.void).toBe(voids === 1 ? true : undefined);
  });

  it('strictly, of the senders’ families the one that finds less', () => {
    const four = { 'A v4a.example': ['192.0.2.1'], 'A v4b.example': ['192.0.2.2'] };
    const six = { 'AAAA v6.example': ['2001:db8::1'] };
    expect(counted('a:v4a.example a:v4b.example a:v6.example mx', { ...four, ...six })).toMatchObject({
      voids: 1,
      strictVoids: 3,
    });
    expect(
      counted('a:v4a.example a:v6.example a:w6.example', { ...four, ...six, 'AAAA w6.example': ['::1'] }),
    ).toMatchObject({
      voids: 0,
      strictVoids: 2,
    });
  });

  it('those of included records are counted too', () => {
    expect(counted('include:b.example mx', { 'TXT b.example': ['v=spf1 a -all'] })).toMatchObject({
      voids: 2,
      strictVoids: 2,
      costs: [{ within: [{ term: 'a', void: true }] }, { term: 'mx', void: true }],
    });
  });
});

describe('why receivers answer permerror', () => {
  const faultsOf = (text: string, table: DnsTable = {}) => counted(text, table).faults;

  it.each([
    ['include:b.example', {}, 'b.example, which include:b.example names, has no SPF record'],
    ['redirect=b.example', {}, 'b.example, which redirect=b.example names, has no SPF record'],
    [
      'include:b.example',
      { 'TXT b.example': ['v=spf10 -all', 'other'] },
      'b.example, which include:b.example names, has no SPF record',
    ],
    // RFC 7208 §4.5
    [
      'include:b.example',
      { 'TXT b.example': ['v=spf1 -all', 'other', 'v=spf1 mx'] },
      'b.example, which include:b.example names, has 2 SPF records',
    ],
    // RFC 7208 §4.6.1
    [
      'include:b.example',
      { 'TXT b.example': ['v=spf1 ip4:x -all'] },
      'b.example, which include:b.example names: SPF record: "ip4:x" has no IPv4 address behind its colon, such as ip4:192.0.2.0/24.',
    ],
    ['include:example.jp', {}, 'include:example.jp leads back to example.jp, which is being evaluated'],
    [
      'include:b.example',
      { 'TXT b.example': ['v=spf1 redirect=Example.JP'] },
      'redirect=Example.JP leads back to example.jp, which is being evaluated',
    ],
    [
      'include:b.example',
      { 'TXT b.example': ['v=spf1 include:b.example'] },
      'include:b.example leads back to b.example, which is being evaluated',
    ],
    [
      'mx',
      { 'MX example.jp': Array.from({ length: 11 }, (_, n) => `mx${n}.example`) },
      'example.jp has 11 MX records, and 10 are the most',
    ],
  ])('%s with %j', (text, table, fault) => {
    expect(faultsOf(text, table)).toEqual([fault]);
    expect(limitFault(counted(text, table))).toBe(fault);
  });

  it('what is broken there is looked up all the same, and nothing within it', () => {
    expect(counted('include:b.example', { 'TXT b.example': ['v=spf1 ip4:x mx'] })).toMatchObject({
      lookups: 1,
      costs: [{ term: 'include:b.example', lookups: 1 }],
      questions: ['TXT b.example'],
    });
    expect(counted('include:b.example', { 'TXT b.example': ['v=spf1 mx', 'v=spf1 a'] }).costs).toEqual([
      { term: 'include:b.example', lookups: 1 },
    ]);
    expect(counted('include:example.jp').costs).toEqual([{ term: 'include:example.jp', lookups: 1 }]);
    expect(counted('include:b.example', {}).costs).toEqual([
      { term: 'include:b.example', lookups: 1, void: true },
    ]);
  });

  it('ten MX records are not too many', () => {
    const table = { 'MX example.jp': Array.from({ length: 10 }, (_, n) => `mx${n}.example`) };
    expect(faultsOf('mx', table)).toEqual([]);
  });

  it('ten lookups and two that find nothing are within the limits', () => {
    const text = 'a mx ptr ptr ptr ptr ptr ptr ptr ptr -all';
    expect(counted(text)).toMatchObject({ lookups: 10, voids: 2 });
    expect(limitFault(counted(text))).toBeUndefined();
  });

  it('eleven lookups are not: the sentence says what each term costs', () => {
    const table = {
      'TXT b.example': [`v=spf1 ${Array(9).fill('ptr').join(' ')} -all`],
      'MX example.jp': ['h.example'],
    };
    expect(limitFault(counted('mx include:b.example ip4:192.0.2.1 -all', table))).toBe(
      'it makes 11 DNS lookups, and 10 are the most (mx 1, include:b.example 10): name addresses by ip4: and ip6: in place of the dearest',
    );
  });

  it('beyond forty nobody counts', () => {
    const many = (count: number) => limitFault(counted(Array(count).fill('ptr').join(' ')));
    expect(many(39)).toMatch(/^it makes 39 DNS lookups,/);
    expect(many(40)).toMatch(/^it makes 40 or more DNS lookups,/);
    expect(many(41)).toMatch(/^it makes 40 or more DNS lookups,/);
  });

  it('three that find nothing are not: the sentence names them', () => {
    const table = { 'TXT b.example': ['v=spf1 a:gone.example ptr -all'] };
    expect(limitFault(counted('mx include:b.example exists:x.example -all', table))).toBe(
      '3 of its lookups find nothing, and 2 are the most (mx, a:gone.example, exists:x.example): take these out',
    );
  });

  it('all that is wrong is said', () => {
    const text = `a mx include:b.example ${Array(8).fill('ptr').join(' ')}`;
    expect(limitFault(counted(text))).toBe(
      [
        'b.example, which include:b.example names, has no SPF record',
        'it makes 11 DNS lookups, and 10 are the most (a 1, mx 1, include:b.example 1, ptr 1, ptr 1, ptr 1, ptr 1, ptr 1, ptr 1, ptr 1, ptr 1): name addresses by ip4: and ip6: in place of the dearest',
        '3 of its lookups find nothing, and 2 are the most (a, mx, include:b.example): take these out',
      ].join('; '),
    );
  });
});
