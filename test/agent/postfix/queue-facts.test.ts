// How long queues hold mail, for acknowledgements: by what postconf and postqueue say, kept when they fail.
import { beforeEach, describe, expect, it } from 'vitest';
import { systemExec } from '../../../agent/postfix/exec.ts';
import { postfixTime, type QueueFacts, watchQueues } from '../../../agent/postfix/queue-facts.ts';
import { add, days, formatDuration, hours, instant, minutes, seconds } from '../../../core/time.ts';
import { describeWith } from '../../tools/machine.ts';
import { startPostfix } from '../../tools/postfix.ts';
import { sendSmtp } from '../../tools/smtp.ts';
import { type FakeExec, fakeExec, type Transcript } from './fake.ts';

const noon = instant(Date.UTC(2024, 0, 28, 12));
const backoff = seconds(4_000);

const settings = (maximal = '5d', bounce = '5d', backoffTime = '4000s'): string =>
  `bounce_queue_lifetime = ${bounce}\nmaximal_queue_lifetime = ${maximal}\nmaximal_backoff_time = ${backoffTime}\n`;
/** As postqueue(1) prints it. */
const message = (age: number, name = 'deferred', sender = 'a@example.com'): string =>
  `{"queue_name": "${name}", "queue_id": "3B2C11F", "arrival_time": ${(noon - age) / 1_000}, "message_size": 355, "forced_expire": false, "sender": ${JSON.stringify(sender)}, "recipients": [{"address": "b@example.net", "delay_reason": "timed out"}]}\n`;

const one: Transcript = {
  'postconf -h config_directory': '/etc/postfix\n',
  'postconf -c /etc/postfix -xh': '\n',
  'postconf -c /etc/postfix': '',
  'postconf -c /etc/postfix -x ': settings(),
  'postqueue -c /etc/postfix -j': '',
};

let exec: FakeExec;
let lines: string[];
let due: (() => void)[];
beforeEach(() => {
  exec = fakeExec(one);
  lines = [];
  due = [];
});

const watch = async (transcript: Transcript = {}): Promise<QueueFacts> => {
  exec.transcript = { ...one, ...transcript };
  const facts = watchQueues({
    exec,
    now: () => noon,
    timer: {
      after(delay, run) {
        expect(delay).toBe(minutes(5));
        due.push(run);
        return () => due.splice(due.indexOf(run), 1);
      },
    },
    log: (line) => lines.push(line),
  });
  expect(facts.lifetime()).toBeUndefined();
  await facts.refresh();
  return facts;
};
const lifetime = async (transcript: Transcript): Promise<string | undefined> => {
  const length = (await watch(transcript)).lifetime();
  return length === undefined ? undefined : formatDuration(length);
};

describe("Postfix's times", () => {
  it.each([
    ['5d', 'd', days(5)],
    ['5', 'd', days(5)],
    ['300', 's', seconds(300)],
    ['1w', 'd', days(7)],
    ['12h', 'd', hours(12)],
    ['90m', 's', minutes(90)],
    ['0', 'd', 0],
    ['soon', 'd', undefined],
    ['', 'd', undefined],
    ['-1d', 'd', undefined],
  ] as const)('%s in %s', (text, unit, expected) => expect(postfixTime(text, unit)).toBe(expected));
});

describe('the queue lifetime', () => {
  const x = 'postconf -c /etc/postfix -x ';
  const queue = 'postqueue -c /etc/postfix -j';

  it('is the longer of the two, and the last attempt comes a backoff later', async () => {
    expect(await lifetime({ [x]: settings('2d', '5d', '1h') })).toBe('P5DT1H');
    expect(await lifetime({ [x]: settings('1w', '5d', '1h') })).toBe('P7DT1H');
  });

  it('is not changed by mail that is younger', async () => {
    expect(await lifetime({ [queue]: message(days(4)) + message(minutes(1), 'active') })).toBe('P5DT1H6M40S');
  });

  it('is the age of the oldest message, held ones included, with a last attempt', async () => {
    const held = message(days(1)) + message(days(40), 'hold') + message(days(2));
    expect(await lifetime({ [queue]: held })).toBe('P40DT1H6M40S');
  });

  it('grows with that age between two looks', async () => {
    let now = noon;
    exec.transcript = { ...one, [queue]: message(days(40), 'hold') };
    const facts = watchQueues({ exec, now: () => now, timer: { after: () => () => {} }, log: () => {} });
    await facts.refresh();
    now = add(noon, days(3));
    expect(facts.lifetime()).toBe(days(43) + backoff);
  });

  it('does not take what is not signed yet, nor a sender for a time', async () => {
    const odd = message(days(9), 'maildrop') + message(days(1), 'hold', '"arrival_time": 5 @example.com');
    expect(await lifetime({ [queue]: odd })).toBe('P5DT1H6M40S');
  });

  it('is that of all instances', async () => {
    const out = 'postconf -c /etc/postfix-out';
    const two = {
      'postconf -c /etc/postfix -xh': '/etc/postfix-out\n',
      [out]: '',
      [`${out} -x `]: settings('9d', '1d'),
      'postqueue -c /etc/postfix-out -j': '',
    };
    expect(await lifetime(two)).toBe('P9DT1H6M40S');
    expect(await lifetime({ ...two, 'postqueue -c /etc/postfix-out -j': message(days(10), 'hold') })).toBe(
      'P10DT1H6M40S',
    );
    // An instance that cannot be asked counts with Postfix's default.
    const broken = { code: 1, err: 'postconf: fatal: no' };
    expect(await lifetime({ ...two, [x]: settings('1d', '1d'), [out]: broken, [`${out} -x `]: broken })).toBe(
      'P5D',
    );
  });
});

describe('trouble', () => {
  it('without Postfix leaves it unknown, said once', async () => {
    exec.transcript = {};
    const facts = watchQueues({
      exec,
      now: () => noon,
      timer: { after: () => () => {} },
      log: (line) => lines.push(line),
    });
    await facts.refresh();
    await facts.refresh();
    expect(facts.lifetime()).toBeUndefined();
    expect(lines).toEqual(['queues: There is no Postfix on this host: postconf is not in the PATH.']);
  });

  it('keeps what was known, and says when it is over', async () => {
    const facts = await watch({ 'postqueue -c /etc/postfix -j': message(days(40), 'hold') });
    const before = facts.lifetime();
    const good = exec.transcript;
    exec.transcript = {
      ...good,
      'postqueue -c /etc/postfix -j': {
        code: 69,
        err: 'postqueue: fatal: Queue report unavailable - mail system is down',
      },
    };
    await facts.refresh();
    await facts.refresh();
    expect(facts.lifetime()).toBe(before);
    exec.transcript = { 'postconf -h config_directory': { code: 1 } };
    await facts.refresh();
    expect(facts.lifetime()).toBe(before);
    exec.transcript = { ...good, 'postqueue -c /etc/postfix -j': '' };
    await facts.refresh();
    expect(facts.lifetime()).toBe(days(5) + backoff);
    expect(lines).toEqual([
      'queues: postqueue -c /etc/postfix: postqueue: fatal: Queue report unavailable - mail system is down',
      expect.stringContaining('queues: There is no Postfix'),
      'queues: can be read again',
    ]);
  });

  it('in the middle of a list takes what was said', async () => {
    const cut = { code: -1, out: message(days(40), 'hold') };
    expect(await lifetime({ 'postqueue -c /etc/postfix -j': cut })).toBe('P40DT1H6M40S');
  });
});

describe('the watch', () => {
  it('looks again in its time, until it is closed', async () => {
    const facts = await watch();
    await expect.poll(() => due.length).toBe(1);
    const looks = () => exec.calls.filter((call) => call.startsWith('postqueue')).length;
    const before = looks();
    due.shift()?.();
    await expect.poll(looks).toBe(before + 1);
    await expect.poll(() => due.length).toBe(1);
    facts.close();
    expect(due).toEqual([]);
  });
});

describeWith(['postfix'], 'on a real Postfix', () => {
  it('sees a held message', async () => {
    const postfix = await startPostfix({
      settings: {
        maximal_queue_lifetime: '1d',
        bounce_queue_lifetime: '2d',
        smtpd_sender_restrictions: 'static:HOLD',
      },
    });
    try {
      await sendSmtp(postfix.port, {
        from: 'a@example.com',
        to: ['b@example.net'],
        raw: Buffer.from('Subject: x\r\n\r\nx\r\n'),
      });
      await expect.poll(() => postfix.queue()).toMatchObject([{ queue_name: 'hold' }]);
      const inAWeek = Date.now() + days(7);
      const facts = watchQueues({
        exec: systemExec(),
        configDirectories: [postfix.configDirectory],
        now: () => inAWeek,
        timer: { after: () => () => {} },
        log: (line) => lines.push(line),
      });
      await facts.refresh();
      expect(lines).toEqual([]);
      const length = facts.lifetime() ?? 0;
      expect(length).toBeGreaterThan(days(7) + backoff - minutes(1));
      expect(length).toBeLessThan(days(7) + backoff + minutes(10));
    } finally {
      await postfix.close();
    }
  });
});
