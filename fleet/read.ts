// Reads fleet.yaml: the one place that says which domains, zones, pools, hosts and policies exist. Touches that file only.

import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { SelkieError } from '../core/errors.ts';
import type { Fleet } from '../core/policy.ts';
import { unknownField } from './check.ts';
import { FleetError, type Problem } from './problems.ts';
import { resolver } from './resolve.ts';
import { fleetFile } from './schema.ts';
import { parseSource } from './source.ts';

export interface Origin {
  /** How messages name the file. */
  readonly file: string;
  /** Milliseconds since 1970 of its last modification. */
  readonly version: number;
}

const sections = Object.keys(fleetFile.shape);

const mends: Readonly<Record<string, string>> = {
  domains: 'add `domains:` and below it, indented, a line such as `example.jp:`',
  zones: 'add `zones:` and below it `example.jp: { id: Z0123456789ABC }`',
  pools: 'add a line such as `pools: [outbound]`',
};

/** @throws FleetError with every problem of the file: its line, column, field, and the mend */
export const parseFleet = (text: string, origin: Origin): Fleet => {
  const source = parseSource(text);
  const problems: Problem[] = [...source.problems];
  const { value } = source;
  const { blame, ...resolve } = resolver(source, problems);
  if (value === undefined && problems.length > 0) throw new FleetError(origin.file, problems);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    blame([], `The file must be a map of ${sections.join(', ')}; docs/fleet.example.yaml shows one`);
    throw new FleetError(origin.file, problems);
  }
  const file = value as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(file))
    if (!sections.includes(name)) blame([name], unknownField(name, sections));
  for (const [name, mend] of Object.entries(mends))
    if (file[name] === undefined) blame([], `${name} is missing: ${mend}`);

  const base = resolve.defaults(file.defaults);
  const zones = resolve.zones(file.zones);
  const pools = resolve.pools(file.pools);
  const hosts = resolve.hosts(file.hosts, pools);
  const domains = resolve.domains(file.domains, base, zones, pools, hosts);
  const vault = resolve.vault(file.vault);
  if (problems.length > 0) throw new FleetError(origin.file, problems);
  return {
    version: origin.version,
    domains,
    zones,
    pools,
    hosts,
    ...(vault === undefined ? {} : { vault }),
  };
};

/**
 * The fleet of the file at `path`; its version is the file's modification time.
 * @throws not-found where there is no such file; FleetError
 */
export const readFleet = (path: string): Fleet => {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    throw new SelkieError(
      'not-found',
      `The fleet file ${path} cannot be read: write one, as docs/fleet.example.yaml shows.`,
      {
        cause,
      },
    );
  }
  try {
    // The time first: text that is newer than its version is read again, text that is older than it never would be.
    const version = Math.trunc(fstatSync(file).mtimeMs);
    return parseFleet(readFileSync(file, 'utf8'), { file: path, version });
  } finally {
    closeSync(file);
  }
};
