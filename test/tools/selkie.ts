// Runs the command line as a user does: as a process of its own.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const root = new URL('../../', import.meta.url).pathname;
const run = promisify(execFile);

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export const selkie = (...args: string[]): Promise<Ran> => selkieIn(process.env, ...args);

/** With an environment of its own. */
export const selkieIn = async (env: NodeJS.ProcessEnv, ...args: string[]): Promise<Ran> => {
  try {
    const { stdout, stderr } = await run(process.execPath, ['cli/main.ts', ...args], {
      cwd: root,
      env,
      timeout: 100_000,
    });
    return { status: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: number; stdout: string; stderr: string };
    return { status: typeof code === 'number' ? code : -1, stdout, stderr };
  }
};

export interface Running {
  readonly child: ChildProcess;
  /** All that it printed so far. */
  output(): string;
  /** Waits until it has printed `text`. */
  prints(text: string): Promise<void>;
  stop(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
}

/** `selkie up` on free ports. */
export const startUp = (dir: string, ...more: string[]): Running => {
  const ports = ['--dns-port', '0', '--api-port', '0', '--push-port', '0', '--milter-port', '0'];
  const child = spawn(process.execPath, ['cli/main.ts', 'up', '--dir', dir, ...ports, ...more], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return {
    child,
    output: () => text,
    prints: async (wanted) => {
      for (const until = Date.now() + 30_000; !text.includes(wanted); ) {
        if (child.exitCode !== null || Date.now() > until)
          throw new Error(`"${wanted}" was not printed:\n${text}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    stop: async (signal) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      await once(child, 'exit');
    },
  };
};
