// A chain that holds, then one change at a time; and RFC 8785's own example of the text that is hashed.
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { sha256, verifyAuditChain } from '../../contract/audit.ts';
import {
  type AuditEvent,
  auditText,
  canonicalJson,
  fleetSubject,
  hostSubject,
  nextEvent,
  numberInPlace,
  selkieItself,
  tailOf,
  trailPlace,
} from '../../core/audit.ts';

const chain = (length: number, subject = 'example.com'): AuditEvent[] => {
  const events: AuditEvent[] = [];
  for (let n = 1; n <= length; n++) {
    const last = events.at(-1);
    events.push(
      nextEvent(
        last === undefined ? undefined : tailOf(last),
        {
          subject,
          at: `2024-01-28T09:00:0${n}.000Z`,
          who: 'local operator',
          what: 'rotate',
          ...(n % 2 ? { why: 'schlüssel 🦭 "lost"' } : {}),
          before: { keys: { b: 'active', a: 'draining' } },
          after: null,
        },
        sha256,
      ),
    );
  }
  return events;
};

describe('the text that is hashed', () => {
  it('is RFC 8785 §3.2.2 and §3.2.3 by their example', () => {
    const value = JSON.parse(
      String.raw`{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
      }`,
    );
    expect(canonicalJson(value)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  it('sorts names by UTF-16 units: RFC 8785 §3.2.3', () => {
    const names = ['\u20ac', '\r', '\ufb33', '1', '\u{1f600}', '\u0080', '\u00f6'];
    const text = canonicalJson(Object.fromEntries(names.map((name, n) => [name, n])));
    const inOrder = [...text.matchAll(/:(\d)/g)].map(([, n]) => names[Number(n)]);
    expect(inOrder).toEqual(['\r', '1', '\u0080', '\u00f6', '\u20ac', '\u{1f600}', '\ufb33']);
  });

  it('has no member that is undefined, and none of the hash', () => {
    const [event] = chain(1);
    if (event === undefined) return expect.unreachable();
    expect(auditText(event)).not.toContain('"hash"');
    expect(auditText(event)).toBe(auditText(JSON.parse(JSON.stringify(event))));
  });

  it('is hashed the same by Python, from the event alone', () => {
    const script = [
      'import sys, json, hashlib',
      'event = json.load(sys.stdin)',
      'event.pop("hash")',
      'text = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)',
      'print(hashlib.sha256(text.encode()).hexdigest())',
    ].join('\n');
    for (const event of chain(3)) {
      const said = execFileSync('python3', ['-c', script], {
        input: JSON.stringify(event),
        encoding: 'utf8',
      });
      expect(said.trim()).toBe(event.hash);
    }
  });
});

describe('a chain', () => {
  it('holds, also none, also from a known event on, also after JSON', () => {
    const events = chain(4);
    expect(verifyAuditChain([])).toEqual({ ok: true });
    expect(verifyAuditChain(events)).toEqual({ ok: true });
    expect(verifyAuditChain(JSON.parse(JSON.stringify(events)))).toEqual({ ok: true });
    const [, second, ...rest] = events;
    expect(verifyAuditChain(rest, second)).toEqual({ ok: true });
  });

  it.each<readonly [string, (events: AuditEvent[]) => readonly AuditEvent[], number, RegExp]>([
    ['a changed person', (events) => events.map((e) => (e.n === 2 ? { ...e, who: 'ada' } : e)), 2, /hash/],
    ['a reason that is gone', (events) => events.map(({ why: _, ...e }) => e), 1, /hash/],
    ['another before', (events) => events.map((e) => (e.n === 3 ? { ...e, before: [] } : e)), 3, /hash/],
    ['a field more', (events) => events.map((e) => (e.n === 4 ? { ...e, more: 1 } : e)), 4, /hash/],
    ['one taken out', (events) => events.filter(({ n }) => n !== 2), 2, /missing: 3/],
    [
      'one taken out and the rest renumbered',
      (events) => events.filter(({ n }) => n !== 2).map((e, i) => ({ ...e, n: i + 1 })),
      2,
      /does not follow/,
    ],
    ['the first taken out', (events) => events.slice(1), 1, /missing: 2/],
    [
      'two in the wrong order',
      (events) => [...events.slice(0, 2), ...events.slice(2).toReversed()],
      3,
      /missing: 4/,
    ],
    [
      'one twice',
      ([first, ...rest]) => (first === undefined ? [] : [first, first, ...rest]),
      2,
      /missing: 1/,
    ],
    [
      'another’s chain',
      (events) => [...events.slice(0, 2), ...chain(4, 'example.net').slice(2)],
      3,
      /example\.net/,
    ],
    [
      'one that was forged with its hash',
      (events) =>
        events.map((e) => {
          const forged = { ...e, who: 'ada' };
          return e.n === 2 ? { ...forged, hash: sha256(auditText(forged)) } : e;
        }),
      3,
      /does not follow event 2/,
    ],
    [
      'a beginning that was forged',
      (events) =>
        events.map((e) => {
          const forged = { ...e, previous: 'a'.repeat(64) };
          return e.n === 1 ? { ...forged, hash: sha256(auditText(forged)) } : e;
        }),
      1,
      /does not begin/,
    ],
  ])('%s is found', (_, change, n, says) => {
    expect(verifyAuditChain(change(chain(4)))).toMatchObject({
      ok: false,
      n,
      says: expect.stringMatching(says),
    });
  });
});

describe('where an event stands among those of the whole fleet', () => {
  const event = { at: '2024-01-28T09:00:01.000Z', subject: 'example.com', n: 7 };

  it('by its time, then its subject, then its number: as text', () => {
    expect(trailPlace(event)).toBe('2024-01-28T09:00:01.000Z#example.com#0000000000000007');
    const places = [
      { ...event, at: '2024-01-28T08:00:00.000Z', n: 9 },
      { ...event, subject: 'a.example', n: 8 },
      event,
      { ...event, n: 10 },
    ].map(trailPlace);
    expect(places.toSorted()).toEqual(places);
  });

  it('has its number at the end', () => {
    expect(numberInPlace(trailPlace(event))).toBe(7);
    expect(numberInPlace(trailPlace({ ...event, subject: hostSubject('mx1.example.jp'), n: 123_456 }))).toBe(
      123_456,
    );
  });

  it.each([
    '',
    '7',
    '2024-01-28T09:00:01.000Z#example.com#7',
    '2024-01-28T09:00:01.000Z#0000000000000007',
    '2024-01-28T09:00:01.000Z##0000000000000007',
    '2024-01-28T09:00:01.000Z#example.com#more#0000000000000007',
    'x2024-01-28T09:00:01.000Z#example.com#0000000000000007',
    '2024-01-28T09:00:01.000Z#example.com#00000000000000070',
    '2024-01-28T09:00:01.000Z#example.com#000000000000000x',
    '2024-01-28T09:00:01.000Z#example.com#9999999999999999',
  ])('%j is no such place', (place) => expect(numberInPlace(place)).toBeUndefined());
});

it('hosts, the fleet and the service itself have names that no domain and no person has', () => {
  expect([hostSubject('mx1.example.jp'), fleetSubject, selkieItself]).toEqual([
    'host/mx1.example.jp',
    'fleet',
    'selkie',
  ]);
});

it('the first event of a chain follows 64 zeros', () => {
  expect(chain(1)[0]).toMatchObject({ n: 1, previous: '0'.repeat(64) });
});
