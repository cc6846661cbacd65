import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { rspamdConfiguration } from '../../../agent/drivers/rspamd/configuration.ts';
import { missingInRspamd } from '../../../agent/drivers/rspamd/missing.ts';
import { temporaryFolder } from '../../tools/temporary-folder.ts';

const shared = '/var/lib/rspamd/selkie';

const written = (): string => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'local.d'));
  for (const { path, content } of rspamdConfiguration(shared)) writeFileSync(join(folder, path), content);
  return folder;
};
const missing = async (folder: string, of = shared): Promise<string[]> =>
  (await missingInRspamd(of, folder)).map(({ path }) => path);

it('where rspamd has nothing of it, all is missing', async () => {
  expect(await missing(temporaryFolder())).toEqual([
    'local.d/dkim_signing.conf',
    'selkie.lua',
    'rspamd.local.lua',
  ]);
});

it('nothing is, where all is there, among lines of others', async () => {
  const folder = written();
  appendFileSync(join(folder, 'local.d/dkim_signing.conf'), 'sign_headers = "from:to";\n');
  appendFileSync(join(folder, 'rspamd.local.lua'), '-- ours\n');
  expect(await missing(folder)).toEqual([]);
});

it.each([
  ['a setting with another value', 'local.d/dkim_signing.conf', 'selector_map = "/x";\npath = "/y";\n'],
  [
    'a setting that is commented out',
    'rspamd.local.lua',
    "-- dofile(rspamd_paths['LOCAL_CONFDIR'] .. '/selkie.lua')\n",
  ],
  ['an older file of ours', 'selkie.lua', '-- Selkie\n'],
])('%s is missing', async (_, path, content) => {
  const folder = written();
  writeFileSync(join(folder, path), content);
  expect(await missing(folder)).toEqual([path]);
});

it('another shared folder is another configuration', async () => {
  expect(await missing(written(), '/srv/keys')).toEqual(['local.d/dkim_signing.conf', 'selkie.lua']);
});
