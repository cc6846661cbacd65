// The files that both packages install, laid out in a folder. Reads the repository; writes that folder only.
import {
  chmodSync,
  constants,
  copyFileSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Architecture, nodeFile, nodeLicense } from './architecture.ts';
import { type Bundle, repository, version } from './bundle.ts';
import { copyrightText } from './copyright.ts';

export interface InstalledFile {
  /** Absolute, on the host. */
  readonly path: string;
  readonly mode: 0o644 | 0o755;
  /** The administrator's: an update does not overwrite it. */
  readonly configuration?: true;
}

const documents = '/usr/share/doc/selkie-agent';

/** All of them, in order. */
export const installedFiles: readonly InstalledFile[] = [
  { path: '/etc/selkie-agent.yaml', mode: 0o644, configuration: true },
  { path: '/usr/bin/selkie-agent', mode: 0o755 },
  { path: '/usr/lib/selkie-agent/agent.js', mode: 0o644 },
  { path: '/usr/lib/selkie-agent/node', mode: 0o755 },
  { path: '/usr/lib/selkie-agent/package.json', mode: 0o644 },
  { path: '/usr/lib/systemd/system/selkie-agent-opendkim.service', mode: 0o644 },
  { path: '/usr/lib/systemd/system/selkie-agent.service', mode: 0o644 },
  { path: `${documents}/changelog.gz`, mode: 0o644 },
  { path: `${documents}/copyright`, mode: 0o644 },
  { path: '/usr/share/man/man8/selkie-agent.8.gz', mode: 0o644 },
];

/** Without a name and a time in it, so that the same text is the same file. */
export const gzip = (text: string): Buffer => gzipSync(text, { level: 9 });

const packagedFile = (name: string): string => readFileSync(join(import.meta.dirname, 'files', name), 'utf8');

/** `npm run man` writes it, without a date.  @param epoch seconds since 1970 */
const manualPage = (epoch: number): string =>
  readFileSync(join(repository, 'docs/man/selkie-agent.8'), 'utf8').replace(
    '8 ""',
    `8 "${new Date(epoch * 1000).toISOString().slice(0, 10)}"`,
  );

/** @param epoch seconds since 1970: SOURCE_DATE_EPOCH */
const contents = (
  bundle: Bundle,
  machine: Architecture,
  epoch: number,
): Readonly<Record<string, string | Buffer>> => ({
  '/etc/selkie-agent.yaml': packagedFile('selkie-agent.yaml'),
  '/usr/bin/selkie-agent': packagedFile('selkie-agent'),
  '/usr/lib/selkie-agent/agent.js': bundle.code,
  // Without it, Node would look for one in every folder above, and guess.
  '/usr/lib/selkie-agent/package.json': `${JSON.stringify({ name: 'selkie-agent', version, type: 'module' })}\n`,
  '/usr/lib/systemd/system/selkie-agent.service': packagedFile('selkie-agent.service'),
  '/usr/lib/systemd/system/selkie-agent-opendkim.service': packagedFile('selkie-agent-opendkim.service'),
  [`${documents}/changelog.gz`]: gzip(readFileSync(join(repository, 'CHANGELOG.md'), 'utf8')),
  [`${documents}/copyright`]: copyrightText(
    readFileSync(join(repository, 'LICENSE'), 'utf8'),
    nodeLicense(machine),
    bundle.notices,
  ),
  '/usr/share/man/man8/selkie-agent.8.gz': gzip(manualPage(epoch)),
});

/** Everything below, and the folder itself, deepest first. */
const below = (folder: string): readonly string[] =>
  readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? below(join(folder, entry.name)) : [join(folder, entry.name)]))
    .concat(folder);

/** All bear one time, and folders one mode, whatever this user's umask is. */
export const settle = (folder: string, epoch: number): void => {
  for (const path of below(folder)) {
    if (statSync(path).isDirectory()) chmodSync(path, 0o755);
    lutimesSync(path, epoch, epoch);
  }
};

/** @returns kilobytes of 1,024 bytes that it takes on a disk, about */
export const layOut = (folder: string, bundle: Bundle, machine: Architecture, epoch: number): number => {
  const made = contents(bundle, machine, epoch);
  let size = 0;
  for (const { path, mode } of installedFiles) {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    const content = made[path];
    if (content === undefined) copyFileSync(nodeFile(machine), target, constants.COPYFILE_FICLONE);
    else writeFileSync(target, content);
    chmodSync(target, mode);
    size += Math.ceil(statSync(target).size / 1024);
  }
  settle(folder, epoch);
  return size;
};
