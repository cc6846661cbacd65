// A place where commands of the documentation are run as they stand: a folder that looks like a clone of this repository, with
// ports of its own in place of those that `npm start` takes.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, cpSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../tools/free-port.ts';
import { makeFolder } from '../tools/temporary-folder.ts';

const root = new URL('../../', import.meta.url).pathname;
/** What commands of a page change or look at; everything else is the repository's own. */
const copied = new Set(['fleet.yaml', 'docs']);
const left = new Set(['.git', '.selkie', 'dist', 'cdk.out']);
/** Ports of `npm start`, as pages name them. */
const usual = { dns: '5300', api: '8400', push: '8892', milter: '8891' } as const;
const patience = 60_000;

export interface Sandbox {
  /** Runs one command in bash. Rejects where it fails; resolves with what it printed. */
  run(command: string): Promise<string>;
  /** `npm start`: resolves when its domain signs. */
  start(): Promise<void>;
  /** The selector with which it first signed. */
  selector(): string;
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** A folder that looks like a clone of this repository. */
export const makeClone = (): string => {
  const folder = makeFolder();
  for (const name of readdirSync(root))
    if (name === 'docs') cpSync(join(root, name), join(folder, name), { recursive: true });
    else if (copied.has(name)) copyFileSync(join(root, name), join(folder, name));
    else if (!left.has(name)) symlinkSync(join(root, name), join(folder, name));
  return folder;
};

export const openSandbox = async (): Promise<Sandbox> => {
  const folder = makeClone();
  const ports = {
    dns: await freePort(),
    api: await freePort(),
    push: await freePort(),
    milter: await freePort(),
  };
  // The Node that runs the tests is the one that npm's scripts find.
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
  let up: ChildProcess | undefined;
  let selector: string | undefined;

  const stop = async (): Promise<void> => {
    const child = up;
    up = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    await gone;
  };

  return {
    async run(command) {
      const here = Object.entries(usual).reduce(
        (text, [name, port]) => text.replaceAll(port, String(ports[name as keyof typeof ports])),
        command,
      );
      const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', here], {
        cwd: folder,
        env,
        timeout: 120_000,
      });
      return stdout;
    },

    async start() {
      if (up !== undefined) return;
      const options = Object.entries(ports).flatMap(([name, port]) => [`--${name}-port`, String(port)]);
      const child = spawn(process.execPath, ['cli/main.ts', 'up', ...options], {
        cwd: folder,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      up = child;
      let text = '';
      child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
      for (const until = Date.now() + patience; !/ signs with \d{6}/.test(text); ) {
        if (child.exitCode !== null || Date.now() > until)
          throw new Error(`npm start did not come up:\n${text}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      selector ??= / signs with (\d{6})/.exec(text)?.[1];
    },

    selector: () => selector ?? '',

    stop,

    async close() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
};
