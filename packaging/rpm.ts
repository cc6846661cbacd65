// `npm run package:rpm`: dist/selkie-agent-VERSION-1.ARCH.rpm, by rpmbuild (Debian's package rpm has it too).
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, call } from './build.ts';
import { bundleAgent, version } from './bundle.ts';
import { installedFiles, layOut } from './tree.ts';

/** 1.0.0-rc.1 comes before 1.0.0, and `-` is not allowed. */
const rpmVersion = version.replace('-', '~');

/** Lines of the spec's %files. */
const fileList = (): string =>
  [
    '%defattr(-,root,root,0755)',
    ...installedFiles.map(
      ({ path, mode, configuration }) =>
        `%attr(${mode.toString(8).padStart(4, '0')},root,root) ${configuration ? '%config(noreplace) ' : ''}${path.includes('/share/doc/') ? '%doc ' : ''}${path}`,
    ),
    '%dir /usr/lib/selkie-agent',
    '%dir /usr/share/doc/selkie-agent',
  ].join('\n');

await build('rpm', async ({ machine, out, fast, epoch }, scratch) => {
  const tree = join(scratch, 'tree');
  mkdirSync(tree);
  layOut(tree, await bundleAgent(), machine, epoch);
  const values: Readonly<Record<string, string>> = {
    VERSION: rpmVersion,
    TREE: tree,
    FILES: fileList(),
    PAYLOAD: fast ? 'w1.gzdio' : 'w6.xzdio',
  };
  const spec = join(scratch, 'selkie-agent.spec');
  const template = readFileSync(join(import.meta.dirname, 'rpm/selkie-agent.spec'), 'utf8');
  writeFileSync(
    spec,
    template.replace(/@([A-Z]+)@/g, (place, name: string) => values[name] ?? place),
  );
  const top = join(scratch, 'top');
  call(
    'rpmbuild',
    [
      '-bb',
      '--quiet',
      '--target',
      machine.rpm,
      '--define',
      `_topdir ${top}`,
      '--define',
      `_tmppath ${scratch}`,
      spec,
    ],
    epoch,
  );
  const name = `selkie-agent-${rpmVersion}-1.${machine.rpm}.rpm`;
  copyFileSync(join(top, 'RPMS', machine.rpm, name), join(out, name));
  return join(out, name);
});
