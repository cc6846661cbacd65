// What an administrator has yet to write into rspamd's configuration. Reads that only: rspamd's files are the administrator's.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RspamdFile, rspamdConfiguration } from './configuration.ts';

/** Where Debian's and the project's own packages have it. */
export const rspamdConfigFolder = '/etc/rspamd';

const settings = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^(?:#|--)/.test(line));

const isThere = ({ kind, content }: RspamdFile, present: string): boolean => {
  if (kind === 'file') return present === content;
  const lines = new Set(settings(present));
  return settings(content).every((line) => lines.has(line));
};

/**
 * Those of `rspamdConfiguration` that are not there, or not so.
 * @param folder shared by the agent and rspamd @param configFolder rspamd's
 */
export const missingInRspamd = async (
  folder: string,
  configFolder: string = rspamdConfigFolder,
): Promise<readonly RspamdFile[]> => {
  const missing: RspamdFile[] = [];
  for (const file of rspamdConfiguration(folder)) {
    const present = await readFile(join(configFolder, file.path), 'utf8').catch(() => '');
    if (!isThere(file, present)) missing.push(file);
  }
  return missing;
};
