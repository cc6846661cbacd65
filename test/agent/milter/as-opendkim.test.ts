// The same mail before OpenDKIM and before us: who is signed for, by which domain, and over which fields.
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type MilterTarget, sendThroughMilter } from '../../../agent/milter/client.ts';
import { parseMessage } from '../../../agent/milter/raw-message.ts';
import { type Milter, startMilter } from '../../../agent/milter/server.ts';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import { signingTable } from '../../../agent/signing/signing-table.ts';
import { testKey } from '../../oracles/records.ts';
import { freePort } from '../../tools/free-port.ts';
import { describeWith, program } from '../../tools/machine.ts';
import { makeFolder } from '../../tools/temporary-folder.ts';

const rows = [
  ['sales-*@mail.example.com', 'sales.example.com'],
  ['*@mail.example.com', 'mail.example.com'],
  ['jo@example.org', 'example.org'],
  ['*@*.sub.example.com', 'sub.example.com'],
  ['*@a.*.example.net', 'example.net'],
  ['boss@*', 'example.org'],
] as const;
const key = testKey('example.com', '240128');
const domains = [...new Set(rows.map(([, domain]) => domain))];
/** With us a domain that has keys needs no row. */
const theirRows = [...rows, ...domains.map((domain) => [`*@${domain}`, domain] as const)];

const folder = makeFolder();
let opendkim: ChildProcess | undefined;
let theirs: MilterTarget;
let milter: Milter | undefined;
let ours: MilterTarget;

/** `d=` of the message's signature and the names in its `h=`; undefined where there is none. */
const signed = async (
  target: MilterTarget,
  header: string,
): Promise<{ d: string; h: string[] } | undefined> => {
  const { raw, verdict } = await sendThroughMilter(target, {
    macros: { i: 'Q' },
    from: 'jo@example.com',
    to: ['rcpt@example.org'],
    raw: Buffer.from(`${header}\r\n\r\nHello.\r\n`),
  });
  expect(verdict).toBe('accept');
  const value = parseMessage(raw)
    .fields.find((field) => field.name === 'DKIM-Signature')
    ?.value.replace(/\s/g, '');
  const tag = (name: string): string => new RegExp(`(?:^|;)${name}=([^;]*)`).exec(value ?? '')?.[1] ?? '';
  return value === undefined ? undefined : { d: tag('d'), h: tag('h').toLowerCase().split(':').toSorted() };
};

const until = async (ready: () => Promise<unknown>): Promise<void> => {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await ready();
      return;
    } catch (error) {
      if (attempt === 100) throw error;
      await wait(50);
    }
  }
};

describeWith(['opendkim'], 'as OpenDKIM', () => {
  beforeAll(async () => {
    const port = await freePort();
    theirs = { host: '127.0.0.1', port };
    const file = (name: string, ...lines: readonly string[]): string => {
      writeFileSync(join(folder, name), `${lines.join('\n')}\n`, { mode: 0o600 });
      return join(folder, name);
    };
    const pem = file('key.pem', key.key.export({ type: 'pkcs8', format: 'pem' }).toString().trim());
    const conf = file(
      'opendkim.conf',
      'Mode s',
      `Socket inet:${port}@127.0.0.1`,
      'Syslog no',
      'RequireSafeKeys no',
      'Canonicalization relaxed/relaxed',
      'OversignHeaders From',
      `KeyTable file:${file('KeyTable', ...domains.map((domain) => `${domain} ${domain}:240128:${pem}`))}`,
      `SigningTable refile:${file('SigningTable', ...theirRows.map((row) => row.join(' ')))}`,
    );
    opendkim = spawn(program('opendkim') ?? 'opendkim', ['-f', '-x', conf], { stdio: 'ignore' });
    await until(() => signed(theirs, 'From: nobody@example.invalid'));

    const ring = createKeyRing();
    ring.replace(domains.map((domain) => ({ ...key, domain })));
    milter = await startMilter({
      listen: { host: '127.0.0.1', port: 0 },
      ring,
      table: signingTable(rows.map(([match, domain]) => ({ match, domain }))),
      now: () => Date.now(),
      log: () => undefined,
    });
    ours = { host: '127.0.0.1', port: milter.port ?? 0 };
  });
  afterAll(async () => {
    await milter?.close();
    const gone = new Promise((resolve) => opendkim?.once('exit', resolve));
    // Asked politely, libmilter takes 5 s; it has nothing to save.
    if (opendkim?.kill('SIGKILL')) await gone;
    rmSync(folder, { recursive: true, force: true });
  });

  it.each([
    'jo@mail.example.com',
    'Jo Doe <jo@mail.example.com>',
    '"Doe, Jo" <JO@Mail.Example.Com>',
    'jo@mail.example.com (Jo)',
    'Jo (the one) <jo@mail.example.com>',
    'sales-eu@mail.example.com',
    'SALES-eu@mail.example.com',
    'sales@mail.example.com',
    'jo@example.org',
    'mo@example.org',
    'boss@anything.example',
    'x@a.b.sub.example.com',
    'x@b.sub.example.com',
    'x@sub.example.com',
    'x@xsub.example.com',
    'x@a.b.example.net',
    'x@b.b.example.net',
    'x@elsewhere.example',
    'jo@mail.example.com, mo@elsewhere.example',
    'mo@elsewhere.example, jo@mail.example.com',
    '<jo@mail.example.com>, <jo@example.org>',
    'Team: jo@mail.example.com, mo@elsewhere.example;',
    '=?utf-8?q?J=C3=B6?= <jo@mail.example.com>',
    '"jo@elsewhere.example" <jo@mail.example.com>',
    'Jo Doe',
    '',
  ])('From: %s', async (from) => {
    const header = `From: ${from}\r\nSubject: a test`;
    expect((await signed(ours, header))?.d).toBe((await signed(theirs, header))?.d);
  });

  it.each([
    ['no From', 'Subject: a test'],
    ['a Sender alone', 'Sender: jo@mail.example.com'],
    ['a Sender beside', 'From: x@elsewhere.example\r\nSender: jo@mail.example.com'],
  ])('%s', async (_, header) => {
    expect((await signed(ours, header))?.d).toBe((await signed(theirs, header))?.d);
  });

  it('every field that it signs is signed, as often', async () => {
    const names =
      'From Reply-To Subject Date To Cc Resent-Date Resent-From Resent-Sender Resent-To Resent-Cc In-Reply-To References ' +
      'List-Id List-Help List-Unsubscribe List-Subscribe List-Post List-Owner List-Archive Received Return-Path Bcc ' +
      'Comments Keywords X-Mailer Sender Message-ID MIME-Version Content-Type To Subject';
    const header = names
      .split(' ')
      .map((name) => `${name}: ${name === 'From' ? 'jo@mail.example.com' : 'x'}`)
      .join('\r\n');
    const [our, their] = [await signed(ours, header), await signed(theirs, header)];
    expect(their?.h).toContain('list-archive');
    const more = [...(our?.h ?? [])];
    for (const name of their?.h ?? []) more.splice(more.indexOf(name), more.includes(name) ? 1 : 0);
    expect(our?.h).toEqual([...(their?.h ?? []), ...more].toSorted());
    expect(more).toEqual(['content-type', 'message-id', 'mime-version', 'sender']);
  });

  it('but not two From fields: whose message it is would be a guess', async () => {
    const header = 'From: jo@mail.example.com\r\nFrom: jo@elsewhere.example';
    expect(await signed(theirs, header)).toBeDefined();
    expect(await signed(ours, header)).toBeUndefined();
  });
});
