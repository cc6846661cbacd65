// Findings from an OpenDKIM on this host: by the readers of `selkie-agent adopt`, which judges each key by its file and its record.
// Of a private key's file nothing but its public half is taken. Asks name servers.
import { readFile } from 'node:fs/promises';
import { createAuthority } from '../../adapters/dns/authority.ts';
import { findKeys } from '../../agent/adopt/find.ts';
import { judgeKey, withoutRivals } from '../../agent/adopt/judge.ts';
import { isAdoptable } from '../../agent/adopt/report.ts';
import { readConf } from '../../agent/opendkim/conf.ts';
import { deepestZone, isWithin } from '../../core/names.ts';
import type { Findings } from './findings.ts';

export interface OpendkimOptions {
  /** The zones that the domains lie in; where none is named, each domain is its own, but for those below another. */
  readonly zones: readonly string[];
  /** In place of those that DNS tells. */
  readonly nameServers: readonly string[];
}

const zonesOf = (domains: readonly string[], named: readonly string[]): readonly string[] => [
  ...new Set(
    domains.map(
      (domain) =>
        deepestZone(domain, named) ??
        domains.filter((other) => isWithin(domain, other)).toSorted((a, b) => a.length - b.length)[0] ??
        domain,
    ),
  ),
];

/** @param path of opendkim.conf  @throws invalid: it, or what it names, cannot be read; nothing signs */
export const importOpendkim = async (
  path: string,
  { zones, nameServers }: OpendkimOptions,
): Promise<Findings> => {
  const conf = await readConf(path);
  const found = await findKeys({ conf, read: (file) => readFile(file, 'utf8'), domains: [] });
  const authority = createAuthority(nameServers.length === 0 ? {} : { nameServers: { '.': nameServers } });
  const judged = [];
  // One after the other: an import has time, and name servers may have limits.
  for (const key of found.keys) judged.push(await judgeKey(key, { look: (name) => authority.look(name) }));
  const last = withoutRivals(judged);
  const domains = [...new Set(last.map(({ domain }) => domain))];
  return {
    zones: zonesOf(domains, zones),
    domains,
    keys: last.filter(isAdoptable).map(({ domain, selector, read }) => ({
      domain,
      selector,
      algorithm: read.algorithm,
      publicKey: read.publicKey,
    })),
    remarks: [
      ...found.remarks,
      ...last.flatMap(({ domain, selector, by, refused, warnings }) => [
        ...(refused === undefined ? [] : [`${by}: ${selector} of ${domain} is not adopted: ${refused}`]),
        ...warnings.map((warning) => `${by}: ${selector} of ${domain}: ${warning}`),
      ]),
    ],
  };
};
