// setup and uninstall on a real Postfix: mail is signed through it, verifiers accept it, and main.cf comes back byte by byte.
import { execFile } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Milter, type MilterAddress, startMilter } from '../../../agent/milter/server.ts';
import { applyPlan } from '../../../agent/postfix/apply.ts';
import { type Exec, systemExec } from '../../../agent/postfix/exec.ts';
import { readJournal } from '../../../agent/postfix/journal.ts';
import { planInstance } from '../../../agent/postfix/plan.ts';
import { readInstance } from '../../../agent/postfix/read.ts';
import { applyRemoval, planRemoval } from '../../../agent/postfix/uninstall.ts';
import type { Wish } from '../../../agent/postfix/wish.ts';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import { instant } from '../../../core/time.ts';
import * as dkimpy from '../../oracles/dkimpy.ts';
import * as mailauth from '../../oracles/mailauth.ts';
import { lines, recordsOf, testKey } from '../../oracles/records.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Postfix, type PostfixOptions, startPostfix } from '../../tools/postfix.ts';
import { type SmtpSink, sendSmtp, startSmtpSink } from '../../tools/smtp.ts';

const program = join(import.meta.dirname, '../../../agent/main.ts');
const agent = async (...args: string[]): Promise<{ code: number; out: string; err: string }> => {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [program, ...args]);
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
};

const domain = 'example.com';
const keys = [testKey(domain, '240128'), testKey(domain, '240128e', 'ed25519')];
const records = recordsOf(...keys);
const noon = instant(Date.UTC(2024, 0, 28, 12));
const exec = systemExec();

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
const wishFor = (port: number): Wish => ({
  milter: { host: '127.0.0.1', port },
  replace: [],
  signers: new Map(),
});
const planned = async (wish: Wish) => planInstance(await readInstance(exec, postfix.configDirectory), wish);

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

    const plan = await agent('setup', ...args);
    expect(plan).toMatchObject({ code: 0, err: '' });
    expect(plan.out).toContain(`    - accept\n    + tempfail\n`);
    expect(plan.out).toContain('Nothing was changed.');
    expect(both()).toEqual(before);

    const done = await agent('setup', ...args, '--apply');
    expect(done).toMatchObject({ code: 0, err: '', out: expect.stringContaining('Postfix was reloaded') });
    expect(read('main.cf.org')).toBe(before.main);
    expect(read('master.cf.org')).toBe(before.master);
    expect(read('master.cf')).toContain(`-o smtpd_milters=inet:127.0.0.1:${port}`);
    expect(read('main.cf')).toContain('# in the middle');
    await expectSigned();

    const set = both();
    const again = await agent('setup', ...args, '--apply');
    expect(again).toMatchObject({ code: 0, out: expect.stringContaining('nothing to do') });
    expect(both()).toEqual(set);

    const removal = await agent('uninstall', '--postfix', postfix.configDirectory);
    expect(removal.out).toContain('byte by byte');
    expect(both()).toEqual(set);
    expect(await agent('uninstall', '--postfix', postfix.configDirectory, '--apply')).toMatchObject({
      code: 0,
    });
    expect(both()).toEqual(before);
    expect(existsSync(join(postfix.configDirectory, 'selkie-agent.json'))).toBe(false);
    expect((await agent('uninstall', '--postfix', postfix.configDirectory, '--apply')).out).toContain(
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
    expect(await agent('setup', ...args, '--instance', 'postfix-in')).toMatchObject({
      code: 1,
      err: expect.stringContaining('there are postfix, postfix-out'),
    });
    await agent('setup', ...args, '--instance', 'postfix-out');
    expect(await postfix.postconf('-h', 'smtpd_milters')).toBe('\n');
    expect(await second.postconf('-h', 'smtpd_milters')).toBe(`inet:127.0.0.1:${port}\n`);
    await agent('setup', ...args);
    expect(await postfix.postconf('-h', 'smtpd_milters')).toBe(`inet:127.0.0.1:${port}\n`);
    await agent('uninstall', '--postfix', postfix.configDirectory, '--apply');
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
    const done = await agent('setup', '--postfix', postfix.configDirectory, '--milter', milter, '--apply');
    expect(done).toMatchObject({ code: 0, err: '' });
    expect(await postfix.postconf('-h', 'smtpd_milters')).toBe('unix:selkie/milter.sock\n');
    await expectSigned();
    const outside = await agent(
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
      agent('setup', '--postfix', postfix.configDirectory, '--milter', `unix:${path}`, ...more);
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

describeWith(['postfix'], 'a setup that Postfix does not take', () => {
  const failing =
    (call: RegExp): Exec =>
    (name, args, onLine) =>
      call.test([name, ...args].join(' '))
        ? Promise.resolve({ code: 1, out: '', err: 'postfix: fatal: as it happens\n' })
        : exec(name, args, onLine);

  it.each([
    ['postfix check fails', / check$/],
    ['postconf fails on main.cf', / -e /],
    ['postconf fails on master.cf', / -P .*=/],
  ])('leaves everything as it was: %s', async (_, call) => {
    await start({ smtpd: { smtpd_milters: '' } });
    const before = both();
    const wish = wishFor(8893);
    await expect(applyPlan(failing(call), await planned(wish), wish, noon)).rejects.toThrow(
      /as it happens.*is as it was\.$/,
    );
    expect(both()).toEqual(before);
    expect(await readJournal(postfix.configDirectory)).toBeUndefined();
    expect(read('main.cf.org')).toBe(before.main);
    // The next time it is taken; what was before is kept again, with the date.
    await applyPlan(exec, await planned(wish), wish, noon);
    expect((await planned(wish)).changes).toEqual([]);
    expect(read('main.cf.2024-01-28')).toBe(before.main);
  });

  it('comes back to the setup before it', async () => {
    await start();
    await applyPlan(exec, await planned(wishFor(8893)), wishFor(8893), noon);
    const [set, journal] = [both(), await readJournal(postfix.configDirectory)];
    const wish = { ...wishFor(8894), replace: ['inet:127.0.0.1:8893'] };
    await expect(applyPlan(failing(/ check$/), await planned(wish), wish, noon)).rejects.toThrow();
    expect(both()).toEqual(set);
    expect(await readJournal(postfix.configDirectory)).toEqual(journal);
  });
});

describeWith(['postfix'], 'uninstall', () => {
  const wish = wishFor(8893);
  const ours = 'inet:127.0.0.1:8893';
  const setUp = async (): Promise<void> => {
    await applyPlan(exec, await planned(wish), wish, noon);
  };
  const remove = async () => {
    const journal = await readJournal(postfix.configDirectory);
    if (journal === undefined) throw new Error('no journal');
    const removal = await planRemoval(await readInstance(exec, postfix.configDirectory), journal);
    await applyRemoval(exec, removal, noon);
    return removal;
  };
  const value = async (parameter: string): Promise<string> =>
    (await postfix.postconf('-h', parameter)).trim();

  it('leaves what an administrator has changed since, and says so', async () => {
    await start({ settings: { milter_default_action: 'accept', smtpd_milters: 'inet:localhost:11332' } });
    await setUp();
    await postfix.postconf(
      '-e',
      'milter_default_action=quarantine',
      'mydestination=other.example',
      `smtpd_milters=inet:localhost:11332, ${ours}, unix:/new`,
    );
    const { remarks } = await remove();
    expect(remarks).toEqual([expect.stringContaining('milter_default_action was changed since setup')]);
    expect(await value('milter_default_action')).toBe('quarantine');
    expect(await value('mydestination')).toBe('other.example');
    // Postfix would put off all mail if ours stayed.
    expect(await value('smtpd_milters')).toBe('inet:localhost:11332, unix:/new');
    expect(await value('non_smtpd_milters')).toBe('');
    expect(await postfix.postconf('-n', 'internal_mail_filter_classes')).toBe('');
  });

  it('takes both of two setups back, byte by byte where nobody else was at work', async () => {
    await start({ smtpd: { smtpd_milters: 'unix:/s' } });
    const before = both();
    await setUp();
    const second = { ...wishFor(8894), replace: [ours] };
    await applyPlan(exec, await planned(second), second, noon);
    expect(await value('smtpd_milters')).toBe('inet:127.0.0.1:8894');
    await remove();
    expect(both()).toEqual(before);
  });

  it('does not bring an older file back over what changed between two setups', async () => {
    await start();
    await setUp();
    await postfix.postconf('-e', 'mydestination=other.example');
    await postfix.postconf('-X', 'internal_mail_filter_classes');
    await setUp();
    await remove();
    expect(await value('mydestination')).toBe('other.example');
    expect(await value('smtpd_milters')).toBe('');
    expect(await value('internal_mail_filter_classes')).toBe('');
  });

  it('knows what was meant after a setup that was cut off', async () => {
    await start({ smtpd: { smtpd_milters: '' } });
    const before = both();
    const cut: Exec = (name, args, onLine) => {
      // The power goes after main.cf was written: nothing is restored either.
      if (args.includes('-P') && args.some((arg) => arg.includes('='))) return new Promise(() => {});
      return exec(name, args, onLine);
    };
    void applyPlan(cut, await planned(wish), wish, noon);
    await expect.poll(() => value('smtpd_milters'), { timeout: 10_000 }).toBe(ours);
    await remove();
    expect(both()).toEqual(before);
  });

  it('keeps modes and owners, and a copy of everything', async () => {
    await start();
    const path = join(postfix.configDirectory, 'main.cf');
    const { mode, uid, gid } = statSync(path);
    await setUp();
    await remove();
    expect(statSync(path)).toMatchObject({ mode, uid, gid });
    expect(readdirSync(postfix.configDirectory).toSorted()).toEqual([
      'main.cf',
      'main.cf.2024-01-28',
      'main.cf.org',
      'master.cf',
    ]);
  });

  it('refuses a damaged journal', async () => {
    await start();
    writeFileSync(join(postfix.configDirectory, 'selkie-agent.json'), '{"changes": 1}');
    await expect(readJournal(postfix.configDirectory)).rejects.toThrow(/selkie-agent\.json/);
  });
});
