// syslog, facility mail, where MTAs log too. Node has no datagram sockets of unix(7), so logger(1) of util-linux, which every
// mail host has, talks to /dev/log: one child, fed line by line, started again when it ends. Owns that child.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { setTimeout as after } from 'node:timers/promises';
import type { Destination } from './bounded-lines.ts';

export interface SyslogOptions {
  /** The program; `logger` unless told otherwise. */
  readonly program?: string;
  /** What there is to say of the program, once for each kind of trouble: syslog cannot be told. */
  readonly trouble: (sentence: string) => void;
}

type Child = ChildProcessByStdio<Writable, null, null>;

const socket = '/dev/log';
const [firstPause, longestPause] = [1_000, 60_000];

export const syslogDestination = ({ program = 'logger', trouble }: SyslogOptions): Destination => {
  let child: Child | undefined;
  let pause = firstPause;
  let said: string | undefined;
  let startedAgain: NodeJS.Timeout | undefined;
  /** Of the write in hand, or of the one that waits for a child. */
  let finish: (() => void) | undefined;
  let waiting: string | undefined;

  const say = (sentence: string): void => {
    if (said !== sentence) trouble(sentence);
    said = sentence;
  };
  const finished = (): void => {
    const done = finish;
    finish = undefined;
    done?.();
  };
  const start = (): Child => {
    startedAgain = undefined;
    const args = ['-t', 'selkie-agent', `--id=${process.pid}`, '-p', 'mail.info'];
    // A group of its own: an interrupt from the terminal must not end it before the agent's last lines.
    const started = spawn(program, args, { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    const ended = (why: string): void => {
      if (child !== started) return;
      child = undefined;
      say(`The log cannot be written to syslog: ${why}. It is tried again.`);
      startedAgain = setTimeout(restart, pause);
      startedAgain.unref();
      pause = Math.min(pause * 2, longestPause);
      // What was in the pipe is lost; what waits is not.
      finished();
    };
    started.once('error', (error: NodeJS.ErrnoException) =>
      ended(error.code === 'ENOENT' ? `there is no ${program} (of util-linux) here` : error.message),
    );
    started.once('exit', (code, signal) => ended(`${program} ended (${signal ?? code})`));
    started.stdin.on('error', () => {});
    started.unref();
    return started;
  };
  const send = (lines: string, to: Child): void => {
    to.stdin.write(lines, (error) => {
      if (child !== to || (error !== null && error !== undefined)) return;
      pause = firstPause;
      said = undefined;
      finished();
    });
  };
  const restart = (): void => {
    child = start();
    if (waiting === undefined) return;
    const lines = waiting;
    waiting = undefined;
    send(lines, child);
  };

  // Without it, logger(1) takes lines and loses them, and says nothing.
  if (program === 'logger' && !existsSync(socket))
    say(`The log goes to syslog, and nobody listens at ${socket} yet`);
  child = start();
  return {
    write(lines, done) {
      finish = done;
      if (child === undefined) waiting = lines;
      else send(lines, child);
    },
    async close() {
      clearTimeout(startedAgain);
      const last = child;
      child = undefined;
      if (last === undefined || last.exitCode !== null) return;
      const ended = once(last, 'exit');
      last.stdin.end();
      const late = new AbortController();
      await Promise.race([ended, after(2_000, undefined, { signal: late.signal }).catch(() => {})]);
      late.abort();
      last.kill('SIGKILL');
    },
  };
};
