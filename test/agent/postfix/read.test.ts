// What postconf prints, read; the transcripts are those of Postfix 3.7 (Debian 12).
import { describe, expect, it } from 'vitest';
import { systemExec } from '../../../agent/postfix/exec.ts';
import { configDirectories, readInstance, readInstances } from '../../../agent/postfix/read.ts';
import { describeWith } from '../../tools/machine.ts';
import { startPostfix } from '../../tools/postfix.ts';
import { fakeExec, type Transcript } from './fake.ts';

const postconf = 'postconf -c /etc/postfix';
const transcript: Transcript = {
  'postconf -h config_directory': '/etc/postfix\n',
  [`${postconf} -xh multi_instance_directories`]: '/etc/postfix-out, /etc/postfix-list\n',
  'postconf -c /etc/postfix-out -xh multi_instance_directories': '\n',
  [`${postconf} -x`]: [
    'bounce_queue_lifetime = 1w',
    'compatibility_level = 3.6',
    'mail_version = 3.7.11',
    'maximal_queue_lifetime = 1w',
    'multi_instance_name =',
    'myhostname = mx.example.com',
    'queue_directory = /var/spool/postfix',
    'smtpd_milters = inet:127.0.0.1:11332, { inet:localhost:8891, connect_timeout=10s, default_action = accept }',
    '',
  ].join('\n'),
  [`${postconf} -n`]: [
    'bounce_queue_lifetime = $maximal_queue_lifetime',
    'mail_milter = inet:127.0.0.1:11332',
    'smtpd_milters = $mail_milter, { inet:localhost:8891, connect_timeout=10s, default_action = accept }',
    '',
  ].join('\n'),
  [`${postconf} -F`]: [
    'smtp/inet/service = smtp',
    'smtp/inet/type = inet',
    'smtp/inet/chroot = y',
    'smtp/inet/command = smtpd',
    'submission/inet/chroot = -',
    'submission/inet/command = smtpd -o smtpd_milters=$mail_milter -o milter_macro_daemon_name=ORIGINATING',
    'cleanup/unix/chroot = n',
    'cleanup/unix/command = cleanup',
    '',
  ].join('\n'),
  [`${postconf} -P`]:
    'submission/inet/milter_macro_daemon_name = ORIGINATING\nsubmission/inet/smtpd_milters = $mail_milter\n',
  [`${postconf} -Px`]:
    'submission/inet/milter_macro_daemon_name = ORIGINATING\nsubmission/inet/smtpd_milters = inet:127.0.0.1:11332\n',
};

describe('an instance', () => {
  it('is read as Postfix sees it', async () => {
    const instance = await readInstance(fakeExec(transcript), '/etc/postfix');
    expect(instance).toMatchObject({ name: 'postfix', queueDirectory: '/var/spool/postfix' });
    expect(instance.setting('smtpd_milters')).toBe(
      'inet:127.0.0.1:11332, { inet:localhost:8891, connect_timeout=10s, default_action = accept }',
    );
    expect(instance.written('smtpd_milters')).toMatch(/^\$mail_milter, /);
    expect(instance.written('maximal_queue_lifetime')).toBeUndefined();
    expect(instance.setting('bounce_queue_lifetime')).toBe('1w');
    const [smtp, submission, cleanup] = instance.services;
    expect(smtp).toMatchObject({ name: 'smtp/inet', daemon: 'smtpd', chroot: true });
    // `-` is no above compatibility level 1.
    expect(submission).toMatchObject({ daemon: 'smtpd', chroot: false });
    expect(submission?.overrides.get('smtpd_milters')).toBe('$mail_milter');
    expect(submission?.expanded.get('smtpd_milters')).toBe('inet:127.0.0.1:11332');
    expect(cleanup).toMatchObject({ daemon: 'cleanup', chroot: false });
  });

  it.each([
    ['compatibility_level = 0', 'mail_version = 3.7.11'],
    ['', 'mail_version = 2.11.3'],
  ])('of old habits (%s %s) chroots where master.cf does not say', async (...lines) => {
    const old = { ...transcript, [`${postconf} -x`]: `${lines.join('\n')}\n` };
    const { services } = await readInstance(fakeExec(old), '/etc/postfix');
    expect(services.map(({ chroot }) => chroot)).toEqual([true, true, false]);
  });

  it('that postconf cannot read is said, with its folder', async () => {
    const broken = {
      [postconf]: { code: 1, err: 'postconf: fatal: open /etc/postfix/main.cf: Permission denied' },
    };
    await expect(readInstance(fakeExec(broken), '/etc/postfix')).rejects.toThrow(
      'postconf cannot read /etc/postfix: postconf: fatal: open /etc/postfix/main.cf: Permission denied',
    );
  });
});

describe('the instances of a host', () => {
  it('are its own and those of postmulti', async () => {
    expect(await configDirectories(fakeExec(transcript), undefined)).toEqual([
      '/etc/postfix',
      '/etc/postfix-out',
      '/etc/postfix-list',
    ]);
    expect(await configDirectories(fakeExec(transcript), ['/etc/postfix-out'])).toEqual(['/etc/postfix-out']);
  });

  it('are none without Postfix', async () => {
    await expect(readInstances(fakeExec({}), undefined)).rejects.toMatchObject({ code: 'not-found' });
  });
});

describeWith(['postfix'], 'a real Postfix', () => {
  it('is read, with its second instance', async () => {
    const postfix = await startPostfix({
      settings: { maximal_queue_lifetime: '2d' },
      smtpd: { smtpd_milters: '$x' },
    });
    const second = await postfix.addInstance('postfix-out');
    try {
      const instances = await readInstances(systemExec(), [postfix.configDirectory]);
      expect(instances.map(({ name }) => name)).toEqual(['postfix', 'postfix-out']);
      expect(instances[0]?.setting('maximal_queue_lifetime')).toBe('2d');
      expect(instances[1]?.setting('maximal_queue_lifetime')).toBe('5d');
      expect(instances[0]?.written('bounce_queue_lifetime')).toBeUndefined();
      const smtpd = instances[0]?.services.find(({ daemon }) => daemon === 'smtpd');
      expect(smtpd?.overrides.get('smtpd_milters')).toBe('$x');
    } finally {
      await second.close();
      await postfix.close();
    }
  });
});
