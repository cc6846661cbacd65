// What `selkie-agent adopt` shows: each key with what was found of it, the entries for fleet.yaml, and the rows for the
// agent's own configuration. Pure.
import { stringify } from 'yaml';
import type { Findings } from './find.ts';
import type { Judged, ReadKey } from './judge.ts';

export const isAdoptable = (key: Judged): key is Judged & { readonly read: ReadKey } =>
  key.refused === undefined && key.read !== undefined;

const kind = ({ algorithm, bits }: ReadKey): string =>
  algorithm === 'ed25519' ? 'Ed25519' : `RSA, ${bits} bits`;

const keyLines = (key: Judged): readonly string[] => [
  `${key.domain}`,
  `  selector ${key.selector}${key.read === undefined ? '' : `, ${kind(key.read)}`}`,
  `  key file ${key.file}, named by ${key.by}`,
  ...(key.record === undefined ? [] : [`  record: ${key.record}`]),
  ...(key.refused === undefined ? [] : [`  ✗ not adopted: ${key.refused}`]),
  ...key.warnings.map((warning) => `  ! ${warning}`),
];

/** The `domains:` entries for fleet.yaml. */
export const fleetEntries = (keys: readonly Judged[]): string => {
  const domains = Map.groupBy(keys.filter(isAdoptable), ({ domain }) => domain);
  return stringify(
    {
      domains: Object.fromEntries(
        [...domains].map(([domain, own]) => [
          domain,
          { adopted: own.map(({ selector, read }) => ({ selector, publicKey: read.publicKey })) },
        ]),
      ),
    },
    { lineWidth: 0 },
  );
};

/** Rows for the agent's configuration. */
const signingTable = (table: Findings['table']): string =>
  stringify({ signing: { table } }, { lineWidth: 0 });

const section = (title: string, text: string): readonly string[] => ['', title, text.trimEnd()];

/** @param config the agent's configuration file, as messages name it */
export const reportLines = (
  judged: readonly Judged[],
  { table, remarks }: Pick<Findings, 'table' | 'remarks'>,
  config: string,
): readonly string[] => [
  ...judged.flatMap(keyLines),
  ...remarks.map((remark) => `! ${remark}`),
  ...(judged.some(isAdoptable) ? section('# Add this to fleet.yaml:', fleetEntries(judged)) : []),
  ...(table.length > 0
    ? section(`# Add this to ${config}, so that the same mail is signed:`, signingTable(table))
    : []),
];
