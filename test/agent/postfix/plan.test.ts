// What setup would change: a sound instance first, then one thing wrong with it.
import { describe, expect, it } from 'vitest';
import { commandOf, planInstance } from '../../../agent/postfix/plan.ts';
import type { Wish } from '../../../agent/postfix/wish.ts';
import { type FakeService, fakeInstance } from './fake.ts';

const wish: Wish = {
  milter: { host: '127.0.0.1', port: 8893 },
  service: 'selkie-agent',
  replace: [],
  signers: new Map(),
};
const ours = 'inet:127.0.0.1:8893';
const sound = { smtpd_milters: ours, non_smtpd_milters: ours, internal_mail_filter_classes: 'bounce' };

const changes = (
  main: Readonly<Record<string, string>>,
  services: readonly FakeService[] = [],
  more: Partial<Wish> = {},
) =>
  Object.fromEntries(
    planInstance(fakeInstance(main, services), { ...wish, ...more }).changes.map(({ parameter, after }) => [
      parameter,
      after,
    ]),
  );
const remarks = (
  main: Readonly<Record<string, string>>,
  services: readonly FakeService[] = [],
  more: Partial<Wish> = {},
) =>
  planInstance(fakeInstance(main, services), { ...wish, ...more }).remarks.map(
    ({ text, mend }) => `${text}${mend === undefined ? '' : ` → ${mend}`}`,
  );

describe('a fresh Postfix', () => {
  it('gets the milter, and signed bounces', () => {
    expect(changes({})).toEqual({
      smtpd_milters: ours,
      non_smtpd_milters: ours,
      internal_mail_filter_classes: 'bounce',
    });
  });
});

describe('a sound instance', () => {
  it.each([
    ['as setup leaves it', sound],
    ['by another name of this host', { ...sound, smtpd_milters: 'inet:localhost:8893' }],
    ['with other milters', { ...sound, smtpd_milters: `inet:localhost:11332, ${ours}` }],
    ['with a list of its own', { ...sound, mine: ours, smtpd_milters: '$mine', non_smtpd_milters: '$mine' }],
    ['with one list for both', { ...sound, non_smtpd_milters: '$smtpd_milters' }],
    ['with more classes', { ...sound, internal_mail_filter_classes: 'notify, bounce' }],
    ['that sends 421', { ...sound, milter_default_action: 'shutdown' }],
  ])('%s needs nothing', (_, main) => {
    expect(planInstance(fakeInstance(main), wish)).toMatchObject({ changes: [], obstacles: [] });
  });
});

describe('a change', () => {
  it.each<[string, Record<string, string>, Record<string, string>]>([
    [
      'keeps milters that are there',
      { smtpd_milters: 'inet:localhost:11332' },
      { smtpd_milters: `inet:localhost:11332, ${ours}` },
    ],
    [
      'keeps what is in braces',
      { smtpd_milters: '{ unix:/s, default_action=accept }' },
      { smtpd_milters: `{ unix:/s, default_action=accept }, ${ours}` },
    ],
    ['keeps a $name', { m: 'unix:/s', smtpd_milters: '$m' }, { smtpd_milters: `$m, ${ours}` }],
    ["is made for sendmail's list alone", { non_smtpd_milters: '' }, { non_smtpd_milters: ours }],
    [
      'comes once for both lists',
      { smtpd_milters: 'unix:/s', non_smtpd_milters: '$smtpd_milters' },
      { smtpd_milters: `unix:/s, ${ours}` },
    ],
    ['mends accept', { milter_default_action: 'accept' }, { milter_default_action: 'tempfail' }],
    ['mends quarantine', { milter_default_action: 'quarantine' }, { milter_default_action: 'tempfail' }],
    [
      "mends an accept of the signer's own",
      { smtpd_milters: `{ ${ours}, default_action=accept }` },
      { smtpd_milters: ours },
    ],
    ['mends an old protocol', { milter_protocol: '2' }, { milter_protocol: '6' }],
    [
      'keeps classes',
      { internal_mail_filter_classes: 'notify' },
      { internal_mail_filter_classes: 'notify, bounce' },
    ],
  ])('%s', (_, main, expected) => expect(changes({ ...sound, ...main })).toEqual(expected));

  it('says why', () => {
    const { changes: found } = planInstance(
      fakeInstance({ ...sound, milter_default_action: 'accept' }),
      wish,
    );
    expect(found).toEqual([
      {
        file: 'main.cf',
        parameter: 'milter_default_action',
        before: 'accept',
        after: 'tempfail',
        milters: false,
        why: expect.stringContaining('sends mail unsigned while the signer is down'),
      },
    ]);
  });

  it('is a command that a shell takes', () => {
    const change = planInstance(fakeInstance({ ...sound, smtpd_milters: "{ unix:/it's }" }), wish).changes[0];
    if (change === undefined) throw new Error('no change');
    expect(commandOf(fakeInstance(), change)).toBe(
      `postconf -c /etc/postfix -e 'smtpd_milters={ unix:/it'\\''s }, ${ours}'`,
    );
  });
});

describe('a milter that the signer takes the place of', () => {
  const replace = ['inet:localhost:8891'];
  it.each<[string, Record<string, string>, Record<string, string>]>([
    ['goes', { smtpd_milters: 'inet:127.0.0.1:8891' }, { smtpd_milters: ours }],
    [
      'leaves its place',
      { smtpd_milters: 'inet:localhost:8891, unix:/s' },
      { smtpd_milters: `${ours}, unix:/s` },
    ],
    [
      'goes where the signer is already',
      { smtpd_milters: `${ours}, inet:localhost:8891` },
      { smtpd_milters: ours },
    ],
    [
      'goes from behind a $name',
      { m: 'inet:localhost:8891', smtpd_milters: '$m, unix:/s' },
      { smtpd_milters: `${ours}, unix:/s` },
    ],
  ])('%s', (_, main, expected) => expect(changes({ ...sound, ...main }, [], { replace })).toEqual(expected));
});

describe('master.cf', () => {
  it.each<[string, FakeService, Record<string, string>]>([
    [
      "with a list that hides main.cf's",
      { name: 'submission/inet', overrides: { smtpd_milters: '' } },
      { 'submission/inet/smtpd_milters': ours },
    ],
    [
      'with a list of others',
      {
        name: 'submission/inet',
        overrides: { smtpd_milters: 'unix:/s, { unix:/t, default_action = accept }' },
      },
      { 'submission/inet/smtpd_milters': `unix:/s,{unix:/t,default_action=accept},${ours}` },
    ],
    [
      "whose list is main.cf's",
      { name: 'submission/inet', overrides: { smtpd_milters: '$smtpd_milters' } },
      {},
    ],
    [
      'whose cleanup has a list of its own',
      { name: 'cleanup/unix', daemon: 'cleanup', overrides: { non_smtpd_milters: '' } },
      { 'cleanup/unix/non_smtpd_milters': ours },
    ],
    [
      'with an accept of its own',
      { name: 'smtps/inet', overrides: { milter_default_action: 'accept' } },
      { 'smtps/inet/milter_default_action': 'tempfail' },
    ],
    [
      'with a service of another kind',
      { name: 'smtp/unix', daemon: 'smtp', overrides: { smtpd_milters: '' } },
      {},
    ],
  ])('%s', (_, service, expected) => expect(changes(sound, [service])).toEqual(expected));
});

describe('a content filter', () => {
  const filtered = { ...sound, content_filter: 'amavis:[127.0.0.1]:10024' };
  const back = (overrides: Record<string, string>): FakeService => ({
    name: '127.0.0.1:10025/inet',
    overrides: { content_filter: '', ...overrides },
  });
  const parameter = '127.0.0.1:10025/inet/receive_override_options';

  it.each<[string, FakeService, Record<string, string>]>([
    ['hands mail back past the milters', back({}), { [parameter]: 'no_milters' }],
    [
      'keeps its options',
      back({ receive_override_options: 'no_unknown_recipient_checks, no_address_mappings' }),
      { [parameter]: 'no_unknown_recipient_checks,no_address_mappings,no_milters' },
    ],
    ['does so already', back({ receive_override_options: 'no_header_body_checks,no_milters' }), {}],
    ['does so by an empty list', back({ smtpd_milters: '' }), {}],
    [
      'is skipped by a submission service, which is signed',
      { name: 'submission/inet', overrides: { content_filter: '', smtpd_milters: '' } },
      { 'submission/inet/smtpd_milters': ours },
    ],
    [
      'is skipped by one on loopback that knows logins',
      { name: '127.0.0.1:587/inet', overrides: { content_filter: '', smtpd_sasl_auth_enable: 'yes' } },
      {},
    ],
  ])('%s', (_, service, expected) => expect(changes(filtered, [service])).toEqual(expected));

  it('of one service is one too', () => {
    const smtp = { name: 'smtp/inet', overrides: { content_filter: 'scan:[127.0.0.1]:10025' } };
    expect(changes(sound, [smtp, { name: '127.0.0.1:10026/inet' }])).toEqual({
      '127.0.0.1:10026/inet/receive_override_options': 'no_milters',
    });
  });

  it('that is a pipe is spoken of', () => {
    const found = remarks({ ...sound, content_filter: 'filter:dummy' }, [
      { name: 'filter/unix', daemon: 'pipe' },
    ]);
    expect(found).toEqual([
      expect.stringContaining('sees mail that is signed'),
      expect.stringContaining('by sendmail: there it is signed once more'),
    ]);
  });
});

describe('what is spoken of', () => {
  it('is an OpenDKIM that signs too, by its configuration', () => {
    const signers = new Map([['inet:127.0.0.1:8891', 'OpenDKIM (/etc/opendkim.conf)']]);
    expect(remarks({ ...sound, smtpd_milters: `inet:localhost:8891, ${ours}` }, [], { signers })).toEqual([
      'inet:localhost:8891 is OpenDKIM (/etc/opendkim.conf), which signs too: mail bears two signatures of one domain → selkie-agent setup --apply --replace inet:localhost:8891',
    ]);
  });

  it('is one that is likely, by its address, and in a service', () => {
    const service = {
      name: 'submission/inet',
      overrides: { smtpd_milters: `local:opendkim/opendkim.sock,${ours}` },
    };
    expect(remarks(sound, [service])).toEqual([expect.stringContaining("OpenDKIM's usual path")]);
  });

  it('is none that is being replaced', () => {
    expect(
      remarks({ ...sound, smtpd_milters: `inet:localhost:8891, ${ours}` }, [], {
        replace: ['inet:localhost:8891'],
      }),
    ).toEqual([]);
  });

  it('is a submission service past the milters, with its mend', () => {
    const service = {
      name: 'submission/inet',
      overrides: { receive_override_options: 'no_address_mappings,no_milters' },
    };
    expect(remarks(sound, [service])).toEqual([
      "submission/inet has receive_override_options with no_milters: what comes in there is not signed → postconf -c /etc/postfix -P 'submission/inet/receive_override_options=no_address_mappings'",
    ]);
  });
});

describe('a unix socket', () => {
  const at = (path: string) => planInstance(fakeInstance(sound), { ...wish, milter: { path } });

  it('within the queue directory is reached from a chroot too', () => {
    expect(at('/var/spool/postfix/selkie/milter.sock')).toMatchObject({
      milter: 'unix:selkie/milter.sock',
      obstacles: [],
    });
  });

  it('outside is an obstacle to processes in a chroot', () => {
    expect(at('/run/selkie/milter.sock').obstacles).toEqual([
      {
        problem:
          'smtp/inet, cleanup/unix run chrooted in /var/spool/postfix and cannot see /run/selkie/milter.sock',
        mends: [
          'in /etc/selkie-agent.yaml: milter: { listen: "unix:/var/spool/postfix/selkie-agent/milter.sock", group: postfix }, then systemctl restart selkie-agent',
          'in /etc/selkie-agent.yaml: milter: { listen: "inet:8891@127.0.0.1" }, then systemctl restart selkie-agent',
        ],
      },
    ]);
  });

  it.each([
    ['opendkim', /^in opendkim\.conf: Socket local:\/var\/spool\/postfix\/opendkim/],
    ['rspamd', /^in rspamd's worker-proxy\.inc: bind_socket/],
  ])('outside is mended where %s says where it listens', (service, mend) => {
    const plan = planInstance(fakeInstance(sound), { ...wish, service, milter: { path: '/run/m.sock' } });
    expect(plan.obstacles[0]?.mends[0]).toMatch(mend);
  });

  it('outside is none without chroot', () => {
    const free = ['smtp/inet', 'pickup/unix', 'cleanup/unix'].map((name) => ({
      name,
      daemon: name.split('/')[0] === 'cleanup' ? 'cleanup' : 'smtpd',
    }));
    expect(
      planInstance(fakeInstance(sound, free), { ...wish, milter: { path: '/run/m.sock' } }).obstacles,
    ).toEqual([]);
  });
});
