// Tells systemd how the agent stands: sd_notify(3), and its watchdog. Node has no datagram sockets of unix(7), so
// systemd-notify(1) sends each message; the unit says NotifyAccess=all, for the sender is a child. Starts such children only.
import { execFile } from 'node:child_process';
import { describe } from '../core/errors.ts';
import { type Duration, milliseconds, seconds } from '../core/time.ts';
import type { Timer } from './pull.ts';

export interface Notifier {
  /** It signs. @param status a line for `systemctl status` */
  ready(status: string): void;
  /** Something about it has changed. */
  status(text: string): void;
  /** The configuration is read again; `ready` ends it. */
  reloading(): void;
  /** It ends; the watchdog sleeps from now on. Resolves when systemd has been told. */
  stopping(): Promise<void>;
}

export interface NotifierOptions {
  /** NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; of this process, where absent. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** What is wrong with the agent, or undefined: asked for each beat of the watchdog. A stuck event loop does not ask. */
  readonly trouble: () => Promise<string | undefined>;
  readonly timer: Timer;
  readonly log: (line: string) => void;
  /** The program; `systemd-notify` unless told otherwise. */
  readonly program?: string;
  /** Of this process, for WATCHDOG_PID. */
  readonly pid?: number;
}

/** Not started by systemd: nobody is told. */
const silent: Notifier = { ready() {}, status() {}, reloading() {}, stopping: async () => {} };

/** For the child; systemd-notify waits until systemd has read the message. */
const longestSend = 5_000;
const again = seconds(1);

/**
 * How often the watchdog is told: at half its time, as sd_watchdog_enabled(3) advises. Undefined where nobody waits for it.
 * @param environment WATCHDOG_USEC is in microseconds, WATCHDOG_PID says whom it is meant for
 */
const beatOf = (
  environment: NonNullable<NotifierOptions['environment']>,
  pid: number,
): Duration | undefined => {
  const { WATCHDOG_USEC: time = '', WATCHDOG_PID: whose } = environment;
  if (!/^[1-9]\d{0,14}$/.test(time) || (whose !== undefined && whose !== String(pid))) return undefined;
  return milliseconds(Math.max(1, Math.floor(Number(time) / 2_000)));
};

export const createNotifier = (options: NotifierOptions): Notifier => {
  const {
    environment = process.env,
    trouble,
    timer,
    log,
    program = 'systemd-notify',
    pid = process.pid,
  } = options;
  const socket = environment.NOTIFY_SOCKET;
  if (socket === undefined || socket === '') return silent;
  const beat = beatOf(environment, pid);
  let last: Promise<void> = Promise.resolve();
  let said: string | undefined;
  let cancelBeat = (): void => {};
  let cancelAgain = (): void => {};
  let begun = false;
  let ended = false;

  /** Once for each kind of trouble, and when it is over. */
  const say = (sentence: string | undefined): void => {
    if (sentence !== said) log(sentence ?? 'systemd: told again that all is well');
    said = sentence;
  };
  /** @returns whether it was sent */
  const run = (variables: readonly string[]): Promise<boolean> =>
    new Promise((resolve) => {
      const child = {
        env: { ...process.env, NOTIFY_SOCKET: socket },
        timeout: longestSend,
        killSignal: 'SIGKILL',
      } as const;
      execFile(program, variables, child, (error, _, stderr) => {
        if (error !== null) {
          const absent = error.code === 'ENOENT' ? `there is no ${program} here` : undefined;
          say(`systemd cannot be told how the agent stands: ${absent ?? (stderr.trim() || error.message)}`);
        }
        resolve(error === null);
      });
    });
  /** One after the other, in the order of the calls. */
  const send = (...variables: readonly string[]): Promise<boolean> => {
    const mine = last.then(() => run(variables));
    last = mine.then(() => undefined);
    return mine;
  };
  /** Until it was sent: a service that never says that it is ready is ended. */
  const insist = async (...variables: readonly string[]): Promise<void> => {
    if (ended || (await send(...variables)) || ended) return;
    cancelAgain = timer.after(again, () => void insist(...variables));
  };
  const oneLine = (text: string): string => text.replaceAll('\n', ' ').slice(0, 500);

  const check = async (): Promise<void> => {
    const wrong = await trouble().catch(describe);
    if (ended) return;
    if (wrong !== undefined)
      say(`watchdog: ${wrong}; systemd is not told that all is well, and will start the agent again`);
    else if (await send('WATCHDOG=1')) say(undefined);
  };
  const watch = (every: Duration): void => {
    cancelBeat = timer.after(every, () => {
      void check().finally(() => {
        if (!ended) watch(every);
      });
    });
  };

  return {
    ready(status) {
      if (ended) return;
      cancelAgain();
      void insist('READY=1', `STATUS=${oneLine(status)}`);
      if (beat !== undefined && !begun) watch(beat);
      begun = true;
    },
    status: (text) => void send(`STATUS=${oneLine(text)}`),
    reloading: () => void send('RELOADING=1', 'STATUS=reads its configuration again'),
    async stopping() {
      ended = true;
      cancelBeat();
      cancelAgain();
      await send('STOPPING=1', 'STATUS=ends, when the messages in hand are finished');
    },
  };
};
