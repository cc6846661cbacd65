// One life of `selkie up`: a process of its own, from its start until it is killed. Writes what it prints to a log.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../tools/free-port.ts';

export interface Ports {
  readonly dns: number;
  readonly api: number;
  readonly push: number;
  readonly milter: number;
}

/** The same over all lives, as on a mail host: Postfix does not look for another milter. */
export const choosePorts = async (): Promise<Ports> => ({
  dns: await freePort(),
  api: await freePort(),
  push: await freePort(),
  milter: await freePort(),
});

export interface Life {
  /** All that it printed so far. */
  output(): string;
  /** Lines of the engine's steps so far. */
  steps(): number;
  isUp(): boolean;
  /** How it ended, where it did. */
  ended(): { readonly code: number | null; readonly signal: string | null } | undefined;
  /** Until `when` holds, the process has ended, or the time (milliseconds) is over. Returns whether it holds. */
  until(when: () => boolean, patience: number): Promise<boolean>;
  /** SIGSTOP, and SIGCONT after so many milliseconds: a machine that sleeps, or has no time. */
  freeze(length: number): Promise<void>;
  /** SIGTERM; whether it ended in time (milliseconds). */
  stop(patience: number): Promise<boolean>;
  /** SIGKILL, and waits until it is gone. Whether it was alive. */
  kill(): Promise<boolean>;
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const preload = fileURLToPath(new URL('clock-preload.ts', import.meta.url));

/** A step, as `up` prints it: the time, a mark where it is no step, what it says. */
const stepLine = /^\d\d:\d\d:\d\d {3}/;

/** Whatever becomes of the torturer, nothing of it stays behind. */
const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export const begin = (options: {
  readonly dir: string;
  readonly fleet: string;
  readonly ports: Ports;
  readonly clockFile: string;
  readonly log: string;
}): Life => {
  const { dir, fleet, ports, clockFile, log } = options;
  const args = ['--import', preload, 'cli/main.ts', 'up', '--dir', dir, '--fleet', fleet];
  for (const [name, port] of Object.entries(ports)) args.push(`--${name}-port`, String(port));
  const child: ChildProcess = spawn(process.execPath, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, SELKIE_TORTURE_CLOCK: clockFile },
  });
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  let text = '';
  let steps = 0;
  const take = (chunk: Buffer): void => {
    const more = chunk.toString();
    text += more;
    steps += more.split('\n').filter((line) => stepLine.test(line)).length;
    appendFileSync(log, more);
  };
  child.stdout?.on('data', take);
  child.stderr?.on('data', take);
  const ended = () =>
    child.exitCode === null && child.signalCode === null
      ? undefined
      : { code: child.exitCode, signal: child.signalCode };
  return {
    output: () => text,
    steps: () => steps,
    isUp: () => text.includes('selkie is up'),
    ended,
    async until(when, patience) {
      for (const end = performance.now() + patience; !when(); await sleep(2))
        if (ended() !== undefined || performance.now() > end) return when();
      return true;
    },
    async freeze(length) {
      child.kill('SIGSTOP');
      await sleep(length);
      child.kill('SIGCONT');
    },
    async stop(patience) {
      child.kill('SIGTERM');
      for (const end = performance.now() + patience; ended() === undefined; await sleep(5))
        if (performance.now() > end) return false;
      return true;
    },
    async kill() {
      if (ended() !== undefined) return false;
      const gone = once(child, 'close');
      child.kill('SIGKILL');
      await gone;
      return true;
    },
  };
};
