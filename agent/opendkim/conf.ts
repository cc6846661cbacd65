// Reads opendkim.conf(5) as OpenDKIM does: one parameter a line, names in any case, `#` ends a line, the last word counts.
// Reads that file and those that it includes, nothing else.
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';
import { describe, SelkieError } from '../../core/errors.ts';

export interface Setting {
  /** As written. */
  readonly name: string;
  readonly value: string;
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

export interface OpendkimConf {
  readonly file: string;
  /** In order of appearance, included files in their place. */
  readonly settings: readonly Setting[];
  /** The value that counts; undefined where it is not set. */
  get(name: string): string | undefined;
  /** Of a Boolean parameter: by its first letter, as OpenDKIM reads it. */
  flag(name: string, otherwise: boolean): boolean;
}

const blank = /[ \t]+/;

/** One file's settings, `Include` among them. */
export const parseConf = (text: string, file: string): Setting[] =>
  text.split('\n').flatMap((whole, at) => {
    const line = whole.replace(/[#\r].*$/s, '').replace(/^[ \t]+|[ \t]+$/g, '');
    const [name = ''] = line.split(blank, 1);
    const value = line.slice(name.length).replace(/^[ \t]+/, '');
    return name === '' ? [] : [{ name, value, file, line: at + 1 }];
  });

const confOf = (file: string, settings: readonly Setting[]): OpendkimConf => {
  const get = (name: string): string | undefined =>
    settings.findLast((setting) => setting.name.toLowerCase() === name.toLowerCase())?.value;
  return {
    file,
    settings,
    get,
    flag(name, otherwise) {
      const value = get(name);
      return value === undefined || value === '' ? otherwise : /^[ty1]/i.test(value);
    },
  };
};

/** How deep OpenDKIM lets files include each other (its MAXLEVEL). */
const deepest = 5;

const readSettings = async (file: string, level: number): Promise<Setting[]> => {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new SelkieError('invalid', `OpenDKIM's configuration ${file} cannot be read: ${describe(error)}`, {
      field: 'opendkim.config',
      cause: error,
    });
  }
  const settings: Setting[] = [];
  for (const setting of parseConf(text, file)) {
    if (setting.name.toLowerCase() !== 'include') {
      settings.push(setting);
      continue;
    }
    if (level === deepest)
      throw new SelkieError('invalid', `${file} line ${setting.line}: files include each other too deep.`);
    // OpenDKIM would look from where it was started, which only its unit knows.
    const path = isAbsolute(setting.value) ? setting.value : resolve(dirname(file), setting.value);
    settings.push(...(await readSettings(path, level + 1)));
  }
  return settings;
};

/** @throws SelkieError invalid where it, or a file that it includes, cannot be read */
export const readConf = async (file: string): Promise<OpendkimConf> =>
  confOf(file, await readSettings(file, 0));
