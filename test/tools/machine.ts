// Which of Debian's servers and oracles this machine has. Suites that need one run where it is present; where it is
// missing they are left out, said in one loud line (announce.ts), and with CI=true that is a failure.
import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe } from 'vitest';

const path = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/bin', '/sbin'];

/** Where a program stands, or undefined. */
export const program = (name: string): string | undefined =>
  path
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });

const runs = (file: string, ...args: string[]): boolean => {
  try {
    execFileSync(file, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

/** Each tool's Debian package (or where else it comes from) and how to see that it is here. */
export const tools = {
  moto_server: { from: 'pip: moto[server]', here: () => program('moto_server') !== undefined },
  /** Comes with moto's server, which needs it. */
  botocore: { from: 'pip: botocore', here: () => runs('python3', '-c', 'import botocore') },
  /** The AWS CLI; an old one does, told `--endpoint-url`. */
  aws: { from: 'apt: awscli', here: () => runs('aws', '--version') },
  /** Since 7.75 it signs as AWS wants it. */
  curl: { from: 'apt: curl', here: () => runs('curl', '--aws-sigv4', 'aws:amz', '--version') },
  /** Comes with moto's server, which needs it. */
  'cfn-lint': { from: 'pip: cfn-lint', here: () => program('cfn-lint') !== undefined },
  opendkim: { from: 'apt: opendkim', here: () => program('opendkim') !== undefined },
  'opendkim-genkey': { from: 'apt: opendkim-tools', here: () => program('opendkim-genkey') !== undefined },
  miltertest: { from: 'apt: miltertest', here: () => program('miltertest') !== undefined },
  dkimpy: { from: 'apt: python3-dkim', here: () => runs('/usr/bin/python3', '-c', 'import dkim, nacl') },
  pyspf: { from: 'apt: python3-spf', here: () => runs('/usr/bin/python3', '-c', 'import spf') },
  named: { from: 'apt: bind9', here: () => program('named') !== undefined },
  /** Its master runs as root only. */
  postfix: {
    from: 'apt: postfix (and root)',
    here: () => program('postfix') !== undefined && process.getuid?.() === 0,
  },
  python3: { from: 'apt: python3', here: () => program('python3') !== undefined },
  logger: { from: 'apt: bsdutils', here: () => program('logger') !== undefined },
  'systemd-notify': { from: 'apt: systemd', here: () => program('systemd-notify') !== undefined },
  journalctl: { from: 'apt: systemd', here: () => program('journalctl') !== undefined },
  'systemd-analyze': { from: 'apt: systemd', here: () => program('systemd-analyze') !== undefined },
  'dpkg-deb': { from: 'apt: dpkg', here: () => program('dpkg-deb') !== undefined },
  groff: { from: 'apt: groff-base', here: () => program('groff') !== undefined },
  zsh: { from: 'apt: zsh', here: () => program('zsh') !== undefined },
  fish: { from: 'apt: fish', here: () => program('fish') !== undefined },
  rpmbuild: { from: 'apt: rpm', here: () => program('rpmbuild') !== undefined },
  /** Changes to its own user, as root only. */
  rspamd: {
    from: 'apt: rspamd (and root)',
    here: () => program('rspamd') !== undefined && process.getuid?.() === 0,
  },
  /** systemd in namespaces of its own (systemd-host.ts). */
  systemd: {
    from: 'apt: systemd (and root that may mount)',
    here: () =>
      program('systemctl') !== undefined &&
      program('nsenter') !== undefined &&
      runs(
        'unshare',
        '--mount',
        '--pid',
        '--ipc',
        '--uts',
        '--cgroup',
        '--fork',
        'mount',
        '-t',
        'tmpfs',
        'x',
        '/mnt',
      ),
  },
  'named-compilezone': { from: 'apt: bind9-utils', here: () => program('named-compilezone') !== undefined },
  pyyaml: { from: 'apt: python3-yaml', here: () => runs('python3', '-c', 'import yaml') },
  nsupdate: { from: 'apt: bind9-dnsutils', here: () => program('nsupdate') !== undefined },
  chromium: { from: 'apt: chromium', here: () => program('chromium') !== undefined },
  'dmarc-cat': { from: 'apt: dmarc-cat', here: () => program('dmarc-cat') !== undefined },
  dig: { from: 'apt: bind9-dnsutils', here: () => program('dig') !== undefined },
} as const;

export type Tool = keyof typeof tools;

const known = new Map<Tool, boolean>();
const isHere = (tool: Tool): boolean => {
  const seen = known.get(tool) ?? tools[tool].here();
  known.set(tool, seen);
  return seen;
};

export const missing = (needed: readonly Tool[] = Object.keys(tools) as Tool[]): Tool[] =>
  needed.filter((tool) => !isHere(tool));

/** `describe` for a suite that needs tools of the machine. */
export const describeWith = (needed: readonly Tool[], name: string, suite: () => void): void => {
  const absent = missing(needed);
  if (absent.length > 0 && process.env.CI === 'true')
    throw new Error(
      `CI needs ${absent.map((tool) => `${tool} (${tools[tool].from})`).join(', ')} for: ${name}`,
    );
  describe.skipIf(absent.length > 0)(name, suite);
};
