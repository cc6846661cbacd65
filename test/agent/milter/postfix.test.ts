// Messages through a real Postfix: what it hands to the milter and what it puts on the wire must be one and the same to a
// verifier, in the strict form ("simple") as well. Bounces, rotations and whole loads: test/e2e.
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Milter, startMilter } from '../../../agent/milter/server.ts';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import type { Canonicalization } from '../../../core/dkim/signature-header.ts';
import * as dkimpy from '../../oracles/dkimpy.ts';
import * as mailauth from '../../oracles/mailauth.ts';
import * as opendkim from '../../oracles/opendkim.ts';
import { lines, recordsOf, testKey } from '../../oracles/records.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Postfix, startPostfix } from '../../tools/postfix.ts';
import { type SmtpSink, sendSmtp, startSmtpSink } from '../../tools/smtp.ts';
import { temporaryFolder } from '../../tools/temporary-folder.ts';

const keys = [testKey('example.com', '240128'), testKey('example.com', '240128e', 'ed25519')];
const records = recordsOf(...keys);
const passes = ['240128 example.com pass', '240128e example.com pass'];

const head =
  'From: Jo <jo@example.com>\r\nTo: rcpt@example.org\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n';
const subject = `${head}Subject: a test\r\n\r\n`;
const messages: Readonly<Record<string, string>> = {
  plain: `${subject}Hello.\r\n`,
  'white space before the colon': `${head}Subject : a test\r\n\r\nHello.\r\n`,
  'no white space behind the colon': `${head}Subject:a test\r\nCc:\tcopy@example.org\r\n\r\nHello.\r\n`,
  'more white space behind the colon': `${head}Subject:  \ta test\r\n\r\nHello.\r\n`,
  'folded fields': `${head}Subject: a test,\r\n\tfolded  \r\n twice \r\nCc: a@example.org,\r\n  b@example.org\r\n\r\nHello.\r\n`,
  'a fold at the start': `${head}Subject:\r\n a test\r\n\r\nHello.\r\n`,
  'a fold of white space': `${head}Subject: a\r\n \r\n test\r\n\r\nHello.\r\n`,
  'white space at the end': `${head}Subject: a test  \t\r\n\r\nHello. \r\n`,
  'empty fields': `${head}Subject:\r\nCc: \r\n\r\nHello.\r\n`,
  'a CR alone': `${head}Subject: a\rtest\r\n\r\nHel\rlo.\r\r\n\r\r\n`,
  'a CR before a fold': `${head}Subject: a\r\r\n test\r\n\r\nHello.\r\n`,
  'a LF alone': `${head}Subject: a\n test\r\n\r\nHel\nlo.\n\r\n`,
  '8-bit': `${head}Subject: gr\xc3\xbc\xc3\x9fe\r\n\r\nHe\xe4llo.\r\n`,
  MIME: `${head}MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n`,
  'an empty body': subject,
  'lines of dots': `${subject}.\r\n..\r\n`,
  'blank lines at the end': `${subject}Hello.\r\n\r\n \r\n\r\n`,
  'a NUL': `${subject}Hel\0lo.\r\n`,
  'addresses that are rewritten': `${head}Reply-To: "a b" <@r.example:x@example.org> , y@example.org\r\nCc: Jo <jo>, (c) z@example.org\r\n\r\nHello.\r\n`,
  'fields that are made up': 'From: Jo <jo@example.com>\r\nSubject: a test\r\n\r\nHello.\r\n',
  'a From that is made up': 'To: rcpt@example.org\r\nSubject: a test\r\n\r\nHello.\r\n',
  'an earlier signature': `DKIM-Signature: v=1; d=example.net\r\n${subject}Hello.\r\n`,
};

describeWith(['postfix', 'dkimpy', 'opendkim'], 'through Postfix', () => {
  let sink: SmtpSink;
  beforeAll(async () => {
    sink = await startSmtpSink();
  });
  afterAll(() => sink.close());

  const through = async (
    canonicalization: Canonicalization,
    settings: Record<string, string>,
    judge: (postfix: Postfix, log: readonly string[]) => Promise<void>,
  ): Promise<void> => {
    const ring = createKeyRing();
    ring.replace(keys);
    const log: string[] = [];
    let milter: Milter | undefined;
    let postfix: Postfix | undefined;
    try {
      milter = await startMilter({
        listen: { host: '127.0.0.1', port: 0 },
        ring,
        canonicalization,
        originMacros: { daemon_name: ['ORIGINATING'] },
        internal: ['127.0.0.1'],
        now: () => Date.now(),
        log: (line) => log.push(line),
      });
      postfix = await startPostfix({
        deliverTo: sink.port,
        settings: {
          smtpd_milters: `inet:127.0.0.1:${milter.port}`,
          smtpd_authorized_xclient_hosts: '127.0.0.0/8',
          mynetworks: '0.0.0.0/0 [::]/0',
          ...settings,
        },
      });
      await judge(postfix, log);
    } finally {
      await postfix?.close();
      await milter?.close();
    }
  };
  const delivered = async (postfix: Postfix, raw: string, xclient?: string): Promise<Uint8Array> => {
    const before = sink.messages.length;
    await sendSmtp(
      postfix.port,
      { from: 'jo@example.com', to: ['rcpt@example.org'], raw: Buffer.from(raw, 'latin1') },
      xclient,
    );
    await sink.received(before + 1);
    return sink.messages[before]?.raw ?? new Uint8Array(0);
  };

  it.each(['relaxed/relaxed', 'simple/simple'] as const)(
    'signatures hold, whatever the message looks like: %s',
    async (kind) =>
      through(kind, {}, async (postfix) => {
        for (const [name, raw] of Object.entries(messages)) {
          const wire = await delivered(postfix, raw);
          const own = Buffer.from(
            Buffer.from(wire)
              .toString('latin1')
              .replace(/DKIM-Signature: v=1; d=example.net\r\n/, ''),
            'latin1',
          );
          const found = await Promise.all(
            [mailauth, dkimpy, opendkim].map(async ({ verify }) => lines(await verify(own, records))),
          );
          expect([name, ...found]).toEqual([name, passes, passes, passes]);
          if (name === 'an earlier signature')
            expect(Buffer.from(wire).toString('latin1')).toContain('d=example.net');
        }
      }),
    120_000,
  );

  it('signatures hold where Postfix leaves a stray CR as it is', async () =>
    through('relaxed/relaxed', { cleanup_replace_stray_cr_lf: 'no' }, async (postfix) => {
      const wire = await delivered(postfix, `${head}Subject: a\rtest\r\n\r\nHel\rlo. \r\r\nx\r\n`);
      expect(Buffer.from(wire).toString('latin1')).toContain('\r\n\r\nHel\rlo. \r');
      for (const { verify } of [mailauth, dkimpy]) expect(lines(await verify(wire, records))).toEqual(passes);
    }));

  it('a unix socket lets Postfix in by its group, and by nothing else', async () => {
    const folder = temporaryFolder();
    chmodSync(folder, 0o755);
    const path = join(folder, 'milter');
    const ring = createKeyRing();
    ring.replace(keys);
    const postfix = await startPostfix({ deliverTo: sink.port, settings: { smtpd_milters: `unix:${path}` } });
    const listen = (mode: number) =>
      startMilter({
        listen: { path, group: 'postfix', mode },
        ring,
        now: () => Date.now(),
        log: () => undefined,
      });
    let milter = await listen(0o600);
    try {
      // milter_default_action: the mail waits.
      await expect(delivered(postfix, messages.plain ?? '')).rejects.toThrow(/^SMTP: 451/);
      await milter.close();
      milter = await listen(0o660);
      expect(lines(await mailauth.verify(await delivered(postfix, messages.plain ?? ''), records))).toEqual(
        passes,
      );
    } finally {
      await milter.close();
      await postfix.close();
    }
  });

  it('who is signed for, as Postfix tells of its clients', async () =>
    through('relaxed/relaxed', {}, async (postfix, log) => {
      const plain = messages.plain ?? '';
      for (const [xclient, isSigned] of [
        [undefined, true],
        ['NAME=mx.example.net ADDR=192.0.2.1', false],
        ['NAME=mx.example.net ADDR=192.0.2.1 LOGIN=jo', true],
        ['NAME=[UNAVAILABLE] ADDR=198.51.100.7', false],
      ] as const)
        expect([
          xclient,
          lines(await mailauth.verify(await delivered(postfix, plain, xclient), records)),
        ]).toEqual([xclient, isSigned ? passes : []]);
      // Postfix was asked for the macro at the end of the header: by default it says it with the connection only.
      await postfix.set({ milter_macro_daemon_name: 'ORIGINATING', milter_connect_macros: 'j' });
      await postfix.reload();
      const marked = await delivered(postfix, plain, 'NAME=mx.example.net ADDR=192.0.2.1');
      expect(lines(await mailauth.verify(marked, records))).toEqual(passes);
      expect(
        log
          .map((line) => line.replace(/^[0-9A-Za-z]+: /, ''))
          .filter((line) => !line.includes('field added')),
      ).toEqual([
        'no macros match',
        'mx.example.net [192.0.2.1] not internal',
        'not authenticated',
        'no macros match',
        '[198.51.100.7] [198.51.100.7] not internal',
        'not authenticated',
      ]);
      // Each line bears Postfix's own queue id.
      const queueIds = new Set(log.map((line) => line.split(':')[0]));
      for (const queueId of queueIds) expect(postfix.log()).toContain(`${queueId}: `);
      expect(queueIds.size).toBe(5);
    }));
});
