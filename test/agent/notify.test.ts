// sd_notify and the watchdog, as systemd receives them: on a real datagram socket, through real systemd-notify.
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { createNotifier, type NotifierOptions } from '../../agent/notify.ts';
import type { Timer } from '../../agent/pull.ts';
import { type Datagrams, listenForDatagrams } from '../tools/datagrams.ts';
import { describeWith } from '../tools/machine.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

let systemd: Datagrams;
let socket: string;
let lines: string[];
/** What the agent waits for, by hand. */
let waiting: { readonly delay: number; readonly run: () => void }[];
const timer: Timer = {
  after(delay, run) {
    const one = { delay, run };
    waiting.push(one);
    return () => {
      waiting = waiting.filter((other) => other !== one);
    };
  },
};
const beat = async (): Promise<void> => {
  const [next] = waiting.splice(0, 1);
  next?.run();
  await new Promise((resolve) => setTimeout(resolve, 50));
};

const notifier = (more: Partial<NotifierOptions> = {}, environment: Record<string, string> = {}) =>
  createNotifier({
    environment: { NOTIFY_SOCKET: socket, ...environment },
    trouble: async () => undefined,
    timer,
    log: (line) => lines.push(line),
    ...more,
  });

describeWith(['python3', 'systemd-notify'], 'notify', () => {
  beforeEach(async () => {
    socket = join(temporaryFolder(), 'notify');
    lines = [];
    waiting = [];
    systemd = await listenForDatagrams(socket);
    onTestFinished(() => systemd.close());
  });

  it('says in this order that it is ready, reloads and ends', async () => {
    const notify = notifier();
    notify.ready('signs for 2 domains\nand more');
    notify.status('1 key cannot be used');
    notify.reloading();
    notify.ready('signs');
    await notify.stopping();
    await systemd.has('STOPPING=1');
    const messages = systemd.received.filter((message) => !message.startsWith('BARRIER'));
    expect(messages.map((message) => message.trimEnd())).toEqual([
      'READY=1\nSTATUS=signs for 2 domains and more',
      'STATUS=1 key cannot be used',
      expect.stringMatching(/^RELOADING=1\n/),
      'READY=1\nSTATUS=signs',
      expect.stringMatching(/^STOPPING=1\n/),
    ]);
    expect(waiting).toEqual([]);
    expect(lines).toEqual([]);
  });

  it('feeds the watchdog at half its time while the agent is well, and only then', async () => {
    let wrong: string | undefined;
    const notify = notifier(
      { trouble: async () => wrong, pid: 17 },
      { WATCHDOG_USEC: '60000000', WATCHDOG_PID: '17' },
    );
    expect(waiting).toEqual([]);
    notify.ready('signs');
    expect(waiting.map(({ delay }) => delay)).toEqual([30_000]);
    await beat();
    await systemd.has('WATCHDOG=1');
    const fed = () => systemd.received.filter((message) => message.includes('WATCHDOG=1')).length;
    expect(fed()).toBe(1);

    wrong = 'the milter did not answer within 5000 ms';
    await beat();
    await beat();
    expect(fed()).toBe(1);
    expect(lines).toEqual([expect.stringContaining('the milter did not answer')]);

    wrong = undefined;
    await beat();
    for (const until = Date.now() + 5_000; fed() < 2 && Date.now() < until; )
      await new Promise((resolve) => setTimeout(resolve, 20));
    expect(fed()).toBe(2);
    // A second `ready`, after a reload, begins no second watchdog.
    notify.ready('signs');
    expect(waiting.length).toBeLessThanOrEqual(1);
    await notify.stopping();
    expect(waiting).toEqual([]);
  });

  it.each<[string, Record<string, string>]>([
    ['without a watchdog', {}],
    ['with the watchdog of another process', { WATCHDOG_USEC: '60000000', WATCHDOG_PID: '18' }],
    ['with a watchdog that is none', { WATCHDOG_USEC: 'soon' }],
  ])('%s nothing is fed', async (_, environment) => {
    const notify = notifier({ pid: 17 }, environment);
    notify.ready('signs');
    expect(waiting).toEqual([]);
    await notify.stopping();
    expect(systemd.received.filter((message) => message.includes('WATCHDOG'))).toEqual([]);
  });

  it('without systemd does nothing', async () => {
    const notify = createNotifier({
      environment: {},
      trouble: async () => undefined,
      timer,
      log: (line) => lines.push(line),
      program: '/nonexistent',
    });
    notify.ready('signs');
    await notify.stopping();
    expect(lines).toEqual([]);
  });

  it('insists on being ready: systemd would end what never says so', async () => {
    const program = join(temporaryFolder(), 'systemd-notify');
    // Fails the first time.
    writeFileSync(
      program,
      '#!/bin/sh\nif [ -e "$0.tried" ]; then exec systemd-notify "$@"; fi\ntouch "$0.tried"; exit 1\n',
    );
    chmodSync(program, 0o755);
    const notify = notifier({ program });
    notify.ready('signs');
    for (const until = Date.now() + 5_000; waiting.length === 0 && Date.now() < until; )
      await new Promise((resolve) => setTimeout(resolve, 20));
    expect(systemd.received).toEqual([]);
    expect(waiting.map(({ delay }) => delay)).toEqual([1_000]);
    await beat();
    await systemd.has('READY=1');
    await notify.stopping();
    expect(waiting).toEqual([]);
  });

  it('says once that systemd cannot be told', async () => {
    const notify = notifier({ program: '/nonexistent/systemd-notify' });
    notify.ready('signs');
    await notify.stopping();
    expect(lines).toEqual([
      expect.stringMatching(/systemd cannot be told .*: there is no .nonexistent.systemd-notify here/),
    ]);
  });
});
