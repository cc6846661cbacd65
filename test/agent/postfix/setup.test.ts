import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Milter, type MilterAddress, startMilter } from '../../../agent/milter/server.ts';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import * as dkimpy from '../../oracles/dkimpy.ts';
import * as mailauth from '../../oracles/mailauth.ts';
import { lines, recordsOf, testKey } from '../../oracles/records.ts';
import { runAgent } from '../../tools/agent-program.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Postfix, type PostfixOptions, startPostfix } from '../../tools/postfix.ts';
import { type SmtpSink, sendSmtp, startSmtpSink } from '../../tools/smtp.ts';

const domain = 'example.com';
const keys = [testKey(domain, '240128'), testKey(domain, '240128e', 'ed25519')];
const records = recordsOf(...keys);

let closers: (() => Promise<void>)[] = [];
let sink: SmtpSink;
let postfix: Postfix;
beforeEach(async () => {
  closers = [];
  sink = await startSmtpSink();
  closers.push(() => sink.close());
});
afterEach(async () => {
  for (const close of closers.toReversed()) await close();
});

const start = async (options: PostfixOptions = {}): Promise<Postfix> => {
  postfix = await startPostfix({ deliverTo: sink.port, ...options });
  closers.push(() => postfix.close());
  return postfix;
};
const signer = async (listen: MilterAddress = { host: '127.0.0.1', port: 0 }): Promise<Milter> => {
  const ring = createKeyRing();
  ring.replace(keys);
  const milter = await startMilter({ listen, ring, now: Date.now, log: () => {} });
  closers.push(() => milter.close());
  return milter;
};

const read = (file: string): string => readFileSync(join(postfix.configDirectory, file), 'utf8');
const both = () => ({ main: read('main.cf'), master: read('master.cf') });
const mail = (subject: string): Buffer =>
  Buffer.from(`From: someone@${domain}\r\nTo: you@other.example\r\nSubject: ${subject}\r\n\r\nGood day.\r\n`);
const pass = ['240128 example.com pass', '240128e example.com pass'];

/** SMTP, sendmail, and a bounce: all signed, as verifiers find that share no code with us. */
const expectSigned = async (): Promise<void> => {
  const before = sink.messages.length;
  await sendSmtp(postfix.port, {
    from: `someone@${domain}`,
    to: ['you@other.example'],
    raw: mail('by SMTP'),
  });
  await postfix.sendmail({ from: `someone@${domain}`, to: ['you@other.example'], raw: mail('by sendmail') });
  sink.recipient = (address) => (address.startsWith('nobody@') ? '550 5.1.1 no such user' : '250 Ok');
  await sendSmtp(postfix.port, {
    from: `someone@${domain}`,
    to: ['nobody@other.example'],
    raw: mail('to nobody'),
  });
  const messages = (await sink.received(before + 3)).slice(before);
  expect(messages.some(({ from }) => from === '')).toBe(true);
  for (const { raw } of messages) {
    expect(lines(await mailauth.verify(raw, records)).toSorted()).toEqual(pass);
    expect(lines(await dkimpy.verify(raw, records)).toSorted()).toEqual(pass);
  }
};

describeWith(['postfix', 'dkimpy'], 'setup and uninstall', () => {
  it('sign SMTP, sendmail and bounces; again is the same; and put all back', {
    timeout: 90_000,
  }, async () => {
    const { port = 0 } = await signer();
    await start({ settings: { myorigin: domain, milter_default_action: 'accept', smtpd_milters: '' } });
    // As people write it: comments, folded values, a service with options.
    appendFileSync(
      join(postfix.configDirectory, 'main.cf'),
      '# our own\nmy_list =\n   one,\n   # in the middle\n\ttwo\ninternal_mail_filter_classes =\n',
    );
    appendFileSync(
      join(postfix.configDirectory, 'master.cf'),
      '# for logins\n127.0.0.1:0 inet n - n - - smtpd\n   -o smtpd_milters=   \n\t-o { my_list = a, b }\n'.replace(
        '127.0.0.1:0',
        `127.0.0.1:${postfix.port + 1 > 65_535 ? postfix.port - 1 : postfix.port + 1}`,
      ),
    );
    const before = both();
    const args = ['--postfix', postfix.configDirectory, '--milter', `inet:${port}@127.0.0.1`];

    const plan = await runAgent('setup', ...args);
    expect(plan).toMatchObject({ code: 0, err: '' });
    expect(plan.out).toContain(`    - accept\n    + tempfail\n`);
    expect(plan.out).toContain('Nothing was changed.');
    expect(both()).toEqual(before);

    const done = await runAgent('setup', ...args, '--apply');
    expect(done).toMatchObject({ code: 0, err: '', out: expect.stringContaining('Postfix was reloaded') });
    expect(read('main.cf.org')).toBe(before.main);
    expect(read('master.cf.org')).toBe(before.master);
    expect(read('master.cf')).toContain(`-o smtpd_milters=inet:127.0.0.1:${port}`);
    expect(read('main.cf')).toContain('# in the middle');
    await expectSigned();

    const set = both();
    const again = await runAgent('setup', ...args, '--apply');
    expect(again).toMatchObject({ code: 0, out: expect.stringContaining('nothing to do') });
    expect(both()).toEqual(set);

    const removal = await runAgent('uninstall', '--postfix', postfix.configDirectory);
    expect(removal.out).toContain('byte by byte');
    expect(both()).toEqual(set);
    expect(await runAgent('uninstall', '--postfix', postfix.configDirectory, '--apply')).toMatchObject({
      code: 0,
    });
    expect(both()).toEqual(before);
    expect(existsSync(join(postfix.configDirectory, 'selkie-agent.json'))).toBe(false);
    expect((await runAgent('uninstall', '--postfix', postfix.configDirectory, '--apply')).out).toContain(
      'nothing to do',
    );

    await postfix.sendmail({ from: 'someone@example.com', to: ['you@other.example'], raw: mail('unsigned') });
    const last = (await sink.received(4)).at(-1);
    expect(Buffer.from(last?.raw ?? []).toString()).not.toContain('DKIM-Signature');
  });

  it('take in every instance, or the one that is named', { timeout: 90_000 }, async () => {
    const { port = 0 } = await signer();
    await start();
    const second = await postfix.addInstance('postfix-out');
    closers.push(() => second.close());
    const args = ['--postfix', postfix.configDirectory, '--milter', `inet:${port}@127.0.0.1`, '--apply'];
    expect(await runAgent('setup', ...args, '--instance', 'postfix-in')).toMatchObject({
      code: 1,
      err: expect.stringContaining('there are postfix, postfix-out'),
    });
    await runAgent('setup', ...args, '--instance', 'postfix-out');
    expect(await postfix.postconf('-h', 'smtpd_milters')).toBe('\n');
    expect(await second.postconf('-h', 'smtpd_milters')).toBe(`inet:127.0.0.1:${port}\n`);
    await runAgent('setup', ...args);
    expect(await postfix.postconf('-h', 'smtpd_milters')).toBe(`inet:127.0.0.1:${port}\n`);
    await runAgent('uninstall', '--postfix', postfix.configDirectory, '--apply');
    expect(await postfix.postconf('-h', 'smtpd_milters')).toBe('\n');
    expect(await second.postconf('-h', 'smtpd_milters')).toBe('\n');
  });

  it('sign through a socket in the queue directory, from a chroot', { timeout: 60_000 }, async () => {
    await start({ settings: { myorigin: domain } });
    for (const service of [`127.0.0.1:${postfix.port}/inet`, 'cleanup/unix'])
      await postfix.postconf('-F', `${service}/chroot=y`);
    await postfix.reload();
    const folder = join(postfix.queueDirectory, 'selkie');
    mkdirSync(folder, { mode: 0o755 });
    // Everybody may connect: which group Postfix is in, is for the next test.
    await signer({ path: join(folder, 'milter.sock'), mode: 0o666 });
    const milter = `unix:${join(folder, 'milter.sock')}`;
    const done = await runAgent('setup', '--postfix', postfix.configDirectory, '--milter', milter, '--apply');
    expect(done).toMatchObject({ code: 0, err: '' });
    expect(await postfix.postconf('-h', 'smtpd_milters')).toBe('unix:selkie/milter.sock\n');
    await expectSigned();
    const outside = await runAgent(
      'setup',
      '--postfix',
      postfix.configDirectory,
      '--milter',
      'unix:/run/m.sock',
      '--apply',
    );
    expect(outside).toMatchObject({ code: 1, err: expect.stringContaining('run chrooted in') });
  });

  it('change nothing while Postfix could not reach the signer, unless told to', {
    timeout: 60_000,
  }, async () => {
    await start();
    const before = both();
    const folder = join(postfix.queueDirectory, 'selkie');
    mkdirSync(folder, { mode: 0o700 });
    const path = join(folder, 'milter.sock');
    const setup = (...more: string[]) =>
      runAgent('setup', '--postfix', postfix.configDirectory, '--milter', `unix:${path}`, ...more);
    const away = await setup('--apply');
    expect(away).toMatchObject({ code: 1, err: expect.stringContaining('would put off all mail') });
    expect(away.out).toContain('The signer cannot be reached now');
    await signer({ path });
    const closed = await setup('--apply');
    expect(closed).toMatchObject({
      code: 1,
      out: expect.stringContaining(`postfix may not enter ${folder}`),
    });
    expect(both()).toEqual(before);
    expect(await setup('--apply', '--force')).toMatchObject({ code: 0 });
    expect(await postfix.postconf('-h', 'smtpd_milters')).toBe('unix:selkie/milter.sock\n');
  });
});
