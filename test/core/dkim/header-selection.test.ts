import { describe, expect, it } from 'vitest';
import { asciiBytes, type HeaderField } from '../../../core/dkim/canonical-header.ts';
import { headerPolicy, isSignedField, selectHeaders } from '../../../core/dkim/header-selection.ts';

const header = (...fields: readonly [string, string][]): HeaderField[] =>
  fields.map(([name, value]) => ({ name, value: asciiBytes(value) }));
const texts = (fields: readonly HeaderField[]): string[] =>
  fields.map(({ name, value }) => `${name}:${Buffer.from(value).toString()}`);

describe('header selection', () => {
  it('takes signed fields in its own order and lists From once more than present: RFC 6376 §5.4.2', () => {
    const { names, fields } = selectHeaders(
      header(['SUBJECT', 's'], ['Received', 'r'], ['from', 'f'], ['X-Y', 'x']),
    );
    expect(names).toEqual(['From', 'From', 'Subject']);
    expect(texts(fields)).toEqual(['from:f', 'SUBJECT:s']);
  });
  it('takes repeated fields from the bottom upwards', () => {
    const { names, fields } = selectHeaders(
      header(['To', '1'], ['From', 'f'], ['To', '2'], ['To ', '3']),
      headerPolicy([]),
    );
    expect(names).toEqual(['From', 'To', 'To', 'To']);
    expect(texts(fields)).toEqual(['From:f', 'To :3', 'To:2', 'To:1']);
  });
  it('oversigns an absent field: nobody can add one', () =>
    expect(selectHeaders(header(['From', 'f']), headerPolicy(['From', 'Reply-To'])).names).toEqual([
      'From',
      'From',
      'Reply-To',
    ]));
  it.each([
    'Received',
    'Return-Path',
    'DKIM-Signature',
    'Authentication-Results',
    'Bcc',
    'X-Mailer',
    'constructor',
  ])('leaves out %s: RFC 6376 §5.4.1', (name) => {
    expect(isSignedField(name)).toBe(false);
    expect(selectHeaders(header([name, 'x'])).fields).toEqual([]);
  });
  it.each(['from', 'List-Unsubscribe-Post', 'MIME-version', 'Subject\t'])('signs %s', (name) =>
    expect(isSignedField(name)).toBe(true),
  );
});

describe('a policy of its own', () => {
  it('signs the fields that it names, From all the same, and those that it oversigns', () => {
    const policy = headerPolicy(['X-Campaign', 'subject'], ['To', 'Subject']);
    expect(
      selectHeaders(header(['Date', 'd'], ['x-campaign', 'c'], ['From', 'f'], ['Subject', 's']), policy)
        .names,
    ).toEqual(['From', 'Subject', 'Subject', 'X-Campaign', 'X-Campaign']);
    expect(['FROM', 'x-Campaign', 'to', 'Date'].map((name) => isSignedField(name, policy))).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });
  it.each([
    ['DKIM-Signature', 'relays add'],
    ['received', 'relays add'],
    ['a:b', 'no name of a header field'],
    ['a;b', 'no name of a header field'],
    ['', 'no name of a header field'],
    ['From ', 'no name of a header field'],
  ])('refuses %j', (name, reason) => {
    expect(() => headerPolicy([name])).toThrow(expect.objectContaining({ code: 'invalid' }));
    expect(() => headerPolicy([], [name])).toThrow(reason);
  });
});

it('lists the fields worth signing in the order of RFC 6376 §5.4.1, as OpenDKIM does, and those of MIME', () => {
  const worth = (
    'From Sender Reply-To Subject Date Message-ID To Cc MIME-Version Content-Type Content-Transfer-Encoding Content-ID ' +
    'Content-Description Resent-Date Resent-From Resent-Sender Resent-To Resent-Cc Resent-Message-ID In-Reply-To ' +
    'References List-Id List-Help List-Unsubscribe List-Unsubscribe-Post List-Subscribe List-Post List-Owner List-Archive'
  ).split(' ');
  const all = header(...worth.toReversed().map((name): [string, string] => [name.toUpperCase(), 'x']));
  expect(selectHeaders(all, headerPolicy([])).names).toEqual(worth);
  expect(selectHeaders(all, headerPolicy([])).fields).toEqual(all.toReversed());
});
