// The manual pages: as the commands are, and without a mistake that groff or man finds.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createAgentProgram } from '../../agent/program.ts';
import { manualPages } from '../../cli/man/pages.ts';
import { createProgram } from '../../cli/program.ts';
import { walk } from '../../cli/tree.ts';
import { describeWith } from '../tools/machine.ts';

const pages = [...manualPages()];

describe.each(pages)('%s', (file, text) => {
  it('is as the commands are (npm run man)', () => {
    expect(readFileSync(file, 'utf8')).toBe(text);
  });
});

it.each<readonly [string, Command]>([
  ['selkie.1', createProgram()],
  ['selkie-agent.8', createAgentProgram()],
])('%s names every command and every option, and no other', (name, program) => {
  const page = (pages.find(([file]) => file.endsWith(name))?.[1] ?? '').replaceAll('\\-', '-');
  const tree = walk(program);
  for (const { command, path } of tree.filter((each) => each.command.commands.length === 0))
    expect(page).toContain(
      `.SS ${path.slice(1).join(' ')}\n\\fB${path.join(' ')}\\fR`.replace(command.name(), command.name()),
    );
  const options = new Set(tree.flatMap(({ command }) => command.options.map(({ long }) => long)));
  const [body = ''] = page.split('.SH INSTALLATION');
  for (const long of options) expect(body).toContain(long);
  for (const [long] of body.matchAll(/(?<![\w-])--[a-z][a-z0-9-]+/g))
    expect([...options, '--help', '--version', '--no-push']).toContain(long);
});

describeWith(['groff'], 'groff', () => {
  it.each(pages.map(([file]) => file))('finds no mistake in %s', (file) => {
    const command = `LC_ALL=C.UTF-8 groff -man -Tutf8 -ww -P-c -P-b -P-u -P-o -rLL=80n "${file}" 2>&1`;
    const text = execFileSync('sh', ['-c', command], { encoding: 'utf8' });
    expect(text).not.toMatch(/warning|error:/);
    expect(text).toMatch(/^COMMANDS$/m);
    const long = text.split('\n').filter((line) => line.length > 80);
    expect(long).toEqual([]);
  });
});
