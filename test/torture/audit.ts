// Whether ledger, vault, zone and mail host agree. Reads the state folder of a running `selkie up`, and asks its name
// server; changes nothing. Rows go on while they are looked at: only what is the same before and after is judged.

import { Resolver } from 'node:dns/promises';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openFileVault } from '../../adapters/local/file-vault.ts';
import { openSqliteLedger } from '../../adapters/local/ledger.ts';
import { createNodeKeys } from '../../adapters/node-keys.ts';
import { buildTombstone } from '../../core/dkim/key-record.ts';
import type { DomainRow, Key } from '../../core/key/evidence.ts';
import { isServing } from '../../core/key/state.ts';
import { keyRecordName } from '../../core/names.ts';

const rowsOf = async (dir: string): Promise<readonly DomainRow[]> => {
  const ledger = openSqliteLedger(join(dir, 'ledger.sqlite'), Date.now);
  try {
    return (await ledger.domains({ limit: 500 })).rows;
  } finally {
    ledger.close();
  }
};

/** Whether the ledger says that a key was declared compromised; undefined where it cannot be read at present. */
export const isCompromised = async (
  dir: string,
  domain: string,
  selector: string,
): Promise<boolean | undefined> => {
  const rows = await rowsOf(dir).catch(() => undefined);
  if (rows === undefined) return undefined;
  const row = rows.find((each) => each.domain === domain);
  return row?.keys.find((key) => key.selector === selector)?.evidence.compromised !== undefined;
};

/** Names of all TXT records in the embedded server's file. */
const namesIn = (dir: string): readonly string[] => {
  const db = new DatabaseSync(join(dir, 'zones.sqlite'), { readOnly: true });
  try {
    return db
      .prepare('SELECT path FROM txt')
      .all()
      .map(({ path }) => String(path).split('.').toReversed().join('.'));
  } finally {
    db.close();
  }
};

/** What the name server shows; none where there is nothing. */
const shown = async (dnsPort: number, name: string): Promise<readonly string[]> => {
  const dns = new Resolver({ timeout: 2_000, tries: 3 });
  dns.setServers([`127.0.0.1:${dnsPort}`]);
  try {
    return (await dns.resolveTxt(name)).map((strings) => strings.join(''));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTFOUND' || code === 'ENODATA') return [];
    throw error;
  }
};

/** What the record must be by the key's evidence; undefined while a change of it is under way. */
const expected = ({ evidence: e, algorithm }: Key): readonly string[] | undefined => {
  if (e.publishIntended === undefined || e.deleted !== undefined) return [];
  if (e.removalIntended !== undefined) return undefined;
  if (e.tombstoned !== undefined) return [buildTombstone(algorithm)];
  if (e.revocationIntended !== undefined || e.created === undefined) return undefined;
  return [e.publishIntended.value];
};

interface Held {
  readonly domain: string;
  readonly selector: string;
}

const secretsIn = (dir: string): readonly Held[] => {
  const keys = join(dir, 'vault', 'keys');
  return readdirSync(keys).flatMap((domain) =>
    readdirSync(join(keys, domain))
      .filter((file) => !file.startsWith('.'))
      .map((selector) => ({ domain, selector })),
  );
};

export interface Finding {
  readonly violations: readonly string[];
  readonly keys: number;
  readonly records: number;
  readonly secrets: number;
  /** Secrets that no row refers to. */
  readonly orphans: number;
}

const findingOf = (violations: readonly string[], keys: number, dir: string, orphans: number): Finding => ({
  violations,
  keys,
  records: namesIn(dir).length,
  secrets: secretsIn(dir).length,
  orphans,
});

const auditKey = async (
  dir: string,
  dnsPort: number,
  domain: string,
  key: Key,
): Promise<readonly string[]> => {
  const wrong: string[] = [];
  const { evidence: e, selector } = key;
  const name = keyRecordName(selector, domain);
  const wanted = expected(key);
  const answer = await shown(dnsPort, name);
  if (wanted !== undefined && JSON.stringify(wanted) !== JSON.stringify(answer))
    wrong.push(
      `${name}: the ledger says ${wanted[0] ?? 'nothing'}, the name server ${answer.join(' and ') || 'nothing'}`,
    );
  if (e.stored !== undefined && e.destroyed === undefined)
    try {
      const secret = await openFileVault(join(dir, 'vault')).read(e.stored.secret);
      const { publicKey, fingerprint } = createNodeKeys().publicOf(secret);
      if (publicKey !== e.stored.publicKey || fingerprint !== e.stored.fingerprint)
        wrong.push(
          `invariant 5: the vault holds another key for ${selector} of ${domain} than the ledger knows`,
        );
    } catch (error) {
      wrong.push(`invariant 5: ${selector} of ${domain} cannot be read: ${(error as Error).message}`);
    }
  return wrong;
};

/** Secrets and records that the ledger does not know. */
const auditRest = (dir: string, rows: readonly DomainRow[]): { violations: string[]; orphans: number } => {
  const violations: string[] = [];
  let orphans = 0;
  const known = new Map(
    rows.flatMap((row) => row.keys.map((key) => [keyRecordName(key.selector, row.domain), key] as const)),
  );
  for (const name of namesIn(dir)) {
    const key = known.get(name);
    if (key === undefined || key.evidence.removed !== undefined)
      violations.push(
        `the zone has a record ${name} that the ledger ${key === undefined ? 'does not know' : 'says is removed'}`,
      );
  }
  for (const { domain, selector } of secretsIn(dir)) {
    const key = known.get(keyRecordName(selector, domain));
    if (key !== undefined && key.evidence.destroyed === undefined) continue;
    orphans += 1;
    violations.push(
      `the vault holds ${selector} of ${domain}, which the ledger ${key === undefined ? 'does not know' : 'says is destroyed'}`,
    );
  }
  return { violations, orphans };
};

/** The host's own key store holds and signs with what the ledger says, and nothing else is left on its disk: invariants 3, 5, 6. */
const auditHost = (dir: string, rows: readonly DomainRow[]): readonly string[] => {
  const store = join(dir, 'agent', 'store');
  const index = JSON.parse(readFileSync(join(store, 'index.json'), 'utf8')) as {
    keys: Record<string, [file: string, duty: string]>;
  };
  const held = Object.entries(index.keys);
  const signing = held.flatMap(([name, [, duty]]) => (duty === 'signing' ? [name] : [])).toSorted();
  const wanted = rows
    .flatMap((row) => row.keys.filter(isServing).map((key) => `${row.domain}/${key.selector}`))
    .toSorted();
  const wrong: string[] = [];
  if (JSON.stringify(signing) !== JSON.stringify(wanted))
    wrong.push(`the host signs with ${signing.join(', ')}; the ledger says ${wanted.join(', ')}`);
  const erased = rows.flatMap((row) =>
    row.keys
      .filter(({ evidence }) => evidence.erased !== undefined || evidence.destroyed !== undefined)
      .map(({ selector }) => `${row.domain}/${selector}`),
  );
  for (const [name] of held)
    if (erased.includes(name))
      wrong.push(`invariant 5: the host holds ${name}, which the ledger says is erased`);
  const files = readdirSync(join(store, 'keys'));
  const named = held.map(([, [file]]) => file);
  const left = files.filter((file) => !named.includes(file));
  if (left.length > 0)
    wrong.push(`the host's disk has ${left.length} key files that its index does not name`);
  return wrong;
};

/** Looks again while rows change under it. */
const tries = 20;

export const audit = async (dir: string, dnsPort: number): Promise<Finding> => {
  for (let n = 1; ; n += 1) {
    const rows = await rowsOf(dir);
    const violations: string[] = [];
    for (const row of rows)
      for (const key of row.keys) violations.push(...(await auditKey(dir, dnsPort, row.domain, key)));
    const rest = auditRest(dir, rows);
    violations.push(...rest.violations, ...auditHost(dir, rows));
    const after = await rowsOf(dir);
    const same = after.every((row) =>
      rows.some(({ domain, version }) => domain === row.domain && version === row.version),
    );
    if (!same && n < tries) continue;
    if (!same) violations.push(`the rows did not stand still for one look in ${tries}`);
    const keys = rows.reduce((sum, row) => sum + row.keys.length, 0);
    return findingOf(violations, keys, dir, rest.orphans);
  }
};
