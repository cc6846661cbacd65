// Which keys an OpenDKIM signs with, from its configuration and tables, and for whom; and how its SigningTable is said in
// this agent's `signing.table`. Reads text through `read` only.
import { describe, SelkieError } from '../../core/errors.ts';
import { isDnsName, isDomainName, lowerName } from '../../core/names.ts';
import type { OpendkimConf } from '../opendkim/conf.ts';
import { type KeyRow, keyRows, keyTableFaults } from '../opendkim/key-table.ts';
import { type SigningRow, signingIndex, signingRow } from '../opendkim/signing-table.ts';
import { parseTable, type TableType, tablePlace } from '../opendkim/table.ts';
import type { SigningTableRow } from '../signing/signing-table.ts';

/** A key that OpenDKIM signs with. */
export interface FoundKey {
  /** Lower case, as the selector: DNS knows no difference. */
  readonly domain: string;
  readonly selector: string;
  /** Its private half. */
  readonly file: string;
  /** What of the configuration names it, for people. */
  readonly by: string;
}

export interface Findings {
  /** In the order in which they were found; each domain and selector once. */
  readonly keys: readonly FoundKey[];
  /** What the agent's `signing.table` must have; empty where everyone is signed for by their own domain. */
  readonly table: readonly SigningTableRow[];
  /** What a person should know. */
  readonly remarks: readonly string[];
}

export interface FindOptions {
  readonly conf: OpendkimConf;
  readonly read: (file: string) => Promise<string>;
  /** For rows that sign for every domain with `%`: which domains those are. */
  readonly domains: readonly string[];
}

/** Of `*@example.jp` and `user@example.jp`; undefined of what holds for more domains than one. */
const domainIn = (pattern: string): string | undefined => {
  const domain = lowerName(pattern.slice(pattern.lastIndexOf('@') + 1));
  return pattern.includes('@') && isDnsName(domain) ? domain : undefined;
};

/** A row of a `file` table as a pattern: opendkim.conf(5), SigningTable. */
const asPattern = (key: string): string => {
  const at = key.lastIndexOf('@');
  const [user, domain] = at < 0 ? ['*', key] : [key.slice(0, at), key.slice(at + 1)];
  return domain === '*' && user === '*' ? '*' : `${user}@${domain.startsWith('.') ? '*' : ''}${domain}`;
};

/** The order in which OpenDKIM asks a `file` table: the address, its domain, the domains above, then all. */
const rank = (pattern: string): number => {
  if (pattern === '*') return 5_000;
  const [user = '', domain = ''] = pattern.split('@');
  if (domain === '*') return 4_000;
  const depth = domain.startsWith('*.') ? 3_000 - 2 * domain.length : 0;
  return depth + (user === '*' ? 1 : 0);
};

/**
 * An author's own domain signs without a row, so a row that says just that is left out; unless a later one, which says
 * otherwise, holds for the domain too: the first that matches counts.
 */
const needed = (table: readonly SigningTableRow[]): readonly SigningTableRow[] => {
  const later: RegExp[] = [];
  return table
    .toReversed()
    .filter(({ match, domain }) => {
      const author = domainIn(match);
      if (author === domain) return later.some((pattern) => pattern.test(author));
      const [, authors = '*'] = /@([^@]*)$/.exec(match) ?? [];
      later.push(new RegExp(`^${authors.replaceAll('.', '\\.').replaceAll('*', '.*')}$`, 'i'));
      return true;
    })
    .toReversed();
};

interface SignedFor extends SigningRow {
  /** As a refile has it. */
  readonly match: string;
  readonly where: string;
  readonly at: number;
}

const readRows = (text: string, type: TableType, file: string): SignedFor[] => {
  const rows = parseTable(text, type).flatMap(({ row }, at): SignedFor[] => {
    const found = row === undefined ? undefined : signingRow(row);
    if (found === undefined) return [];
    const match = type === 'file' ? asPattern(found.pattern) : found.pattern;
    return [{ ...found, match, where: `${file} line ${at + 1} (${found.pattern})`, at }];
  });
  return type === 'file' ? rows.toSorted((a, b) => rank(a.match) - rank(b.match)) : rows;
};

const findInTables = async (
  keyTable: string,
  signingTable: string,
  { read, domains }: FindOptions,
): Promise<Findings> => {
  const [keyPlace, signPlace] = [tablePlace('KeyTable', keyTable), tablePlace('SigningTable', signingTable)];
  const keyLines = parseTable(await read(keyPlace.path), keyPlace.type);
  const named = keyRows(keyLines);
  const text = await read(signPlace.path);
  const index = signingIndex(parseTable(text, signPlace.type), signPlace.type);
  const rows = readRows(text, signPlace.type, signPlace.path);

  const remarks = keyTableFaults(keyLines).map(
    (fault) => `${keyPlace.path}: ${fault}; mail that needs it is put off`,
  );
  const keys = new Map<string, FoundKey>();
  const used = new Set<string>();
  const table: SigningTableRow[] = [];

  const domainsOf = ({ match, at }: SignedFor): readonly string[] => {
    const domain = domainIn(match);
    return domain === undefined
      ? domains.filter((one) => index.find(`postmaster@${one}`)[0] === at)
      : [domain];
  };
  const take = (row: SignedFor, key: KeyRow, author: string | undefined): void => {
    const fill = (part: string): string => part.replaceAll('%', author ?? '');
    const [domain, selector] = [lowerName(fill(key.domain)), lowerName(key.selector)];
    if (!isDomainName(domain) || !isDnsName(selector)) {
      remarks.push(`${keyPlace.path}: ${key.name} (d=${domain}, s=${selector}) are no names of DNS`);
      return;
    }
    if (key.file === undefined) {
      remarks.push(
        `${keyPlace.path}: the key of ${key.name} stands in the table itself; put it into a file, and its path there`,
      );
      return;
    }
    const name = `${domain}/${selector}`;
    if (!keys.has(name)) keys.set(name, { domain, selector, file: fill(key.file), by: row.where });
    if (/[?()[\]{}|\\^$]/.test(row.match))
      remarks.push(`${row.where} is a regular expression: say it in signing.table with * alone`);
    else if (!key.domain.includes('%')) table.push({ match: row.match, domain });
  };

  for (const row of rows) {
    const authors = domainsOf(row);
    const rowNames = row.name === '%' ? authors : [row.name];
    if (rowNames.length === 0)
      remarks.push(`${row.where} signs with a key for each domain (%): name the domains with --domain`);
    for (const name of rowNames) {
      const key = named.get(name);
      if (key === undefined) {
        remarks.push(`${row.where} names ${name}, which ${keyPlace.path} does not have: its mail is put off`);
        continue;
      }
      used.add(name);
      if (!key.domain.includes('%')) take(row, key, domainIn(row.match));
      else if (authors.length === 0)
        remarks.push(`${row.where} signs for every domain (%): name the domains with --domain`);
      else for (const author of authors) take(row, key, author);
    }
    if (/^[^*@]+@/.test(row.match) && domainIn(row.match) !== undefined)
      remarks.push(
        `${row.where}: OpenDKIM may sign for this author only; selkie-agent signs for every author of a domain that it has a key of`,
      );
    if (row.signer !== undefined)
      remarks.push(`${row.where} sets i= to ${row.signer}: signing.identity is what the agent has for it`);
  }
  for (const { name } of named.values())
    if (!used.has(name)) remarks.push(`${keyPlace.path}: nothing signs with ${name}; it is not adopted`);

  return { keys: [...keys.values()], table: needed(table), remarks };
};

/** `Domain` names one, several, or a file of them: opendkim.conf(5). */
const domainList = async (value: string, read: FindOptions['read']): Promise<readonly string[]> => {
  const path = /^(?:(?:re)?file:)?(\/.*)$/.exec(value)?.[1];
  if (path === undefined && /^[a-z]+:/i.test(value) && !/^csl:/i.test(value))
    throw new SelkieError(
      'invalid',
      `Domain is ${value.slice(0, 100)}: name the domains in opendkim.conf itself, or in a file.`,
      { field: 'Domain' },
    );
  const words =
    path === undefined
      ? value.replace(/^csl:/i, '').split(',')
      : parseTable(await read(path), 'file').flatMap(({ row }) => row?.key ?? []);
  return words.map((word) => lowerName(word.trim())).filter((word) => word !== '');
};

const findSingle = async ({ conf, read }: FindOptions): Promise<Findings> => {
  const [domain, selector, file] = ['Domain', 'Selector', 'KeyFile'].map((name) => conf.get(name));
  const absent = ['Domain', 'Selector', 'KeyFile'].filter((name) => (conf.get(name) ?? '') === '');
  if (domain === undefined || selector === undefined || file === undefined || absent.length > 0)
    throw new SelkieError(
      'invalid',
      `${conf.file} signs nothing: it has neither KeyTable and SigningTable, nor ${absent.join(' and ')}.`,
      { field: 'opendkim.config' },
    );
  const names = await domainList(domain, read);
  const bad = [
    ...names.filter((name) => !isDomainName(name)),
    ...(isDnsName(lowerName(selector)) ? [] : [selector]),
  ];
  const subdomains = conf.flag('SubDomains', false);
  return {
    keys: names
      .filter((name) => isDomainName(name) && isDnsName(lowerName(selector)))
      .map((name) => ({ domain: name, selector: lowerName(selector), file, by: `${conf.file} (Domain)` })),
    table: subdomains ? names.map((name) => ({ match: `*@*.${name}`, domain: name })) : [],
    remarks: bad.map((name) => `${conf.file}: ${name} is no name of DNS`),
  };
};

/**
 * @throws SelkieError invalid, with the parameter as its field: nothing signs, a table is of a kind that is not read, a file
 *   cannot be read
 */
export const findKeys = async (options: FindOptions): Promise<Findings> => {
  const { conf, read: readFile } = options;
  const read = async (file: string): Promise<string> => {
    try {
      return await readFile(file);
    } catch (cause) {
      throw new SelkieError(
        'invalid',
        `${file}, which ${conf.file} names, cannot be read: ${describe(cause)}`,
        {
          cause,
        },
      );
    }
  };
  const [keyTable, signingTable] = [conf.get('KeyTable'), conf.get('SigningTable')];
  const found =
    keyTable !== undefined && signingTable !== undefined
      ? await findInTables(keyTable, signingTable, { ...options, read })
      : await findSingle({ ...options, read });
  const lone =
    (keyTable === undefined) === (signingTable === undefined)
      ? []
      : [`${conf.file} has only one of KeyTable and SigningTable: OpenDKIM does not start so`];
  const mode = conf.get('Mode') ?? 'sv';
  const idle = mode.includes('s') ? [] : [`${conf.file} only verifies (Mode ${mode}): nothing was signed`];
  const several = conf.flag('MultipleSignatures', false)
    ? [`${conf.file} has MultipleSignatures: selkie-agent signs by the first row that matches`]
    : [];
  return { ...found, remarks: [...lone, ...idle, ...several, ...found.remarks] };
};
