// /usr/share/doc/selkie-agent/copyright: who wrote what is in the package, and on what terms (Debian's machine-readable format
// 1.0, which RPM's users read as well). Pure.
import type { Notice } from './bundle.ts';

/** A text as the value of a field: indented, empty lines as `.`. */
const folded = (text: string): string =>
  text
    .trim()
    .split(/\r?\n/)
    .map((line) => (line.trim() === '' ? ' .' : ` ${line.replaceAll('\t', '    ')}`))
    .join('\n');

/** The lines that name an owner; the years and names are the licence's own. */
const owners = (text: string): readonly string[] => {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const found = lines.filter((line) => /^copyright\s+(\(c\)|©|\d{4})/i.test(line));
  return found.length > 0 ? found : ['see the licence below'];
};

const paragraph = (files: string, { license, text }: Omit<Notice, 'name'>): string =>
  [
    `Files: ${files}`,
    `Copyright: ${owners(text).join('\n ')}`,
    `License: ${license.replace(/[()]/g, '').replaceAll(' OR ', ' or ').replaceAll(' AND ', ' and ')}`,
    folded(text === '' ? 'See the package on npmjs.com.' : text),
  ].join('\n');

/** @param license of the product itself @param node of Node, with all that it includes */
export const copyrightText = (license: string, node: string, notices: readonly Notice[]): string =>
  `${[
    'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: Selkie',
    `Files: *\nCopyright: the authors of Selkie\nLicense: Apache-2.0\n${folded(license)}`,
    paragraph('usr/lib/selkie-agent/node', { license: 'Node', text: node }),
    'Comment: usr/lib/selkie-agent/agent.js includes these packages of npm.',
    ...notices.map(({ name, ...notice }) => paragraph(`usr/lib/selkie-agent/agent.js#${name}`, notice)),
  ].join('\n\n')}\n`;
