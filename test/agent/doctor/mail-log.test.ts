// What the doctor reads from a mail log: lines of Postfix 3.7 and of the signer.
import { describe, expect, it } from 'vitest';
import { type LogQuestion, readMailLog, timeOf } from '../../../agent/doctor/mail-log.ts';
import { internalClients } from '../../../agent/milter/internal-clients.ts';
import { days, instant } from '../../../core/time.ts';

const now = instant(Date.parse('2024-01-28T12:00:00Z'));
const question: LogQuestion = {
  now,
  isInternal: internalClients(['127.0.0.0/8', '10.0.0.0/8']),
  domains: ['example.com', 'mx.example.net'],
  filtered: false,
  signer: 'selkie-agent',
};
const at = '2024-01-28T11:30:00.000000+00:00 mx';
const smtpd = (id: string, client = 'localhost[127.0.0.1]', more = ''): string =>
  `${at} postfix/submission/smtpd[7]: ${id}: client=${client}${more}`;
const pickup = (id: string): string => `${at} postfix/pickup[7]: ${id}: uid=0 from=<root>`;
const queued = (id: string, from = 'a@example.com'): string =>
  `${at} postfix/qmgr[8]: ${id}: from=<${from}>, size=344, nrcpt=1 (queue active)`;
const signer = (id: string, text: string): string => `${at} selkie-agent[9]: ${id}: ${text}`;
const signed = (id: string): string => signer(id, 'DKIM-Signature field added (s=240128, d=example.com)');
const whole = (id: string): readonly string[] => [smtpd(id), signed(id), queued(id)];

const problems = (lines: readonly string[], more: Partial<LogQuestion> = {}): readonly string[] =>
  readMailLog(lines, { ...question, ...more }).findings.map(({ problem }) => problem);

describe('a log in order', () => {
  it('has what was signed', () => {
    expect(readMailLog([...whole('A1B2C3D4'), ...whole('3kXyZ01234z')], question)).toEqual({
      findings: [],
      note: '2 signatures in the last day',
    });
  });

  it('may have mail of others, who have no key here', () => {
    const lines = [
      ...whole('A1B2C3D4'),
      smtpd('A1B2C3D5'),
      signer('A1B2C3D5', "no signing table match for 'x@other.example'"),
    ];
    expect(readMailLog(lines, question)).toEqual({
      findings: [],
      note: '1 signature in the last day, 1 message of other domains passed unsigned',
    });
  });

  it('without the signer says nothing', () => {
    expect(readMailLog([smtpd('A1B2C3D4'), queued('A1B2C3D4')], question)).toMatchObject({
      findings: [],
      skipped: expect.stringContaining('no line of the signer'),
    });
  });
});

describe('mail that left unsigned', () => {
  it.each([
    ['for want of a key', "no signing table match for 'a@mail.example.com'"],
    ['for want of the key that a row names', "no signing key of example.org for 'a@mail.example.com'"],
  ])('%s is found', (_, text) => {
    expect(problems([signer('A1B2C3D4', text), signer('A1B2C3D5', text)])).toEqual([
      '2 messages from mail.example.com left unsigned: this host has no key for it',
    ]);
  });

  it('as the JSON log and OpenDKIM have it is found too', () => {
    expect(
      problems([
        `${at} selkie-agent[9]: {"level":30,"msg":"A1B2C3D4: no signing table match for 'a@example.com'","queueId":"A1B2C3D4"}`,
        `Jan 28 11:30:00 mx opendkim[9]: A1B2C3D5: no signing table match for 'b@example.com'`,
      ]),
    ).toEqual(['2 messages from example.com left unsigned: this host has no key for it']);
  });

  it.each([
    ['from a login', [smtpd('BADBAD1', 'x[203.0.113.5]', ', sasl_method=PLAIN, sasl_username=a')]],
    ['from an internal client', [smtpd('BADBAD1', 'x[10.1.2.3]')]],
    ['by sendmail', [pickup('BADBAD1')]],
  ])('past the signer, %s, is found', (_, origin) => {
    expect(problems([...whole('A1B2C3D4'), ...origin, queued('BADBAD1'), ...whole('A1B2C3D5')])).toEqual([
      '1 message of your domains left unsigned, the signer has not seen it: BADBAD1',
    ]);
  });

  it.each([
    ['from outside', [smtpd('BADBAD1', 'x[203.0.113.5]'), queued('BADBAD1')]],
    ['of others', [smtpd('BADBAD1'), queued('BADBAD1', 'a@other.example')]],
    ['a bounce', [queued('BADBAD1', '')]],
    [
      'back from a content filter',
      [
        smtpd('BADBAD1', 'localhost[127.0.0.1]', ', orig_queue_id=A1B2C3D4, orig_client=x[10.1.2.3]'),
        queued('BADBAD1'),
      ],
    ],
  ])('past the signer, %s, is in order', (_, lines) => {
    expect(problems([...whole('A1B2C3D4'), ...lines, ...whole('A1B2C3D5')])).toEqual([]);
  });

  it("is not looked for where the signer's lines have ended, nor behind a content filter", () => {
    const unseen = [smtpd('BADBAD1'), queued('BADBAD1')];
    expect(problems([...unseen, ...whole('A1B2C3D4')])).toEqual([]);
    expect(problems([...whole('A1B2C3D4'), ...unseen])).toEqual([]);
    expect(problems([...whole('A1B2C3D4'), ...unseen, ...whole('A1B2C3D5')], { filtered: true })).toEqual([]);
  });
});

describe('trouble', () => {
  const refused = (when: string): string =>
    `${when} mx postfix/smtpd[7]: warning: connect to Milter service inet:127.0.0.1:8891: Connection refused`;

  it('with a signer that is away is found', () => {
    expect(
      problems([...whole('A1B2C3D4'), refused('2024-01-28T11:40:00Z'), refused('2024-01-28T11:41:00Z')]),
    ).toEqual([
      'Postfix did not reach the milter inet:127.0.0.1:8891 (Connection refused), 2 times, and nothing was signed since',
    ]);
    expect(
      problems([
        `${at} postfix/cleanup[7]: warning: milter unix:selkie/milter.sock: can't read SMFIC_BODYEOB reply packet header: Connection reset by peer`,
      ]),
    ).toHaveLength(1);
  });

  it('that is over is not', () => {
    expect(problems([refused('2024-01-28T11:20:00Z'), ...whole('A1B2C3D4')])).toEqual([]);
    expect(problems([refused('2024-01-26T11:20:00Z')])).toEqual([]);
  });

  it('with a key that must not sign is found', () => {
    const text = 'no key of example.com may sign (its record is revoked): message put off';
    expect(problems([signer('A1B2C3D4', text), signer('A1B2C3D4', text)])).toEqual([
      '2 messages put off: no key of example.com may sign (its record is revoked)',
    ]);
  });
});

describe('the time of a line', () => {
  it.each([
    ['2024-01-28T11:30:00.123456+01:00 mx x', '2024-01-28T10:30:00.123Z'],
    ['2024-01-28T11:30:00+0000 mx x', '2024-01-28T11:30:00.000Z'],
  ])('%s', (line, expected) => expect(new Date(timeOf(line, now) ?? 0).toISOString()).toBe(expected));

  it('without a year is in the past', () => {
    expect(timeOf('Jan  8 11:30:00 mx x', now)).toBe(new Date(2024, 0, 8, 11, 30).getTime());
    expect(timeOf('Dec 31 23:59:59 mx x', now)).toBe(new Date(2023, 11, 31, 23, 59, 59).getTime());
  });

  it.each(['', 'something else', 'Foo  8 11:30:00 mx'])('%j has none', (line) =>
    expect(timeOf(line, now)).toBeUndefined(),
  );

  it('has the log looked at for a day only', () => {
    const old = instant(now + days(2));
    expect(
      problems([signer('A1B2C3D4', "no signing table match for 'a@example.com'")], { now: old }),
    ).toEqual([]);
  });
});
