// `npm run package:deb`: dist/selkie-agent_VERSION_ARCH.deb, by dpkg-deb alone. The same sources make the same bytes.
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BuildOptions, build, call } from './build.ts';
import { bundleAgent, version } from './bundle.ts';
import { gzip, installedFiles, layOut, settle } from './tree.ts';

/** 1.0.0-rc.1 comes before 1.0.0: deb-version(7). */
const debVersion = version.replace('-', '~');
const maintainer = 'Selkie maintainers <maintainers@selkie.invalid>';

const control = ({ machine }: BuildOptions, size: number): string => `Package: selkie-agent
Version: ${debVersion}
Architecture: ${machine.deb}
Maintainer: ${maintainer}
Installed-Size: ${size}
Depends: adduser, libc6 (>= 2.28), libgcc-s1 (>= 3.4), libstdc++6 (>= 8)
Recommends: systemd
Suggests: postfix, opendkim, rspamd
Section: mail
Priority: optional
Description: holds the DKIM keys of a mail host, and signs with them
 Selkie rotates the DKIM keys of mail domains. Its agent runs on each mail
 host: it takes the keys that the control plane seals for this host, and
 signs with them through a milter of its own, or keeps the keys and tables
 of an OpenDKIM or an rspamd.
 .
 Node is inside; nothing else is needed.
`;

const changelog = (epoch: number): string => `selkie-agent (${debVersion}) stable; urgency=medium

  * What is new is in changelog.gz.

 -- ${maintainer}  ${new Date(epoch * 1000).toUTCString().replace('GMT', '+0000')}
`;

const md5sums = (tree: string, files: readonly string[]): string =>
  files
    .map((path) => {
      const sum = createHash('md5')
        .update(readFileSync(join(tree, path)))
        .digest('hex');
      return `${sum}  ${path.slice(1)}\n`;
    })
    .join('');

await build('deb', async (options, scratch) => {
  const { machine, out, fast, epoch } = options;
  const size = layOut(scratch, await bundleAgent(), machine, epoch);
  const debian = '/usr/share/doc/selkie-agent/changelog.Debian.gz';
  writeFileSync(join(scratch, debian), gzip(changelog(epoch)));
  chmodSync(join(scratch, debian), 0o644);

  const meta = join(scratch, 'DEBIAN');
  mkdirSync(meta);
  const configuration = installedFiles.filter((file) => file.configuration).map(({ path }) => path);
  const others = installedFiles.filter((file) => !file.configuration).map(({ path }) => path);
  const script = (name: string): string => readFileSync(join(import.meta.dirname, 'deb', name), 'utf8');
  const files: readonly (readonly [string, string, number])[] = [
    ['control', control(options, size), 0o644],
    ['conffiles', `${configuration.join('\n')}\n`, 0o644],
    ['md5sums', md5sums(scratch, [...others, debian].sort()), 0o644],
    // Postfix and OpenDKIM may come later than we did.
    ['triggers', 'interest-noawait /usr/sbin/postconf\ninterest-noawait /usr/sbin/opendkim\n', 0o644],
    ...(['postinst', 'prerm', 'postrm'] as const).map((name) => [name, script(name), 0o755] as const),
  ];
  for (const [name, text, mode] of files) {
    writeFileSync(join(meta, name), text);
    chmodSync(join(meta, name), mode);
  }
  settle(scratch, epoch);
  const file = join(out, `selkie-agent_${debVersion}_${machine.deb}.deb`);
  // xz: dpkg knows zstd since Debian 12 only.
  const compression = fast ? ['-Zgzip', '-z1'] : ['-Zxz'];
  call('dpkg-deb', ['--root-owner-group', ...compression, '--build', scratch, file], epoch);
  return file;
});
