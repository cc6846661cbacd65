// Findings from zones as others keep them: master files (RFC 1035 §5) and octoDNS's YAML. Reads the files that are named.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { parseValue } from '../../core/dkim/txt.ts';
import { describe, SelkieError } from '../../core/errors.ts';
import { isDomainName, lowerName } from '../../core/names.ts';
import { dnsName } from '../../fleet/name.ts';
import { type Findings, type FoundRecord, keysIn } from './findings.ts';
import { readZoneFile } from './zone-file.ts';

const read = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new SelkieError('not-found', `${file} cannot be read: ${describe(cause)}`, { cause });
  }
};

const inFolder = (path: string, isOurs: (name: string) => boolean): readonly string[] => {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return [path];
  const files = readdirSync(path).filter(isOurs).toSorted();
  if (files.length === 0)
    throw new SelkieError('not-found', `${path} has no such files: name them one by one`);
  return files.map((name) => join(path, name));
};

interface Other {
  readonly name: string;
  readonly type: string;
  readonly where: string;
}

const findingsOf = (zone: string, texts: readonly FoundRecord[], others: readonly Other[]): Findings => {
  const { keys, remarks } = keysIn(texts);
  const aliases = others.filter(({ type, name }) => type === 'CNAME' && name.includes('._domainkey.'));
  // Whoever takes mail at the zone's own name signs for it too, as a rule.
  const hasMail = others.some(({ type, name }) => type === 'MX' && name === zone);
  return {
    zones: [zone],
    domains: hasMail && isDomainName(zone) ? [zone] : [],
    keys,
    remarks: [
      ...remarks,
      ...aliases.map(
        ({ name, where }) => `${where}: ${name} is a CNAME: somebody else keeps that key; it is passed over`,
      ),
    ],
  };
};

/** @param zone its name, where the file does not say it  @throws not-found; invalid, with file and line */
export const importZoneFile = (path: string, zone: string | undefined): Findings => {
  const found = readZoneFile(read(path), path, zone);
  const at = (line: number): string => `${path}:${line}`;
  return findingsOf(
    found.zone,
    found.records
      .filter(({ type }) => type === 'TXT')
      // RFC 6376 §3.6.2.2: strings are joined with nothing between.
      .map(({ name, data, line }) => ({ name, value: data.join(''), where: at(line) })),
    found.records.map(({ name, type, line }) => ({ name, type, where: at(line) })),
  );
};

/** octoDNS writes `\;` for a semicolon; a value may stand there cut and quoted, as a zone file has it. */
const octodnsValue = (text: string): string => {
  const value = text.replaceAll('\\;', ';');
  return /^".*"$/s.test(value) ? parseValue(value, 'zone') : value;
};

/** `example.jp.yaml`, as octoDNS's YamlProvider names a zone's file. */
const zoneIn = (path: string, zone: string | undefined): string => {
  const named = dnsName(zone ?? basename(path).replace(/\.ya?ml$/, ''));
  if ('wrong' in named)
    throw new SelkieError(
      'invalid',
      `${path}: octoDNS names a zone's file by the zone, such as example.jp.yaml, and '${basename(path)}' ${named.wrong}: give --zone`,
    );
  return named.name;
};

const importOctodnsFile = (path: string, given: string | undefined): Findings => {
  const zone = zoneIn(path, given);
  const lines = new LineCounter();
  const document = parseDocument(read(path), { lineCounter: lines, uniqueKeys: true });
  const at = (offset: number | undefined): string => `${path}:${lines.linePos(offset ?? 0).line}`;
  const [error] = document.errors;
  if (error !== undefined)
    throw new SelkieError('invalid', `${at(error.pos[0])}: ${error.message.split('\n')[0]}`);
  const root = document.contents;
  if (root === null) return findingsOf(zone, [], []);
  if (!isMap(root)) throw new SelkieError('invalid', `${at(root.range?.[0])}: it must be a map of names`);
  const texts: FoundRecord[] = [];
  const others: Other[] = [];
  /** What an alias points to, in its place. */
  const real = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);
  for (const { key, value } of root.items) {
    const host = isScalar(key) ? String(key.value ?? '') : '';
    const name = lowerName(host === '' || host === '@' ? zone : `${host}.${zone}`);
    const records = real(value);
    for (const item of isSeq(records) ? records.items.map(real) : [records]) {
      if (!isMap(item)) {
        const offset = isScalar(key) ? key.range?.[0] : undefined;
        throw new SelkieError('invalid', `${at(offset)}: ${name} must be a record, or a list of records`);
      }
      const where = at(item.range?.[0]);
      const type = String(item.get('type') ?? '').toUpperCase();
      if (type === '') throw new SelkieError('invalid', `${where}: the record of ${name} has no type`);
      others.push({ name, type, where });
      if (type !== 'TXT') continue;
      const held = real(item.get('values', true) ?? item.get('value', true));
      const values = isSeq(held) ? held.items.map(real) : [held];
      for (const one of values) {
        if (!isScalar(one) || typeof one.value !== 'string')
          throw new SelkieError('invalid', `${where}: the TXT record of ${name} has no value that is text`);
        texts.push({ name, value: octodnsValue(one.value), where: at(one.range?.[0]) });
      }
    }
  }
  return findingsOf(zone, texts, others);
};

/** A file of one zone, or a folder of them.  @throws not-found; invalid, with file and line */
export const importOctodns = (path: string, zone: string | undefined): readonly Findings[] =>
  inFolder(path, (name) => /\.ya?ml$/.test(name)).map((file) => importOctodnsFile(file, zone));
