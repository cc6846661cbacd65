// Every command of the tutorials, the how-tos and the README that one machine can run: as it stands in a sandbox, from the top of its
// page to the bottom. Those that need AWS or a mail host are run by deployed.test.ts; those that nothing here can run are in
// not-run.ts, and are held against what their programs say of themselves.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeWith } from '../tools/machine.ts';
import { faultOf } from './known-commands.ts';
import { notRun } from './not-run.ts';
import { openSandbox, type Sandbox } from './sandbox.ts';
import { documentedPages, hows, type ShellBlock, shellBlocksOf } from './shell-blocks.ts';

const isRun = ({ how }: ShellBlock): boolean => how === 'here' || how === 'stopped';
const unrunnable = new Set(notRun.map(({ command }) => command));
/** The selector in examples: a date, which for the reader is today. */
const shownSelector = '261124';

/** Ends the Selkie that runs beside it where the page says so, and has it run where it does not. */
const runBlock = async (sandbox: Sandbox, { how, commands }: ShellBlock): Promise<string> => {
  let said = '';
  if (how === 'stopped') await sandbox.stop();
  for (const command of commands) {
    if (unrunnable.has(command)) continue;
    if (/^(npm ci && )?npm start$/.test(command)) await sandbox.start();
    else {
      if (how === 'here') await sandbox.start();
      // There is nobody who could be asked.
      const sure = / rotate --pool /.test(command) ? ' --yes' : '';
      said += await sandbox.run(`${command.replaceAll(shownSelector, sandbox.selector())}${sure}`);
    }
  }
  return said;
};

describe('commands of the documentation', () => {
  test('each block says how it is tested, and there are some of each kind', () => {
    expect(documentedPages.length).toBeGreaterThan(8);
    const all = documentedPages.flatMap((page) => shellBlocksOf(page).map((block) => ({ page, ...block })));
    expect(all.filter(({ how }) => how === undefined).map(({ page, line }) => `${page}:${line}`)).toEqual([]);
    expect(new Set(all.map(({ how }) => how))).toEqual(new Set(hows));
    expect(all.filter(({ commands }) => commands.length === 0)).toEqual([]);
    // A page whose commands are run by a test of its own: that one looks for commands that it left out.
    for (const { page } of all.filter(({ how }) => how === 'own'))
      expect(existsSync(join(import.meta.dirname, page.replace(/^.*\/(.*)\.md$/, '$1.test.ts'))), page).toBe(
        true,
      );
  });

  test('those that are not run are on a page, once in the list, and would be understood', async () => {
    const shown = new Set(
      documentedPages.flatMap((page) => shellBlocksOf(page).flatMap(({ commands }) => commands)),
    );
    expect(unrunnable.size).toBe(notRun.length);
    for (const { command, why } of notRun) {
      expect(shown.has(command), `${command} is on no page any more: take it out of not-run.ts`).toBe(true);
      expect(why.length).toBeGreaterThan(20);
      for (const one of command.split(' && ')) expect(await faultOf(one), one).toBeUndefined();
    }
  }, 60_000);

  test.each([
    ['npm run nothing', /nobody runs npm run nothing/],
    ['npx cdk deplo', /no deplo/],
    ['npx cdk deploy -c alarmMail=x', /no setting alarmMail/],
    ['npx cdk deploy --all', /--all {2}is not looked at/],
    ['rm -rf /', /is not known here/],
  ])('a wrong one is noticed: %s', { timeout: 60_000 }, async (command, says) => {
    expect(await faultOf(command)).toMatch(says);
  });
});

describeWith(['dig'], 'commands that are run', () => {
  test.each(documentedPages.filter((page) => shellBlocksOf(page).some(isRun)))(
    '%s',
    { timeout: 240_000 },
    async (page) => {
      const sandbox = await openSandbox();
      try {
        for (const block of shellBlocksOf(page).filter(isRun)) {
          const said = await runBlock(sandbox, block);
          // What the page says of what is seen.
          if (block.commands.some((command) => command.startsWith('dig ')))
            expect(said).toContain('v=DKIM1; k=rsa; p=');
          if (block.commands.includes('npm start -- --once')) {
            const lines = said.split('\n').filter((line) => /\b(before|during|after)\b/.test(line));
            expect(lines.length).toBeGreaterThanOrEqual(3);
            expect(lines.filter((line) => !line.includes('pass'))).toEqual([]);
          }
        }
      } finally {
        await sandbox.close();
      }
    },
  );
});
