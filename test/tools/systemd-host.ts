// A mail host of its own with a real systemd, for tests of what packages install: this machine's files under an overlay in
// memory, in namespaces of its own, on this machine's network. What happens in it is gone with it. Needs root, and a kernel
// that lets it mount.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { makeFolder } from './temporary-folder.ts';

export interface HostRan {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

export interface SystemdHost {
  /** Runs a program in it, as root; `input` is its standard input. */
  run(args: readonly string[], input?: string | Uint8Array): Promise<HostRan>;
  /** The same. @throws Error with what it said where it fails */
  does(...args: readonly string[]): Promise<string>;
  write(path: string, content: string | Uint8Array): Promise<void>;
  /** Lines of a service's journal. */
  journal(unit: string): Promise<string>;
  close(): Promise<void>;
}

/** Services of this machine that have no business there, or that would look for hardware. */
const masked = [
  ...[
    'systemd-udevd',
    'systemd-udev-trigger',
    'systemd-sysctl',
    'systemd-modules-load',
    'systemd-hwdb-update',
  ],
  ...['systemd-timesyncd', 'systemd-networkd', 'systemd-resolved', 'systemd-logind', 'systemd-random-seed'],
  ...['systemd-update-utmp', 'systemd-tmpfiles-setup-dev', 'systemd-firstboot', 'systemd-binfmt', 'dbus'],
  ...['postfix', 'opendkim', 'rspamd', 'named', 'knot', 'redis-server', 'unattended-upgrades', 'apt-daily'],
];

/** $1: a folder of our own; $2: of the repository, which may lie on another file system than the root. */
const boot = `
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root" "$1/repository"
mount --rbind "$2" "$1/repository"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mkdir dev/pts dev/shm
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
umount -R sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir -p ".$2"
mount --rbind "$1/repository" ".$2"
: >etc/fstab
rm -f usr/sbin/policy-rc.d etc/machine-id
echo 0123456789abcdef0123456789abcdef >etc/machine-id
for unit in $3; do ln -sf /dev/null "etc/systemd/system/$unit.service"; done
rm -f etc/systemd/system/*.wants/*.service
printf '[Unit]\\nRequires=basic.target\\nAfter=basic.target\\n' >etc/systemd/system/selkie-test.target
mkdir -p .before
pivot_root . .before
cd /
umount -l .before
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  /lib/systemd/systemd --system --unit=selkie-test.target --log-target=null --show-status=no
`;

/** Puts itself into a control group of its own, in the hierarchy of version 2, wherever that is mounted; then boots. */
const enter = `
set -e
hierarchy=$(mktemp -d)
mount -t cgroup2 cgroup2 "$hierarchy"
mkdir "$hierarchy/$4"
echo $$ >"$hierarchy/$4/cgroup.procs"
umount -l "$hierarchy"
rmdir "$hierarchy"
exec unshare --mount --uts --ipc --cgroup --pid --fork --kill-child sh -c "$0" boot "$1" "$2" "$3"
`;

const forgetGroup = `
hierarchy=$(mktemp -d)
mount -t cgroup2 cgroup2 "$hierarchy"
# The last processes may still be on their way out.
for try in 1 2 3 4 5 6 7 8 9 10; do
  find "$hierarchy/$0" -depth -type d -exec rmdir {} + 2>/dev/null && break
  sleep 0.2
done
umount -l "$hierarchy"
rmdir "$hierarchy"
`;

const repository = new URL('../../', import.meta.url).pathname.replace(/\/$/, '');

/** The systemd that this process has started, as this machine numbers it. */
const systemdOf = (launcher: number): number | undefined => {
  try {
    const [child = ''] = readFileSync(`/proc/${launcher}/task/${launcher}/children`, 'utf8').split(' ');
    return readFileSync(`/proc/${child}/comm`, 'utf8') === 'systemd\n' ? Number(child) : undefined;
  } catch {
    // What was there a moment ago is not any more.
    return undefined;
  }
};

/** @throws Error where it does not come up within half a minute */
export const startSystemdHost = async (): Promise<SystemdHost> => {
  const folder = makeFolder();
  const group = `selkie-test-${process.pid}-${Date.now()}`;
  const launcher = spawn('sh', ['-c', enter, boot, folder, repository, masked.join(' '), group], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let trouble = '';
  launcher.stderr.on('data', (chunk) => {
    trouble += chunk;
  });
  let pid: number | undefined;

  const run: SystemdHost['run'] = (args, input) =>
    new Promise((resolve, reject) => {
      const into = ['-t', String(pid), '-m', '-p', '-u', '-i', '-C', '-r', '-w'];
      const clean = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'LC_ALL=C.UTF-8'];
      const child = execFile(
        'nsenter',
        [...into, ...clean, 'DEBIAN_FRONTEND=noninteractive', ...args],
        { maxBuffer: 64 << 20, timeout: 120_000 },
        (error, out, err) => {
          const status = error === null ? 0 : error.code;
          if (typeof status === 'number') resolve({ status, out, err });
          else reject(error);
        },
      );
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
    });
  const does: SystemdHost['does'] = async (...args) => {
    const { status, out, err } = await run(args);
    if (status !== 0) throw new Error(`${args.join(' ')}: ${status}\n${out}${err}`);
    return out;
  };
  const close = async (): Promise<void> => {
    const ended = launcher.exitCode === null ? once(launcher, 'exit') : undefined;
    // Its systemd ends with it (--kill-child), and all others with that.
    launcher.kill('SIGKILL');
    await ended;
    await new Promise((resolve) => execFile('sh', ['-c', forgetGroup, group], resolve));
    rmSync(folder, { recursive: true, force: true });
  };

  try {
    for (const until = Date.now() + 30_000; ; await wait(100)) {
      if (launcher.exitCode !== null || Date.now() > until)
        throw new Error(`systemd does not come up: ${trouble}`);
      pid ??= systemdOf(launcher.pid ?? 0);
      if (pid === undefined) continue;
      const { out } = await run(['systemctl', 'is-active', 'selkie-test.target']);
      if (out === 'active\n') break;
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    run,
    does,
    async write(path, content) {
      const { status, err } = await run(['sh', '-c', 'cat >"$0"', path], content);
      if (status !== 0) throw new Error(`${path}: ${err}`);
    },
    journal: (unit) => does('journalctl', '--no-pager', '-o', 'cat', '-u', unit),
    close,
  };
};
