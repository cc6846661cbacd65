// What is in the packages, read by the tools of Debian and RPM.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleAgent, version } from '../../packaging/bundle.ts';
import { installedFiles } from '../../packaging/tree.ts';
import { buildPackage } from '../tools/built-package.ts';
import { describeWith } from '../tools/machine.ts';
import { makeFolder, temporaryFolder } from '../tools/temporary-folder.ts';

const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', maxBuffer: 64 << 20, stdio: ['ignore', 'pipe', 'pipe'] });
const hash = (path: string, algorithm = 'sha256'): string =>
  createHash(algorithm).update(readFileSync(path)).digest('hex');

/** Files and links below, as absolute paths on a host. */
const filesBelow = (root: string, folder = ''): string[] =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesBelow(root, `${folder}/${entry.name}`) : [`${folder}/${entry.name}`],
  );

describe('the bundle', () => {
  it('is one module that needs nothing beside it', async () => {
    const { code, notices } = await bundleAgent();
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'agent.mjs'), code);
    expect(run(process.execPath, join(folder, 'agent.mjs'), '--help')).toMatch(/^Usage: selkie-agent/);
    expect(notices.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['commander', 'jose', 'pino', 'yaml', 'zod']),
    );
    // Each megabyte of source is two of memory, on every mail host.
    expect(code.length).toBeLessThan(1_500_000);
    // What we may give to others, and whose terms the copyright file passes on.
    for (const { name, license, text } of notices) {
      expect(`${name}: ${license}`).toMatch(/: \(?(MIT|ISC|BSD-[23]-Clause|Apache-2\.0|0BSD)/);
      expect(`${name}: ${text.length > 100}`).toBe(`${name}: true`);
    }
  });
});

describeWith(['dpkg-deb'], 'the .deb', () => {
  const out = makeFolder();
  const root = join(out, 'root');
  let deb: string;
  beforeAll(async () => {
    deb = await buildPackage('deb', out, { SOURCE_DATE_EPOCH: '1700000000' });
    run('dpkg-deb', '-R', deb, root);
  }, 120_000);
  afterAll(() => rmSync(out, { recursive: true, force: true }));
  const field = (name: string): string => run('dpkg-deb', '-f', deb, name).trim();

  it('says what it is', () => {
    expect(deb).toBe(join(out, `selkie-agent_${version}_${field('Architecture')}.deb`));
    expect(field('Package')).toBe('selkie-agent');
    expect(field('Version')).toBe(version.replace('-', '~'));
    expect(field('Depends')).toContain('libc6 (>= 2.28)');
    // Policy §5.6.20: about what it takes, in KiB.
    const size = filesBelow(root)
      .filter((path) => !path.startsWith('/DEBIAN'))
      .reduce((sum, path) => sum + lstatSync(join(root, path)).size / 1024, 0);
    expect(Math.abs(Number(field('Installed-Size')) - size)).toBeLessThan(100);
  });

  it('has these files, root’s, with these modes, and no others', () => {
    const listed = run('dpkg-deb', '-c', deb)
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('d'))
      .map((line) => {
        const [mode = '', owner = '', , , , path = ''] = line.split(/\s+/);
        return `${mode} ${owner} ${path.slice(1)}`;
      });
    const wanted = [
      ...installedFiles,
      { path: '/usr/share/doc/selkie-agent/changelog.Debian.gz', mode: 0o644 as const },
    ];
    expect(listed.sort()).toEqual(
      wanted
        .map(({ path, mode }) => `${mode === 0o755 ? '-rwxr-xr-x' : '-rw-r--r--'} root/root ${path}`)
        .sort(),
    );
  });

  it('has sums of all its files, and the configuration is the administrator’s', () => {
    const sums = readFileSync(join(root, 'DEBIAN/md5sums'), 'utf8').trim().split('\n');
    expect(sums.length).toBe(installedFiles.length);
    for (const line of sums) {
      const [sum = '', path = ''] = line.split('  ');
      expect(`${path} ${hash(join(root, path), 'md5')}`).toBe(`${path} ${sum}`);
    }
    expect(readFileSync(join(root, 'DEBIAN/conffiles'), 'utf8')).toBe('/etc/selkie-agent.yaml\n');
  });

  it.each(['postinst', 'prerm', 'postrm'])(
    'has a %s that a shell reads, and that refuses what it does not know',
    (name) => {
      const script = join(root, 'DEBIAN', name);
      run('sh', '-n', script);
      expect(() => run('sh', script, 'dance')).toThrow(/unknown argument 'dance'/);
    },
  );

  it('says whose work is in it', async () => {
    const copyright = readFileSync(join(root, 'usr/share/doc/selkie-agent/copyright'), 'utf8');
    expect(copyright).toMatch(
      /^Format: https:\/\/www\.debian\.org\/doc\/packaging-manuals\/copyright-format\/1\.0\/\n/,
    );
    for (const { name } of (await bundleAgent()).notices) expect(copyright).toContain(`#${name}\n`);
    expect(copyright).toContain('Node.js is licensed for use as follows');
    // Nothing else than fields and their folded values.
    expect(copyright.split('\n').filter((line) => !/^(|\s.*|[A-Z][A-Za-z-]+: .*)$/.test(line))).toEqual([]);
  });

  it('has changelogs and a manual page that gunzip reads', () => {
    const gunzip = (path: string): string => gunzipSync(readFileSync(join(root, path))).toString();
    expect(gunzip('usr/share/doc/selkie-agent/changelog.gz')).toMatch(/^# Changelog/);
    expect(gunzip('usr/share/doc/selkie-agent/changelog.Debian.gz')).toMatch(
      /^selkie-agent \(.*\) stable; urgency=medium\n/,
    );
    const page = gunzip('usr/share/man/man8/selkie-agent.8.gz');
    expect(page).toContain(`"2023-11-14" "Selkie ${version}"`);
    expect(page).not.toMatch(/@[A-Z]+@/);
  });

  it('is the same file when it is built again', async () => {
    const again = join(out, 'again');
    const umask = process.umask(0o077);
    try {
      expect(
        hash(await buildPackage('deb', again, { SOURCE_DATE_EPOCH: '1700000000', TZ: 'Asia/Tokyo' })),
      ).toBe(hash(deb));
    } finally {
      process.umask(umask);
    }
  }, 120_000);

  it('runs as it lies there', () => {
    // The wrapper names where the package is installed; here it lies elsewhere.
    const wrapper = join(out, 'selkie-agent');
    const text = readFileSync(join(root, 'usr/bin/selkie-agent'), 'utf8');
    writeFileSync(wrapper, text.replaceAll('/usr/lib/selkie-agent', join(root, 'usr/lib/selkie-agent')));
    chmodSync(wrapper, 0o755);
    expect(run(wrapper, '--help')).toMatch(/^Usage: selkie-agent/);
  });
});

describeWith(['rpmbuild'], 'the .rpm', () => {
  const out = makeFolder();
  let rpm: string;
  beforeAll(async () => {
    rpm = await buildPackage('rpm', out, { SOURCE_DATE_EPOCH: '1700000000' });
  }, 120_000);
  afterAll(() => rmSync(out, { recursive: true, force: true }));

  it('says what it is and needs', () => {
    expect(run('rpm', '-qp', '--qf', '%{NAME} %{VERSION} %{RELEASE} %{LICENSE}', rpm)).toBe(
      `selkie-agent ${version.replace('-', '~')} 1 Apache-2.0`,
    );
    const needs = run('rpm', '-qp', '--requires', rpm);
    expect(needs).toContain('libc.so.6(GLIBC_2.28)');
    expect(needs).toContain('libstdc++.so.6()(64bit)');
  });

  it('has the same files as the .deb, and no others', () => {
    const files = run('rpm', '-qp', '--qf', '[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES}\n]', rpm)
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('d'));
    expect(files.sort()).toEqual(
      installedFiles
        .map(({ path, mode }) => `${mode === 0o755 ? '-rwxr-xr-x' : '-rw-r--r--'} root ${path}`)
        .sort(),
    );
    expect(run('rpm', '-qp', '--configfiles', rpm)).toBe('/etc/selkie-agent.yaml\n');
  });

  it('has scripts that a shell reads', () => {
    const tags = ['PREIN', 'POSTIN', 'PREUN', 'POSTUN'];
    const file = join(out, 'script');
    for (const tag of tags) {
      const script = run('rpm', '-qp', '--qf', `%{${tag}}`, rpm);
      expect(script.length).toBeGreaterThan(50);
      writeFileSync(file, script);
      run('sh', '-n', file);
    }
    expect(run('rpm', '-qp', '--triggers', rpm)).toContain(
      'triggerin scriptlet (using /bin/sh) -- opendkim, postfix',
    );
    expect(run('rpm', '-qp', '--qf', '%{POSTIN}', rpm)).toContain(
      'semanage port -a -t milter_port_t -p tcp 8891',
    );
  });

  it('installs into a root of its own, is whole there, and leaves with all its files', () => {
    const root = join(out, 'root');
    const there = (...args: string[]) => run('rpm', '--root', root, ...args);
    run('mkdir', root);
    there('--initdb');
    there('-i', '--nodeps', '--noscripts', '--notriggers', rpm);
    expect(there('-V', '--nodeps', 'selkie-agent')).toBe('');
    const files = (): string[] =>
      filesBelow(root).filter((path) => !path.startsWith('/var/lib/rpm') && !path.includes('/.rpmdb'));
    expect(files().sort()).toEqual(installedFiles.map(({ path }) => path).sort());
    there('-e', '--noscripts', '--notriggers', 'selkie-agent');
    expect(files()).toEqual([]);
    expect(existsSync(join(root, 'usr/lib/selkie-agent'))).toBe(false);
  });

  it('is the same file when it is built again', async () => {
    const again = await buildPackage('rpm', join(out, 'again'), { SOURCE_DATE_EPOCH: '1700000000' });
    expect(hash(again)).toBe(hash(rpm));
  }, 120_000);
});
