// The fleet file and its compiled form: whatever is in them, they are read whole or refused with the place and the mend.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Document, isCollection, isMap, isScalar, parse, parseDocument, visit } from 'yaml';
import { compileFleet, loadCompiledFleet } from '../../core/compiled-fleet.ts';
import type { Fleet } from '../../core/policy.ts';
import { FleetError } from '../../fleet/problems.ts';
import { parseFleet, readFleet } from '../../fleet/read.ts';
import { fleetFile } from '../../fleet/schema.ts';
import { selfSigned } from '../fleet/certificate.ts';
import { makeHost } from '../tools/sealed.ts';
import { ours, outcomeOf, patience, runs, soon } from './settings.ts';

patience();

const folder = fileURLToPath(new URL('corpus/', import.meta.url));
const hosts = [makeHost('mx1.example.jp'), makeHost('mx2.example.jp')];
const certificate = selfSigned('mx1.example.jp');

/** Everything that a fleet file can say. */
const full = `${readFileSync(new URL('../../docs/fleet.example.yaml', import.meta.url), 'utf8')}
hosts:
  mx1.example.jp:
    pool: outbound
    endpoint: https://mx1.example.jp:8463
    encryptionKey: ${hosts[0]?.encryptionKey}
    signingKey: ${hosts[0]?.signingKey}
    certificate: |
${certificate.replace(/^(?=.)/gm, '      ')}
  mx2.example.jp:
    pool: newsletters
    encryptionKey: ${hosts[1]?.encryptionKey}
    signingKey: ${hosts[1]?.signingKey}
`.replace(
  '  record:\n',
  '  hold: P7D\n  skewBound: PT5M\n  fenceAfter: PT10M\n  record:\n    note: mail\n    strict: true\n',
);

/** What a fleet is worth: compiled and loaded it is the same. */
const sound = (fleet: Fleet): void => {
  const json = compileFleet(fleet);
  const loaded = loadCompiledFleet(json);
  expect(loaded).toEqual(fleet);
  expect([...loaded.domains.keys()]).toEqual([...fleet.domains.keys()]);
  expect(compileFleet(loaded)).toBe(json);
};

/** Reads it: a sound fleet that the published schema takes too, or an error with places. */
const judge = (text: string): 'read' | 'refused' => {
  const outcome = outcomeOf(() => parseFleet(text, { file: 'f', version: 7 }), 'invalid');
  if ('value' in outcome) {
    sound(outcome.value);
    const value = parse(text, { uniqueKeys: false, maxAliasCount: -1, logLevel: 'silent' });
    const schema = fleetFile.safeParse(value);
    expect(schema.success ? [] : schema.error.issues).toEqual([]);
    return 'read';
  }
  const { refusal } = outcome;
  if (!(refusal instanceof FleetError)) throw refusal;
  const { problems, message } = refusal;
  expect(problems.length).toBeGreaterThan(0);
  const lines = text.split('\n').length;
  for (const problem of problems) {
    expect(problem.message).not.toBe('');
    expect(problem.line).toBeGreaterThanOrEqual(1);
    expect(problem.line).toBeLessThanOrEqual(lines + 1);
    expect(problem.column).toBeGreaterThanOrEqual(1);
  }
  const said = message.split('\n');
  expect(said).toHaveLength(Math.min(problems.length, 200) + (problems.length > 200 ? 1 : 0));
  for (const line of said) expect(line).toMatch(/^f:\d+:\d+ [^\p{Cc}]|^f: … and \d+ more$/u);
  return 'refused';
};

/** How often each came out, so that a generator that only makes one of them is noticed. */
const tally = () => {
  const seen = { read: 0, refused: 0 };
  return {
    seen,
    count: (text: string) => {
      seen[judge(text)] += 1;
    },
  };
};

describe('the fleet file', () => {
  it('with everything in it is read', () => expect(judge(full)).toBe('read'));

  const paths = (document: Document): (string | number)[][] => {
    const found: (string | number)[][] = [];
    const walk = (node: unknown, path: (string | number)[]): void => {
      if (path.length > 0) found.push(path);
      if (!isCollection(node)) return;
      for (const [i, item] of node.items.entries()) {
        const isPair = isMap(node);
        const key = isPair && 'key' in Object(item) ? String((item as { key: unknown }).key) : i;
        walk(isPair ? (item as { value: unknown }).value : item, [...path, key]);
      }
    };
    walk(document.contents, []);
    return found;
  };
  const count = paths(parseDocument(full)).length;
  const values = fc.oneof(
    fc.constantFrom<unknown>(
      null,
      true,
      false,
      0,
      -1,
      1e300,
      2_147_483_648,
      '',
      ' ',
      'x',
      '*',
      'PT0S',
      'P1Y',
      'P99999999D',
      '9 days',
      'on-demand',
      'leaving',
      'rsa2048',
      'UTC',
      'Z0123',
      'https://[::1]:1',
      'a\nb',
      '\u0000',
      '例え.jp',
      'x'.repeat(20_000),
      'é'.repeat(20_000),
      [],
      {},
      [[]],
      ['rsa2048', 'rsa4096'],
      ['ed25519', 'ed25519'],
      { a: { b: 1 } },
      { length: {} },
      { length: { toString: null } },
      { length: 1 },
      [null],
      [1],
      ['ns1.example.jp', '[::1]:53', '192.0.2.1:0'],
    ),
    fc.jsonValue({ maxDepth: 2 }),
  );

  it('with any node dropped, doubled, renamed or of another kind is read or refused', () => {
    const { seen, count: tell } = tally();
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.nat(count - 1),
            fc.constantFrom('drop', 'retype', 'retype', 'rename', 'double', 'alias'),
            values,
            fc.nat(count - 1),
          ),
          { minLength: 1, maxLength: 3 },
        ),
        (changes) => {
          const document = parseDocument(full);
          for (const [at, how, value, from] of changes) {
            const all = paths(document);
            const path = all[at % all.length] ?? [];
            const parent = path.slice(0, -1);
            const source = all[from % all.length] ?? [];
            if (how === 'drop') document.deleteIn(path);
            else if (how === 'retype') document.setIn(path, document.createNode(value));
            else if (how === 'alias') {
              const node = document.getIn(source, true);
              if (isScalar(node) || isCollection(node)) {
                const name = node.anchor ?? 'a';
                node.anchor = name;
                document.setIn(path, document.createAlias(node, name));
              }
            } else if (how === 'rename')
              document.addIn(
                parent,
                document.createPair(`${String(value)}`.slice(0, 300), document.getIn(path, true)),
              );
            else if (isMap(document.getIn(parent, true))) {
              const map = document.getIn(parent, true);
              if (isMap(map)) map.items.push(document.createPair(path.at(-1), document.getIn(path, true)));
            }
          }
          tell(textOf(document));
        },
      ),
      runs(250),
    );
    expect(seen.read).toBeGreaterThan(15);
    expect(seen.refused).toBeGreaterThan(100);
  });

  it('with letters and lines changed is read or refused', () => {
    const { seen, count: tell } = tally();
    const lines = full.split('\n');
    const edit = fc.record({
      how: fc.constantFrom('delete', 'repeat', 'swap', 'indent', 'letter', 'insert', 'cut'),
      at: fc.nat(lines.length - 1),
      to: fc.nat(60),
      text: fc.constantFrom(
        '\t',
        ' ',
        ':',
        '#',
        '&a ',
        '*a',
        '- ',
        '? ',
        '|',
        '>',
        '"',
        "'",
        '{',
        '}',
        '[',
        ',',
        '!!str ',
        '---\n',
        '%',
        '@',
        '\ufeff',
        '\u0000',
        '\r',
        '\u2028',
        '<<: *a',
        '\\',
        'é',
      ),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        let all = lines;
        for (const { how, at, to, text } of edits) {
          const line = all[at % all.length] ?? '';
          const place = at % all.length;
          const column = to % (line.length + 1);
          if (how === 'delete') all = all.toSpliced(place, 1 + (to % 3));
          else if (how === 'repeat') all = all.toSpliced(place, 0, line);
          else if (how === 'swap') all = all.with(place, all[(at + to) % all.length] ?? '');
          else if (how === 'indent')
            all = all.with(place, to % 2 === 0 ? ` ${line}` : line.replace(/^ {1,2}/, ''));
          else if (how === 'letter')
            all = all.with(place, line.slice(0, column) + text + line.slice(column + 1));
          else if (how === 'insert') all = all.with(place, line.slice(0, column) + text + line.slice(column));
          else all = all.slice(0, place + 1);
        }
        tell(all.join('\n'));
      }),
      runs(250),
    );
    expect(seen.read).toBeGreaterThan(15);
    expect(seen.refused).toBeGreaterThan(100);
  });

  it('that is any text is refused or read', () => {
    const part = fc.constantFrom(
      'domains:',
      'zones:',
      'pools:',
      'hosts:',
      'a.jp',
      'jp',
      ': ',
      ':\n',
      '\n  ',
      '\n',
      '- ',
      '{',
      '}',
      '[',
      ']',
      ', ',
      '"',
      "'",
      '&a ',
      '*a',
      '? ',
      '!!map ',
      '!x ',
      '| \n',
      '#',
      '---',
      '...',
      '%YAML 1.1\n',
      '\t',
      '~',
      '0x1',
      '__proto__',
      'constructor',
      '\ufeff',
      '\ud800',
      'id: Z1',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(part, { maxLength: 25 }).map((parts) => parts.join('')),
          fc.string({ unit: 'binary' }),
        ),
        judgeAll,
      ),
      runs(400),
    );
  });

  const size = 5_000;
  it.each([
    ['lists in lists', '['.repeat(size)],
    ['closed lists in lists', '['.repeat(size) + ']'.repeat(size)],
    ['maps in maps', '{a: '.repeat(size)],
    ['keys of keys', '? '.repeat(3_000)],
    ['dashes', '- '.repeat(3_000)],
    ['ever deeper maps', Array.from({ length: 1_500 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
    ['anchors', '&a '.repeat(size)],
    ['tags', '!a '.repeat(size)],
    ['aliases', `[${'*a,'.repeat(size)}]`],
    ['one anchor and many aliases', `a: &a {}\nb: [${'*a,'.repeat(size)}]`],
    ['line ends', '\n'.repeat(size * 4)],
    ['quotes', '"'.repeat(size)],
    ['a long text', `domains: ${'x'.repeat(size * 180)}`],
    ['a long name', `? ${'x'.repeat(size * 60)}\n: 1`],
    ['a long name of a domain', `domains:\n  ? ${'é'.repeat(size)}.jp\n  : 1`],
    ['many problems', `domains:\n${Array.from({ length: 3_000 }, (_, i) => `  d${i}: [1]\n`).join('')}`],
  ])('of %s without end is refused in seconds', (_, text) => {
    expect(soon(() => judge(text), 5)).toBe('refused');
  });
});

/** As text; a document whose aliases precede their anchors cannot be written, and is left as it was. */
const textOf = (document: Document): string => {
  const seen = new Set<string>();
  let isSound = true;
  visit(document, {
    Alias(_, { source }) {
      if (!seen.has(source)) isSound = false;
    },
    Node(_, node) {
      if ('anchor' in node && typeof node.anchor === 'string') seen.add(node.anchor);
    },
  });
  try {
    return document.toString();
  } catch (error) {
    if (isSound) throw error;
    return full;
  }
};

const judgeAll = (text: string): void => {
  judge(text);
};

describe('the corpus', () => {
  it.each(readdirSync(join(folder, 'fleet')))('%s is refused', (name) => {
    const file = join(folder, 'fleet', name);
    const outcome = outcomeOf(() => readFleet(file), 'invalid');
    expect(outcome).toHaveProperty('refusal');
    if ('refusal' in outcome) expect(outcome.refusal).toBeInstanceOf(FleetError);
    judge(readFileSync(file, 'utf8'));
  });
  it.each(readdirSync(join(folder, 'fleet-valid')))('%s is read', (name) => {
    const fleet = readFleet(join(folder, 'fleet-valid', name));
    expect(fleet.domains.has('mail.example.jp')).toBe(true);
    sound(fleet);
  });
});

describe('a compiled fleet', () => {
  const json = compileFleet(parseFleet(full, { file: 'f', version: 7 }));

  /** Loaded it is sound, or it is refused as what it is. */
  const load = (text: string): 'read' | 'refused' => {
    const outcome = outcomeOf(() => loadCompiledFleet(text), 'invalid');
    if ('refusal' in outcome) {
      expect(ours(outcome.refusal, 'invalid').message).toMatch(
        /^This is no compiled fleet of this version of Selkie \(/,
      );
      return 'refused';
    }
    const fleet = outcome.value;
    for (const { zone, pool, policy } of fleet.domains.values()) {
      expect(fleet.zones.has(zone)).toBe(true);
      expect(fleet.pools).toContain(pool);
      expect(policy.algorithms.length).toBeGreaterThan(0);
      expect(
        Math.min(policy.ttl, policy.hold, policy.drainMargin, policy.downstreamQueue),
      ).toBeGreaterThanOrEqual(0);
    }
    const again = loadCompiledFleet(compileFleet(fleet));
    expect(again.domains).toEqual(fleet.domains);
    expect(again.hosts).toEqual(fleet.hosts);
    return 'read';
  };

  /** Every place in a JSON value. */
  const places = (value: unknown): (string | number)[][] =>
    typeof value !== 'object' || value === null
      ? [[]]
      : [[], ...Object.entries(value).flatMap(([key, inner]) => places(inner).map((path) => [key, ...path]))];
  const all = places(JSON.parse(json)).filter((path) => path.length > 0);

  it('with any part dropped, doubled or of another kind is refused, or sound', () => {
    const seen = { read: 0, refused: 0 };
    fc.assert(
      fc.property(
        fc.nat(all.length - 1),
        fc.constantFrom('drop', 'set', 'set', 'double', 'nothing'),
        fc.oneof(
          fc.jsonValue({ maxDepth: 2 }),
          fc.constantFrom(
            Number.POSITIVE_INFINITY,
            -1,
            0.5,
            2 ** 53,
            '__proto__',
            { length: { toString: null } },
            [[]],
            5,
          ),
        ),
        (at, how, value) => {
          const compiled = JSON.parse(json);
          const path = all[at] ?? [];
          let parent = compiled;
          for (const part of path.slice(0, -1)) parent = parent[part];
          const last = path.at(-1) ?? '';
          if (how === 'nothing') parent[last] = null;
          else if (how === 'set') parent[last] = value;
          else if (Array.isArray(parent))
            parent.splice(
              Number(last),
              how === 'drop' ? 1 : 0,
              ...(how === 'drop' ? [] : [parent[Number(last)]]),
            );
          else if (how === 'drop') delete parent[last];
          else parent[`${last}x`] = parent[last];
          seen[load(JSON.stringify(compiled))] += 1;
        },
      ),
      runs(1_500),
    );
    expect(seen.read).toBeGreaterThan(50);
    expect(seen.refused).toBeGreaterThan(500);
  });

  it('with any letters changed is refused, or sound', () =>
    fc.assert(
      fc.property(
        fc.nat(json.length - 1),
        fc.constantFrom('', '"', '{', ']', ',', '0', '9', 'e9', '-', 'null', '\\', 'é', '\u0000'),
        fc.nat(4),
        (at, text, cut) => {
          load(json.slice(0, at) + text + json.slice(at + cut));
        },
      ),
      runs(1_000),
    ));

  it.each([
    '',
    'null',
    '7',
    '""',
    '[]',
    '{}',
    '{"format":1}',
    '{"format":{"toString":null}}',
    `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
    `{"format":${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
  ])('that is another thing is refused (%#)', (text) => expect(load(text)).toBe('refused'));
});
