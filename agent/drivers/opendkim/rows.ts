// The rows that Selkie keeps in KeyTable and SigningTable, and how they are put among those of others. Pure.
//
//   KeyTable      selkie/example.jp          example.jp:240128:/…/240128._domainkey.example.jp.pem   the key that signs
//                 selkie/example.jp/240425   example.jp:240425:/…                                    a standby key
//                 selkie/tables              selkie.invalid:t0123456789abcdef:/…/canary.pem
//   SigningTable  *@example.jp                          selkie/example.jp
//                 240425@example.jp.selkie.invalid      selkie/example.jp/240425
//                 t0123456789abcdef@selkie.invalid      selkie/tables
//
// A rotation changes one row of KeyTable; rows of SigningTable, an administrator's own among them (sub-domains, single
// users), name the domain and follow. The reserved addresses lie under .invalid (RFC 2606): only canaries bear them. The
// last pair says which tables are in force: its pattern is one file's mark, its selector the other's, and a mark is never
// the same twice in a row.
import { createHash } from 'node:crypto';
import { keyRow, keyRows } from '../../opendkim/key-table.ts';
import { type SigningRow, signingIndex, signingRow } from '../../opendkim/signing-table.ts';
import { type Line, lineOf, parseTable, printTable, type TableType } from '../../opendkim/table.ts';

const ours = 'selkie/';
const reserved = 'selkie.invalid';
const tablesName = `${ours}tables`;

export interface KeyPlace {
  readonly domain: string;
  readonly selector: string;
  /** Absolute path of the private key. */
  readonly file: string;
}

/** What the tables are to say. */
export interface WantedRows {
  /** By domain, at most one: the key that signs its mail. */
  readonly signing: readonly KeyPlace[];
  /** Keys that only a canary uses. */
  readonly trials: readonly KeyPlace[];
  /** Key of the row that says which tables are in force. */
  readonly canaryKey: string;
}

export interface Tables {
  readonly keyType: TableType;
  readonly keyTable: string;
  readonly signingType: TableType;
  readonly signingTable: string;
}

export interface BuiltTables {
  /** What `tablesAddress` and the answer's selector bear when they are in force. */
  readonly mark: string;
  readonly signingTable: string;
  readonly keyTable: string;
  /** `keyTable` with the rows besides that other tables in force may still name. */
  readonly keyTableMeanwhile: string;
}

const signingName = (domain: string): string => `${ours}${domain}`;
export const trialAddress = ({ domain, selector }: Pick<KeyPlace, 'domain' | 'selector'>): string =>
  `${selector}@${domain}.${reserved}`;
export const tablesAddress = (mark: string): string => `${mark}@${reserved}`;
/** The key that signs a domain by the KeyTable on disk. */
export const servingKeys = (keyTable: string, type: TableType): ReadonlyMap<string, KeyPlace> =>
  new Map(
    [...keyRows(parseTable(keyTable, type)).values()].flatMap(({ name, domain, selector, file }) =>
      name === signingName(domain) && file !== undefined
        ? [[domain, { domain, selector, file }] as const]
        : [],
    ),
  );

/** Whether any row is ours. */
export const namesOurs = ({ keyTable, signingTable }: Tables): boolean =>
  /(^|\s)selkie\//m.test(keyTable) || /(^|\s)selkie\//m.test(signingTable);

interface NamedKey extends KeyPlace {
  readonly name: string;
}

const keyText = ({ name, domain, selector, file }: NamedKey): string =>
  `${name} ${domain}:${selector}:${file}`;

const named = ({ signing, trials }: WantedRows): NamedKey[] => [
  ...signing.map((key) => ({ ...key, name: signingName(key.domain) })),
  ...trials.map((key) => ({ ...key, name: `${ours}${key.domain}/${key.selector}` })),
];

/** Our rows in their places where they are there already, new ones behind all others. @param keep of ours, what else stays */
const putKeys = (
  lines: readonly Line[],
  type: TableType,
  keys: readonly NamedKey[],
  keep: boolean,
): string => {
  const wanted = new Map(keys.map((key) => [key.name, keyText(key)]));
  const done = new Set<string>();
  const kept = lines.flatMap((line): Line[] => {
    const name = line.row?.key;
    if (name === undefined || !name.startsWith(ours)) return [line];
    const text = wanted.get(name);
    if (text === undefined) return keep && keyRow({ key: name, value: line.row?.value ?? '' }) ? [line] : [];
    if (done.has(name)) return [];
    done.add(name);
    const same = line.row?.value === text.slice(name.length + 1);
    return [same ? line : lineOf(text, type)];
  });
  const fresh = [...wanted].filter(([name]) => !done.has(name)).map(([, text]) => lineOf(text, type));
  // In a refile KeyTable a pattern of somebody else's may come first and match ours.
  const at =
    type === 'refile' ? kept.findIndex(({ row }) => row !== undefined && /[*?[(|]/.test(row.key)) : -1;
  return printTable(at < 0 ? [...kept, ...fresh] : kept.toSpliced(at, 0, ...fresh));
};

/** Before a row of somebody else's that names a key of ours while that signs nothing. */
const stoppedMark = '#selkie-stopped# ';

const unmarked = (line: Line, type: TableType): Line | undefined =>
  line.text.startsWith(stoppedMark) ? lineOf(line.text.slice(stoppedMark.length), type) : undefined;

const signingText = ({ pattern, name }: SigningRow): string => `${pattern} ${name}`;

/** The pattern under which SigningTable finds a domain's authors. */
const domainPattern = (domain: string, type: TableType): string =>
  type === 'refile' ? `*@${domain}` : domain;

/** Whether we wrote this row: the shapes above, nothing behind them. */
const isOurs = (row: SigningRow, text: string): boolean => {
  if (text !== signingText(row)) return false;
  const [domain = ''] = row.name.slice(ours.length).split('/');
  return (
    row.pattern.endsWith(`.${reserved}`) ||
    row.pattern.endsWith(`@${reserved}`) ||
    [domain, `*@${domain}`].includes(row.pattern)
  );
};

const putSigning = (
  lines: readonly Line[],
  type: TableType,
  wanted: readonly (SigningRow & { readonly address: string })[],
  known: ReadonlySet<string>,
  adopted: ReadonlyMap<string, string>,
): string => {
  const key = ({ pattern, name }: SigningRow): string => `${pattern.toLowerCase()} ${name}`;
  const left = new Map(wanted.map((row) => [key(row), row]));
  const kept = lines.flatMap((written): Line[] => {
    const line = unmarked(written, type) ?? written;
    const row = line.row === undefined ? undefined : signingRow(line.row);
    if (row === undefined) return [written];
    const successor = adopted.get(row.name);
    if (successor !== undefined) {
      const text = line.text.replace(/^(\s*\S+\s+)[^\s:#]+/, (_, before: string) => `${before}${successor}`);
      if (!known.has(successor)) return [{ text: `${stoppedMark}${text}` }];
      left.delete(key({ ...row, name: successor }));
      return [lineOf(text, type)];
    }
    if (!row.name.startsWith(ours)) return [written];
    if (isOurs(row, line.text)) return left.delete(key(row)) ? [line] : [];
    if (known.has(row.name)) {
      left.delete(key(row));
      return [line];
    }
    return [{ text: `${stoppedMark}${line.text}` }];
  });
  // Before the first row that would be found in its place.
  const index = signingIndex(kept, type);
  const before = new Map<number, Line[]>();
  for (const row of left.values()) {
    const found = index.find(row.address);
    const at =
      type === 'refile'
        ? (found[0] ?? kept.length)
        : (found.find((i) => kept[i]?.row?.key.toLowerCase() === row.pattern.toLowerCase()) ?? kept.length);
    const there = before.get(at) ?? [];
    there.push(lineOf(signingText(row), type));
    before.set(at, there);
  }
  return printTable([
    ...kept.flatMap((line, at) => [...(before.get(at) ?? []), line]),
    ...(before.get(kept.length) ?? []),
  ]);
};

const isTables = ({ row }: Line): boolean =>
  row !== undefined && (row.key === tablesName || row.value === tablesName);

/** The text without the row that bears the mark. */
export const withoutMark = (text: string, type: TableType): string =>
  printTable(parseTable(text, type).filter((line) => !isTables(line)));

/**
 * The tables with our rows as wanted, everybody else's as they were, in order, with their comments. Two things are done
 * to the rows of others: those that name a key of ours which signs nothing are put into a comment until it does, for they
 * would put mail off; and those that name the same key (domain and selector) under a name of its own, as before it was
 * adopted, name it as ours from now on, so that the next rotation moves them too.
 * @param held `domain/selector` of the keys that are ours, of domains that sign or must not
 * @param seen the mark that was last seen in force with what was then on the disk. It is kept where nothing changes; what
 *   anybody else may have put into force by a reload of his own bears it too, so any change takes a new one
 */
export const buildTables = (
  present: Tables,
  rows: WantedRows,
  held: ReadonlySet<string>,
  seen: string | undefined,
): BuiltTables => {
  const { keyType, signingType } = present;
  const keyLines = parseTable(present.keyTable, keyType);
  const signingLines = parseTable(present.signingTable, signingType);
  const keys = named(rows);
  const adopted = new Map(
    [...keyRows(keyLines).values()].flatMap(({ name, domain, selector }) =>
      !name.startsWith(ours) && held.has(`${domain}/${selector}`.toLowerCase())
        ? [[name, signingName(domain)] as const]
        : [],
    ),
  );
  const known = new Set([...keys.map(({ name }) => name), tablesName]);
  const wanted = [
    ...rows.signing.map(({ domain }) => ({
      pattern: domainPattern(domain, signingType),
      name: signingName(domain),
      address: `${ours.slice(0, -1)}@${domain}`,
    })),
    ...rows.trials.map((key) => ({
      pattern: trialAddress(key),
      name: `${ours}${key.domain}/${key.selector}`,
      address: trialAddress(key),
    })),
  ];
  const otherKeys = keyLines.filter((line) => !isTables(line));
  const otherSigning = signingLines.filter((line) => !isTables(line));
  const signing = putSigning(otherSigning, signingType, wanted, known, adopted);

  const marked = (mark: string): BuiltTables => {
    const last: NamedKey = { name: tablesName, domain: reserved, selector: mark, file: rows.canaryKey };
    const address = tablesAddress(mark);
    const row = { pattern: address, name: tablesName, address };
    return {
      mark,
      signingTable: putSigning(
        parseTable(signing, signingType),
        signingType,
        [...wanted, row],
        known,
        new Map(),
      ),
      keyTable: putKeys(otherKeys, keyType, [...keys, last], false),
      keyTableMeanwhile: putKeys(otherKeys, keyType, [...keys, last], true),
    };
  };
  if (seen !== undefined) {
    const same = marked(seen);
    if (same.signingTable === present.signingTable && same.keyTableMeanwhile === present.keyTable)
      return same;
  }
  const hash = createHash('sha256')
    .update(`${present.keyTable}\0${present.signingTable}\0${signing}`)
    .digest('hex');
  return marked(`t${hash.slice(0, 16)}`);
};
