// Links within the documentation lead somewhere: to a file that is there, and to a heading that it has.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';

const root = new URL('../../', import.meta.url).pathname;
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

/** As GitHub makes them: lower case, no punctuation, hyphens for spaces. */
const anchorsOf = (file: string): ReadonlySet<string> =>
  new Set(
    [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );

const linksOf = (page: string): readonly string[] =>
  [
    ...readFileSync(join(root, page), 'utf8')
      .replaceAll(/^\s*```[\s\S]*?^\s*```/gm, '')
      .replaceAll(/`[^`\n]*`/g, '')
      .matchAll(/\]\(([^)\s]+)\)/g),
  ].map(([, to = '']) => to);

test.each(pages)('%s', (page) => {
  const broken = linksOf(page)
    .filter((to) => !/^[a-z]+:/.test(to))
    .filter((to) => {
      const [path = '', anchor] = to.split('#');
      const file = path === '' ? join(root, page) : join(root, dirname(page), path);
      if (relative(root, file).startsWith('..') || !existsSync(file)) return true;
      return anchor !== undefined && (statSync(file).isDirectory() || !anchorsOf(file).has(anchor));
    });
  expect(broken).toEqual([]);
});

test('docs/README.md leads to every page but the decisions', () => {
  const led = new Set(linksOf('docs/README.md').map((to) => join('docs', to)));
  const unled = pages.filter(
    (page) =>
      page.startsWith('docs/') &&
      page !== 'docs/README.md' &&
      !page.startsWith('docs/adr/') &&
      !led.has(page),
  );
  expect(unled).toEqual([]);
});
