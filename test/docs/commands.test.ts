// Every command of the tutorials and how-tos: run as it stands in a sandbox, from the top of its page to the bottom; or, where it
// needs an AWS account or a mail host, held against what its program says of itself.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeWith } from '../tools/machine.ts';
import { faultOf, wordsOf } from './known-commands.ts';
import { openSandbox, type Sandbox } from './sandbox.ts';
import { type ShellBlock, shellBlocks } from './shell-blocks.ts';

const docs = new URL('../../docs/', import.meta.url).pathname;
const pages = ['tutorial', 'how-to'].flatMap((folder) =>
  readdirSync(join(docs, folder)).map((name) => `${folder}/${name}`),
);
const blocksOf = (page: string): readonly ShellBlock[] => shellBlocks(join(docs, page));
const isRun = ({ how }: ShellBlock): boolean => how === 'here' || how === 'stopped';

/** Ends the Selkie that runs beside it where the page says so, and has it run where it does not. */
const runBlock = async (sandbox: Sandbox, { how, commands }: ShellBlock): Promise<string> => {
  let said = '';
  if (how === 'stopped') await sandbox.stop();
  for (const command of commands) {
    // Installed is the repository that the test runs in.
    if (command === 'npm ci') expect(await faultOf(command)).toBeUndefined();
    else if (command === 'npm start') await sandbox.start();
    else {
      if (how === 'here') await sandbox.start();
      said += await sandbox.run(command);
    }
  }
  return said;
};

describe('commands of the documentation', () => {
  test('each block says how it is tested, and there are some of each kind', () => {
    expect(pages.length).toBeGreaterThan(8);
    const all = pages.flatMap((page) => blocksOf(page).map((block) => ({ page, ...block })));
    expect(all.filter(({ how }) => how === undefined).map(({ page, line }) => `${page}:${line}`)).toEqual([]);
    for (const how of ['here', 'stopped', 'checked'])
      expect(
        all.some((block) => block.how === how),
        how,
      ).toBe(true);
    expect(all.filter(({ commands }) => commands.length === 0)).toEqual([]);
  });

  test.each([
    ['npm run -s selkie -- rotat example.jp', /no command rotat/],
    ['npm run -s selkie -- emergency', /takes 1 to 1 arguments/],
    ['npm run -s selkie -- rotate example.jp --now', /no --now/],
    ['npm run -s selkie -- rotate example.jp --reason', /wants a value/],
    ['npm run nothing', /no npm run nothing/],
    ['npx cdk deplo', /no deplo/],
    ['npx cdk deploy -c alarmMail=x', /no setting alarmMail/],
    ['aws secretsmanager restore-secrets --secret-id x', /no operation/],
    ['aws secretsmanager restore-secret --secret x', /no option secret/],
    ['aws secretsmanager restore-secret', /wants SecretId/],
    ['sudo selkie-agent setup --appply', /no --appply/],
    ['sudo systemctl enable selkie', /no package has the unit/],
    ['rm -rf /', /rm is not known here/],
  ])('a wrong one is noticed: %s', { timeout: 60_000 }, async (command, says) => {
    expect(await faultOf(command)).toMatch(says);
  });

  test('words are those of a shell', () => {
    expect(wordsOf('a "b c" --d=e "f"')).toEqual(['a', 'b c', '--d=e', 'f']);
  });
});

describeWith(['botocore'], 'commands that need an account or a mail host', () => {
  test.each(pages)('%s', { timeout: 120_000 }, async (page) => {
    const faults: string[] = [];
    for (const { how, line, commands } of blocksOf(page))
      for (const command of how === 'checked' ? commands : []) {
        const fault = await faultOf(command);
        if (fault !== undefined) faults.push(`${page}:${line}: ${command}: ${fault}`);
      }
    expect(faults).toEqual([]);
  });
});

describeWith(['dig'], 'commands that are run', () => {
  test.each(pages.filter((page) => blocksOf(page).some(isRun)))('%s', { timeout: 240_000 }, async (page) => {
    const sandbox = await openSandbox();
    try {
      for (const block of blocksOf(page).filter(isRun)) {
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
  });
});
