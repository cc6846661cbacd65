// The sinks of the log on real pipes, files and logger(1).
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { createLog, type LogPorts } from '../../agent/log-sinks.ts';
import { createBoundedLines } from '../../agent/logging/bounded-lines.ts';
import { listenForDatagrams } from '../tools/datagrams.ts';
import { describeWith } from '../tools/machine.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

const now = () => Date.UTC(2024, 0, 28, 12);

/** A log into a file, and what the file then has. */
const written = async (
  config: Parameters<typeof createLog>[0],
  say: (log: ReturnType<typeof createLog>['log']) => void,
  ports: (fd: number) => Partial<LogPorts> = () => ({}),
): Promise<string> => {
  const file = join(temporaryFolder(), 'log');
  const fd = openSync(file, 'w');
  const sink = createLog(config, { now, fd, environment: {}, ...ports(fd) });
  say(sink.log);
  await sink.close();
  closeSync(fd);
  return readFileSync(file, 'utf8');
};
const stream = (fd: number): string => {
  const { dev, ino } = fstatSync(fd);
  return `${dev}:${ino}`;
};

const signed = '4T1: DKIM-Signature field added (s=240128, d=mail.dev.example.jp)';

describe('text', () => {
  it('is the line and no more', async () => {
    const text = await written({ format: 'text', to: 'stdout' }, (log) => {
      log(signed, { queueId: '4T1', selector: '240128' });
      log('second');
    });
    expect(text).toBe(`${signed}\nsecond\n`);
  });

  it('has a priority where the standard output is the journal', async () => {
    const text = await written(
      { format: 'text', to: 'stdout' },
      (log) => log(signed),
      (fd) => ({ environment: { JOURNAL_STREAM: stream(fd) } }),
    );
    expect(text).toBe(`<6>${signed}\n`);
  });

  it('has none where another descriptor was the journal', async () => {
    const text = await written(
      { format: 'text', to: 'stdout' },
      (log) => log(signed),
      () => ({ environment: { JOURNAL_STREAM: '8:1' } }),
    );
    expect(text).toBe(`${signed}\n`);
  });

  it('never begins a line of somebody else', async () => {
    const text = await written({ format: 'text', to: 'stdout' }, (log) =>
      log('a\r\n<2>forged\x1b[2J\u0000 end'),
    );
    expect(text).toBe('a <2>forged [2J  end\n');
  });

  it('cuts what no syslog would take', async () => {
    const text = await written({ format: 'text', to: 'stdout' }, (log) => log('x'.repeat(100_000)));
    expect(text).toBe(`${'x'.repeat(4_000)}\n`);
  });
});

describe('json', () => {
  it('has the facts in fields, and the line', async () => {
    const text = await written({ format: 'json', to: 'stdout' }, (log) => {
      log(signed, { event: 'signed', queueId: '4T1', selector: '240128', domain: 'mail.dev.example.jp' });
      log('a "quoted"\nline');
    });
    const [first, second, rest] = text.split('\n');
    expect(JSON.parse(first ?? '')).toEqual({
      level: 'info',
      time: '2024-01-28T12:00:00.000Z',
      event: 'signed',
      queueId: '4T1',
      selector: '240128',
      domain: 'mail.dev.example.jp',
      msg: signed,
    });
    expect(JSON.parse(second ?? '')).toMatchObject({ level: 'info', msg: 'a "quoted" line' });
    expect(rest).toBe('');
  });
});

describe('a slow reader', () => {
  it('bounds what waits, and hears how many lines are missing, where they are', async () => {
    const writes: string[] = [];
    let release: (() => void) | undefined;
    const lines = createBoundedLines(
      {
        write(text, done) {
          writes.push(text);
          release = done;
        },
        close: async () => {},
      },
      (count) => `missing ${count}\n`,
      50,
    );
    const line = (n: number) => `line ${String(n).padStart(4, '0')}\n`;
    lines.push(line(0));
    await wait(5);
    expect(writes).toEqual([line(0)]);
    for (let n = 1; n <= 100; n += 1) lines.push(line(n));
    expect(lines.dropped).toBe(95);
    release?.();
    expect(writes[1]).toBe(`${[1, 2, 3, 4, 5].map(line).join('')}missing 95\n`);
    lines.push(line(101));
    release?.();
    expect(writes[2]).toBe(line(101));
  });

  const program = `
    import { createLog } from ${JSON.stringify(join(import.meta.dirname, '../../agent/log-sinks.ts'))};
    const sink = createLog({ format: 'text', to: 'stdout' }, { now: Date.now });
    let longest = 0;
    let last = performance.now();
    setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 5);
    let n = 0;
    const more = () => {
      for (let i = 0; i < 1_000; i += 1) sink.log('line ' + (n += 1) + ' ' + 'x'.repeat(80));
      if (n < 200_000) setTimeout(more, 1);
      else process.stderr.write(JSON.stringify({ longest, dropped: sink.dropped, rss: process.memoryUsage().rss }) + '\\n');
    };
    more();
    process.once('SIGTERM', () => {
      sink.log('the end');
      sink.close().then(() => process.exit(0));
    });
  `;
  let child: ChildProcess | undefined;
  afterEach(() => void child?.kill('SIGKILL'));

  it('of a real pipe holds nothing up', async () => {
    const reader = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = reader;
    // Nobody reads the standard output until the child has written 18 MB.
    const [report] = await once(reader.stderr, 'data');
    const { longest, dropped, rss } = JSON.parse(String(report));
    expect(dropped).toBeGreaterThan(100_000);
    expect(rss).toBeLessThan(200 << 20);
    expect(longest).toBeLessThan(1_000);
    reader.kill('SIGTERM');
    let text = '';
    for await (const chunk of reader.stdout) text += chunk;
    const lines = text.trimEnd().split('\n');
    expect(lines.slice(0, 2).every((line) => /^line [12] x+$/.test(line))).toBe(true);
    expect(lines.at(-1)).toMatch(/^\d+ lines are missing here: the reader of this log was too slow$/);
    // Nothing is torn.
    expect(lines.slice(0, -1).every((line) => /^line \d+ x{80}$/.test(line))).toBe(true);
  });

  it('that went away does not end the agent', async () => {
    const reader = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = reader;
    reader.stdout.destroy();
    await once(reader.stderr, 'data');
    expect(reader.exitCode).toBeNull();
    reader.kill('SIGTERM');
    expect(await once(reader, 'exit')).toEqual([0, null]);
  });
});

describeWith(['logger', 'python3'], 'syslog', () => {
  /** Real logger(1), told of another socket than /dev/log. */
  const loggerTo = (socket: string): string => {
    const file = join(temporaryFolder(), 'logger');
    writeFileSync(file, `#!/bin/sh\necho $$ >>${socket}.pids\nexec logger -u ${socket} "$@"\n`);
    chmodSync(file, 0o755);
    return file;
  };

  it('gets facility mail, our identifier and our process id, through a child that is started again', async () => {
    const socket = join(temporaryFolder(), 'log');
    const syslog = await listenForDatagrams(socket);
    onTestFinished(() => syslog.close());
    const sink = createLog({ format: 'text', to: 'syslog' }, { now, logger: loggerTo(socket) });
    onTestFinished(() => sink.close());
    sink.log(signed);
    // Facility mail (2) × 8 + info (6).
    expect(await syslog.has('DKIM-Signature')).toMatch(
      new RegExp(`^<22>.* selkie-agent\\[${process.pid}\\]: 4T1: DKIM-Signature field added \\(s=240128`),
    );
    const [pid] = readFileSync(`${socket}.pids`, 'utf8').split('\n');
    process.kill(Number(pid), 'SIGKILL');
    await wait(100);
    for (let n = 0; n < 50; n += 1) sink.log(`later ${n} end`);
    await syslog.has('later 49 end');
    sink.log('last words');
    await sink.close();
    await syslog.has('last words');
    expect(readFileSync(`${socket}.pids`, 'utf8').trim().split('\n')).toHaveLength(2);
  });

  it('is not missed by anybody where there is no logger: lines wait, within bounds', async () => {
    const sink = createLog({ format: 'text', to: 'syslog' }, { now, logger: '/nonexistent/logger' });
    for (let n = 0; n < 50_000; n += 1) sink.log(`line ${n} ${'x'.repeat(80)}`);
    await wait(50);
    expect(sink.dropped).toBeGreaterThan(30_000);
    const before = performance.now();
    await sink.close();
    expect(performance.now() - before).toBeLessThan(3_000);
  });
});
