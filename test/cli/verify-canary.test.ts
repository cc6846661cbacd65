// `selkie verify` with a canary through a real Postfix to its own sink: signed as it should be, by another signer, by none, changed
// on its way, lost, refused.
import { generateKeyPairSync } from 'node:crypto';
import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { freePort } from '../tools/free-port.ts';
import { describeWith } from '../tools/machine.ts';
import { startOpendkim } from '../tools/opendkim.ts';
import { type Postfix, type PostfixOptions, startPostfix } from '../tools/postfix.ts';
import { sendSmtp, startSmtpSink } from '../tools/smtp.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import { domain, startVerifyWorld, type VerifyWorld } from './verify-world.ts';

let world: VerifyWorld;
/** The key of a signer that should not sign any more, though its record still stands. */
const old = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const oldRecord = `v=DKIM1; k=rsa; p=${old.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`;

beforeAll(async () => {
  world = await startVerifyWorld();
}, 60_000);
afterAll(() => world.close());

const withServers = (): void => {
  let end: () => Promise<void>;
  beforeAll(async () => {
    const withOld = (records: Readonly<Record<string, readonly string[]>>) => ({
      ...records,
      [`old._domainkey.${domain}`]: [oldRecord],
    });
    end = await world.serve([withOld, withOld, withOld]);
  }, 60_000);
  afterAll(() => end());
};

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const postfix = async (options: PostfixOptions): Promise<Postfix> => {
  const started = await startPostfix(options);
  ends.push(() => started.close());
  return started;
};

/** Signs by Selkie's milter, unless the options have another. */
const signing = (milter = `inet:${world.milter}`): Readonly<Record<string, string>> => ({
  smtpd_milters: milter,
  milter_default_action: 'tempfail',
  smtp_line_length_limit: '0',
});

const verify = (port: number, sink: number, ...args: string[]) =>
  world.run(
    ...['verify', domain, '--resolver', world.resolver, '--except', 'dns,spf,dmarc,hosts'],
    ...['--smtp', `127.0.0.1:${port}`, '--sink', `127.0.0.1:${sink}`, ...args],
  );

/** A Postfix that delivers to the sink that `verify` opens. */
const through = async (settings: Readonly<Record<string, string>>, ...args: string[]) => {
  const sink = await freePort();
  const host = await postfix({ deliverTo: sink, settings });
  return { host, ...(await verify(host.port, sink, ...args)) };
};

describeWith(['named', 'postfix'], 'a canary through Postfix', () => {
  withServers();

  it('that signs as it should passes, in the eyes of a large receiver too', async () => {
    const { status, stdout, stderr, host } = await through(signing(), '--seen-as', '192.0.2.10', '--json');
    expect(stderr).toBe('');
    const canary = JSON.parse(stdout).checks.at(-1);
    expect(canary).toMatchObject({
      name: `canary by 127.0.0.1:${host.port}`,
      result: 'pass',
      note: `dkim=pass (${world.selectors.join(' + ')}), spf=pass (192.0.2.10), dmarc=pass`,
    });
    expect(canary.authenticationResults).toMatch(
      /^Authentication-Results: selkie-verify; dkim=pass .* spf=pass .*smtp\.mailfrom=.*; dmarc=pass /,
    );
    expect(status).toBe(0);
  });

  it('that does not sign is named', async () => {
    const { status, stdout } = await through({});
    expect(stdout).toContain(`it is unsigned; ${world.selectors.join(' + ')} should sign it`);
    expect(stdout).toContain('dmarc=fail: no signature and no SPF pass aligns with From');
    expect(stdout).toContain('    selkie-agent doctor   (on that host');
    expect(status).toBe(1);
  });

  it('whose address SPF leaves out is named, though DKIM passes', async () => {
    const { status, stdout } = await through(signing(), '--seen-as', '192.0.2.99');
    expect(stdout).toMatch(/^✗ canary by 127\.0\.0\.1:\d+: spf=fail for 192\.0\.2\.99/m);
    expect(stdout).toContain('add ip4:192.0.2.99 to the SPF record');
    expect(stdout).not.toContain('dmarc=fail');
    expect(status).toBe(1);
  });

  it('that changes mail after it was signed is named', async () => {
    const rule = 'regexp:{{/^Subject: / REPLACE Subject: [list] changed}}';
    const { status, stdout } = await through({ ...signing(), smtp_header_checks: rule });
    for (const selector of world.selectors)
      expect(stdout).toMatch(new RegExp(`dkim=fail for ${selector} .*\n.*something changes mail after`));
    expect(status).toBe(1);
  });

  it('that is lost on its way is said to be, with where to look', async () => {
    const host = await postfix({ settings: signing() });
    const sink = await freePort();
    const { status, stdout } = await verify(host.port, sink, '--wait', '2');
    expect(stdout).toMatch(
      /it was taken \(250 2\.0\.0 Ok: queued as \w+\) and did not come to the sink in 2 s/,
    );
    expect(stdout).toContain(`smtp:[127.0.0.1]:${sink}`);
    expect(status).toBe(1);
  });

  it('that is refused, or that nobody takes, is said to be', async () => {
    const { stdout, status } = await through({ smtpd_relay_restrictions: 'reject' });
    expect(stdout).toMatch(/does not take it: .*554 5\.7\.1/);
    expect(stdout).toContain('SELKIE_SMTP_USER');
    expect(status).toBe(1);
    const nobody = await verify(await freePort(), await freePort());
    expect(nobody.stdout).toMatch(/does not take it: .*ECONNREFUSED/);
    expect(nobody.stdout).toContain('postfix status   (on 127.0.0.1)');
    expect(nobody.status).toBe(1);
  });

  it('to a mailbox is judged once it is saved there', async () => {
    const mailbox = await startSmtpSink();
    ends.push(() => mailbox.close());
    const host = await postfix({ deliverTo: mailbox.port, settings: signing() });
    const sent = await world.run(
      ...['verify', domain, '--resolver', world.resolver, '--except', 'dns,spf,dmarc,hosts'],
      ...['--smtp', `127.0.0.1:${host.port}`, '--to', 'ada@example.net'],
    );
    expect(sent.stdout).toMatch(
      /^- canary by .*: not looked at: sent to ada@example\.net .*--message FILE$/m,
    );
    expect(sent.status).toBe(0);
    const [arrived] = await mailbox.received(1);
    expect(arrived?.to).toEqual(['ada@example.net']);
    const file = join(temporaryFolder(), 'saved.eml');
    writeFileSync(
      file,
      Buffer.from(arrived?.raw ?? [])
        .toString('latin1')
        .replaceAll('\r\n', '\n'),
    );
    const judged = await world.run(
      ...[
        'verify',
        domain,
        '--resolver',
        world.resolver,
        '--except',
        'dns,spf,dmarc,hosts',
        '--message',
        file,
      ],
    );
    expect(judged.stdout).toContain(`✓ message: dkim=pass (${world.selectors.join(' + ')})`);
    expect(judged.status).toBe(0);
  });

  it('the sink takes nothing but canaries', async () => {
    const port = await freePort();
    const host = await postfix({ settings: signing() });
    const running = verify(host.port, port, '--wait', '6');
    const attempt = async (): Promise<unknown> => {
      for (;;) {
        try {
          return await sendSmtp(port, {
            from: 'x@example.net',
            to: ['victim@example.org'],
            raw: Buffer.from('x'),
          });
        } catch (error) {
          if (error instanceof Error && error.message.startsWith('SMTP: 421 the connection')) continue;
          return error;
        }
      }
    };
    expect(await attempt()).toMatchObject({ message: expect.stringContaining('550') });
    await running;
  }, 60_000);
});

describeWith(['named', 'postfix', 'opendkim'], 'a canary through Postfix and another signer', () => {
  withServers();

  it('is named by the selector that should not sign', async () => {
    const signer = await startOpendkim({
      socket: 'inet',
      signingTable: `*@${domain} old\n`,
      lines: ['InternalHosts 127.0.0.1'],
    });
    ends.push(() => signer.end());
    const pem = join(signer.folder, 'old.pem');
    writeFileSync(pem, old.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    chownSync(pem, signer.uid, signer.gid);
    writeFileSync(signer.keyTable, `old ${domain}:old:${pem}\n`);
    await signer.kill();
    await signer.start();
    if (!('port' in signer.target)) throw new Error('no port');
    const { status, stdout } = await through(signing(`inet:127.0.0.1:${signer.target.port}`));
    expect(stdout).toContain('it is signed with old, which should not sign now');
    expect(stdout).toContain(`it is not signed with ${world.selectors.join(' + ')}`);
    expect(stdout).toContain('postconf smtpd_milters non_smtpd_milters');
    expect(status).toBe(1);
  });
});

it('half of a login is refused before anything is sent', async () => {
  const { SELKIE_SMTP_PASSWORD: before } = process.env;
  process.env.SELKIE_SMTP_PASSWORD = 'of a test';
  try {
    const { status, stdout } = await verify(await freePort(), await freePort());
    expect(stdout).toContain('go together: set both or none');
    expect(stdout).not.toContain('of a test');
    expect(status).toBe(1);
  } finally {
    if (before === undefined) delete process.env.SELKIE_SMTP_PASSWORD;
    else process.env.SELKIE_SMTP_PASSWORD = before;
  }
});
