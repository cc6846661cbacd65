import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createSession,
  type Effect,
  type Envelope,
  type Session,
  withCrlf,
} from '../../../agent/milter/session.ts';
import { steps } from '../../../agent/milter/wire.ts';
import type { Command } from '../../../agent/milter/wire-command.ts';
import { headerPolicy } from '../../../core/dkim/header-selection.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const allSteps = 0x1fffff;

const offer = (change: Partial<Command & { command: 'negotiate' }> = {}): Command => ({
  command: 'negotiate',
  version: 6,
  actions: 0x1ff,
  steps: allSteps,
  ...change,
});
const connect: Command = {
  command: 'connect',
  host: 'localhost',
  family: 'inet',
  port: 1,
  address: '127.0.0.1',
};
const mail: Command = { command: 'mail', args: ['<jo@example.com>'] };
const rcpt: Command = { command: 'recipient', args: ['<rcpt@example.org>'] };
const data: Command = { command: 'data' };
const header = (name: string, value: string): Command => ({ command: 'header', name, value: bytes(value) });
const from = header('From', ' jo@example.com');
const eoh: Command = { command: 'end-of-headers' };
const body: Command = { command: 'body', chunk: bytes('Hello.\r\n') };
const eom: Command = { command: 'end-of-message', chunk: new Uint8Array(0) };
const abort: Command = { command: 'abort' };
const macros = (stage: string, values: Record<string, string>): Command => ({
  command: 'macros',
  stage,
  macros: new Map(Object.entries(values)),
});

/** What each command does, in one word each. */
const words = (effects: readonly Effect[]): string[] =>
  effects.map((effect) => (effect.effect === 'reply' ? effect.reply.reply : effect.effect));
const run = (session: Session, ...commands: readonly Command[]): string[][] =>
  commands.map((command) => words(session.take(command)));
const started = (...first: readonly Command[]): Session => {
  const session = createSession();
  for (const command of [offer(), connect, ...first]) session.take(command);
  return session;
};
const envelopeOf = (session: Session, ...commands: readonly Command[]): Envelope => {
  for (const effect of commands.flatMap((command) => session.take(command)))
    if (effect.effect === 'begin') return effect.envelope;
  throw new Error('no message began');
};

describe('negotiation', () => {
  it.each<[string, Partial<Command & { command: 'negotiate' }>, number, number]>([
    ['all is offered', {}, 6, steps.noReplyToHeader | steps.noReplyToBody | steps.leadingSpace],
    ['a newer MTA', { version: 7 }, 6, steps.noReplyToHeader | steps.noReplyToBody | steps.leadingSpace],
    ['Sendmail 8.12: version 2', { version: 2, steps: 0x7f }, 2, 0],
    ['no leading space', { steps: 0xfffff }, 6, steps.noReplyToHeader | steps.noReplyToBody],
  ])('%s', (_, change, version, agreed) => {
    const session = createSession();
    expect(session.take(offer(change))).toEqual([
      { effect: 'reply', reply: { reply: 'negotiate', version, actions: 1, steps: agreed } },
    ]);
    expect(session.leadingSpace).toBe((agreed & steps.leadingSpace) !== 0);
  });
  it('never asks to leave out DATA or its reply: Postfix would wait 40 ms a message', () => {
    const [effect] = createSession().take(offer());
    if (effect?.effect !== 'reply' || effect.reply.reply !== 'negotiate') throw new Error('no negotiation');
    expect(effect.reply.steps & (steps.noData | steps.noReplyToData)).toBe(0);
  });
  it('of a unix socket leaves out every reply up to the end of the header, as far as they are offered', () => {
    const session = createSession({ local: true });
    const silent = steps.noReplyToMail | steps.noReplyToRecipient | steps.noReplyToData;
    const [effect] = session.take(offer());
    if (effect?.effect !== 'reply' || effect.reply.reply !== 'negotiate') throw new Error('no negotiation');
    expect(effect.reply.steps & silent).toBe(silent);
    expect(effect.reply.steps & (steps.noData | steps.noReplyToEndOfHeaders)).toBe(0);
    const helo: Command = { command: 'helo', name: 'mx' };
    const unknown: Command = { command: 'unknown', line: 'NOOP' };
    const commands = [connect, helo, mail, rcpt, data, unknown, from, eoh, body, eom];
    expect(run(session, ...commands)).toEqual([[], [], [], [], [], [], [], ['begin'], ['body'], ['finish']]);
    const old = createSession({ local: true });
    old.take(offer({ steps: 0xfff }));
    expect(run(old, connect, mail, rcpt, data)).toEqual(Array.from({ length: 4 }, () => ['continue']));
  });
  it('asks for macros only where some are wanted, at the end of the header, in place of the list there', () => {
    const asking = (change: Partial<Command & { command: 'negotiate' }>) => {
      const [effect] = createSession({ macros: ['daemon_name', 'i', 'x'] }).take(offer(change));
      if (effect?.effect !== 'reply' || effect.reply.reply !== 'negotiate') throw new Error('no negotiation');
      return { actions: effect.reply.actions, macros: effect.reply.macros };
    };
    expect(asking({})).toEqual({
      actions: 0x101,
      macros: [{ stage: 6, names: 'i {auth_type} {auth_authen} {daemon_name} x' }],
    });
    expect(asking({ actions: 0xff })).toEqual({ actions: 1, macros: undefined });
  });
  it.each([
    ['version 1', { version: 1 }, 'version 1 is too old'],
    ['no right to add header fields', { actions: 0x1fe }, 'SMFIF_ADDHDRS'],
  ])('refuses %s', (_, change, message) =>
    expect(() => createSession().take(offer(change))).toThrow(
      expect.objectContaining({ code: 'invalid', message: expect.stringContaining(message) }),
    ),
  );
});

describe('a message', () => {
  it('with all that is offered: replies for all but header fields and body', () =>
    expect(
      run(started(), { command: 'helo', name: 'mx' }, mail, rcpt, data, from, eoh, body, body, eom),
    ).toEqual([
      ['continue'],
      ['continue'],
      ['continue'],
      ['continue'],
      [],
      ['begin'],
      ['body'],
      ['body'],
      ['finish'],
    ]));
  it('with an MTA of version 2: a reply for each', () => {
    const session = createSession();
    session.take(offer({ version: 2, steps: 0x7f }));
    expect(run(session, connect, mail, rcpt, from, eoh, body, eom)).toEqual([
      ['continue'],
      ['continue'],
      ['continue'],
      ['continue'],
      ['begin'],
      ['body', 'continue'],
      ['finish'],
    ]);
  });
  it('with a chunk of body in parts: one reply for all of them', () => {
    const session = createSession();
    session.take(offer({ steps: 0 }));
    for (const command of [connect, mail, rcpt, from, eoh]) session.take(command);
    const part: Command = { command: 'body', chunk: bytes('Hel'), more: true };
    expect(run(session, part, part, body)).toEqual([['body'], ['body'], ['body', 'continue']]);
  });
  it('may end with a chunk of body', () =>
    expect(run(started(mail, rcpt, from, eoh), { command: 'end-of-message', chunk: bytes('x') })).toEqual([
      ['body', 'finish'],
    ]));
  it('after the other, on one connection', () => {
    const one = [mail, rcpt, data, from, eoh, body, eom];
    const session = started();
    expect(run(session, ...one)).toEqual(run(session, ...one));
  });
  it.each<[string, Command]>([
    ['ABORT', abort],
    ['MAIL', mail],
    ['HELO', { command: 'helo', name: 'mx' }],
    ['CONNECT', connect],
    ['QUIT_NC', { command: 'quit-new-connection' }],
    ['QUIT', { command: 'quit' }],
  ])('is dropped by %s in its middle', (_, command) => {
    const session = started(mail, rcpt, from, eoh, body);
    expect(session.inMessage).toBe(true);
    expect(words(session.take(command))).toContain('drop');
  });
  it('is in hand from MAIL to its end', () => {
    const session = started();
    const inHand = [mail, rcpt, data, from, eoh, body, eom, mail, abort].map((command) => {
      session.take(command);
      return session.inMessage;
    });
    expect(inHand).toEqual([true, true, true, true, true, true, false, true, false]);
  });
  it('is out of hand with its verdict at the end of the header', () => {
    const session = started(mail, rcpt, from, eoh);
    session.settle();
    expect(session.inMessage).toBe(false);
    expect(run(session, mail)).toEqual([['continue']]);
    expect(session.inMessage).toBe(true);
  });
  it('says nothing to ABORT between messages', () => expect(run(started(), abort, abort)).toEqual([[], []]));
});

describe('what the signer is told', () => {
  const opening = [mail, rcpt, data];
  it('the fields that can be signed, in order, with CRLF in their folds', () => {
    const { fields, overflow } = envelopeOf(
      started(),
      ...opening,
      header('Received', ' x'),
      header('Subject', ' a\n b\r\n c\n'),
      from,
      header('X-Other', ' x'),
      eoh,
    );
    expect(fields.map(({ name, value }) => [name, Buffer.from(value).toString()])).toEqual([
      ['Subject', ' a\r\n b\r\n c\r\n'],
      ['From', ' jo@example.com'],
    ]);
    expect(overflow).toBe(false);
  });
  it.each<[string, string, number, string]>([
    ['as it comes', ' x', allSteps, ' x'],
    ['as it comes, without one', 'x', allSteps, 'x'],
    ['put back', 'x', 0, ' x'],
    ['put back before another', ' x', 0, '  x'],
    ['put back, of an empty field', '', 0, ' '],
    ['never eaten before a tab', '\tx', 0, '\tx'],
    ['never eaten before a fold', '\n x', 0, '\r\n x'],
  ])('the space behind the colon: %s', (_, value, offered, expected) => {
    const session = createSession();
    session.take(offer({ steps: offered }));
    const { fields } = envelopeOf(session, mail, header('Subject', value), eoh);
    expect(Buffer.from(fields[0]?.value ?? []).toString()).toBe(expected);
  });
  it('copies, not views of the packet', () => {
    const value = bytes(' jo@example.com');
    const session = started(mail, { command: 'header', name: 'From', value });
    value.fill(0);
    expect(Buffer.from(envelopeOf(session, eoh).fields[0]?.value ?? []).toString()).toBe(' jo@example.com');
  });
  it('no field of the message before', () => {
    const session = started(...opening, header('Subject', 'old'), abort, ...opening, from);
    expect(envelopeOf(session, eoh).fields.map(({ name }) => name)).toEqual(['From']);
  });
  it('that there were more fields than are kept, and keeps no more', () => {
    const session = started(mail);
    for (let i = 0; i < 10; i += 1) session.take(header('To', 'x'.repeat(1_000_000)));
    const { fields, overflow } = envelopeOf(session, eoh);
    expect(overflow).toBe(true);
    expect(fields.length).toBeLessThanOrEqual(8);
  });

  it.each<[string, Command[], string | undefined]>([
    ['at MAIL, as Sendmail says it', [macros('M', { i: 'Q1' }), mail, from, eoh], 'Q1'],
    [
      'at DATA, as Postfix says it',
      [macros('M', { i: '' }), mail, macros('T', { i: 'Q1' }), data, from, eoh],
      'Q1',
    ],
    ['nowhere', [mail, from, eoh], undefined],
    ['for the message before only', [macros('M', { i: 'Q0' }), mail, abort, mail, from, eoh], undefined],
    ['twice: the later', [macros('M', { i: 'Q0' }), mail, macros('N', { i: 'Q1' }), from, eoh], 'Q1'],
  ])('the queue id %s', (_, commands, queueId) =>
    expect(envelopeOf(started(), ...commands).queueId).toBe(queueId),
  );
  it('the queue id at the end of the message, where it comes late', () => {
    const session = started(mail, from, eoh, macros('E', { i: 'Q1' }));
    expect(session.take(eom)).toEqual([{ effect: 'finish', queueId: 'Q1' }]);
  });

  it.each<[string, Command[], boolean]>([
    ['auth_type', [macros('M', { auth_type: 'PLAIN' }), mail], true],
    ['auth_authen', [macros('M', { auth_authen: 'jo' }), mail], true],
    ['empty macros', [macros('M', { auth_type: '', auth_authen: '' }), mail], false],
    ['none', [mail], false],
    ['a login of the message before', [macros('M', { auth_type: 'PLAIN' }), mail, abort, mail], false],
  ])('whether the client logged in: %s', (_, commands, authenticated) =>
    expect(envelopeOf(started(), ...commands, from, eoh).authenticated).toBe(authenticated),
  );
  it('the macros that it was told to keep, and no others', () => {
    const session = createSession({ macros: ['daemon_name', 'x'] });
    for (const command of [offer(), macros('C', { daemon_name: 'smtpd', j: 'mx' }), connect])
      session.take(command);
    expect(Object.fromEntries(envelopeOf(session, mail, from, eoh).macros)).toEqual({ daemon_name: 'smtpd' });
    session.take(abort);
    // A later stage says it otherwise; an empty value is none.
    expect(
      Object.fromEntries(
        envelopeOf(session, mail, from, macros('N', { daemon_name: 'other', x: '' }), eoh).macros,
      ),
    ).toEqual({ daemon_name: 'other' });
  });
  it('fields by the policy, and Sender whatever it says', () => {
    const session = createSession({ headers: headerPolicy(['From', 'X-Other'], ['From', 'To']) });
    session.take(offer());
    const all = ['Subject', 'Sender', 'TO', 'x-other'].map((name) => header(name, ' x'));
    expect(envelopeOf(session, mail, ...all, from, eoh).fields.map(({ name }) => name)).toEqual([
      'Sender',
      'TO',
      'x-other',
      'From',
    ]);
  });
  it('how much is held for it, until its verdict', () => {
    const session = started(mail);
    expect([session.held, session.inContent]).toEqual([0, false]);
    session.take(header('To', 'x'.repeat(10_000)));
    expect(session.held).toBeGreaterThan(10_000);
    expect(session.held).toBeLessThan(10_200);
    session.take(eoh);
    expect([session.held > 10_000, session.inContent]).toEqual([true, true]);
    session.settle();
    expect([session.held, session.inContent]).toEqual([0, false]);
  });
  it('the client, the same for all of the connection, none after QUIT_NC', () => {
    const session = started(mail, from, eoh, eom, mail, from);
    expect(envelopeOf(session, eoh).client).toEqual({
      host: 'localhost',
      family: 'inet',
      address: '127.0.0.1',
    });
    session.take({ command: 'quit-new-connection' });
    expect(envelopeOf(session, mail, from, eoh).client).toBeUndefined();
  });
});

describe('commands out of place', () => {
  it.each<[string, Command[], Command]>([
    ['anything before the negotiation', [], connect],
    ['a second negotiation', [offer()], offer()],
    ['RCPT without MAIL', [offer(), connect], rcpt],
    ['a header field without MAIL', [offer(), connect], from],
    ['RCPT in the header', [offer(), mail, from], rcpt],
    ['body in the header', [offer(), mail, from], body],
    ['a header field in the body', [offer(), mail, from, eoh], from],
    ['the end without header', [offer(), mail], eom],
    ['the end twice', [offer(), mail, from, eoh, eom], eom],
  ])('%s', (_, before, command) => {
    const session = createSession();
    for (const one of before) session.take(one);
    expect(() => session.take(command)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  it('in any order: refused or answered, and every finish had its begin', () => {
    const command = fc.constantFrom<Command>(
      connect,
      mail,
      mail,
      rcpt,
      data,
      from,
      from,
      eoh,
      eoh,
      body,
      eom,
      eom,
      abort,
      macros('M', { i: 'Q' }),
      { command: 'quit-new-connection' },
      { command: 'unknown', line: 'X' },
    );
    let finished = 0;
    fc.assert(
      fc.property(fc.array(command, { minLength: 30, maxLength: 60 }), (commands) => {
        const session = createSession();
        session.take(offer());
        let open = false;
        for (const one of commands) {
          let effects: readonly Effect[] = [];
          try {
            effects = session.take(one);
          } catch (error) {
            expect(error).toMatchObject({ code: 'invalid' });
          }
          for (const { effect } of effects) {
            if (effect === 'begin') open = true;
            if (effect === 'body' || effect === 'finish') expect(open).toBe(true);
            if (effect === 'finish') finished += 1;
            if (effect === 'finish' || effect === 'drop') open = false;
          }
        }
      }),
      { seed: 2, numRuns: 3000 },
    );
    expect(finished).toBeGreaterThan(100);
  });
});

describe('line ends in header values', () => {
  it.each([
    ['', ''],
    ['a', 'a'],
    ['\n', '\r\n'],
    ['a\n b', 'a\r\n b'],
    ['a\r\n b', 'a\r\n b'],
    ['\n\r\n\n', '\r\n\r\n\r\n'],
    ['a\rb', 'a\rb'],
  ])('%j', (value, expected) => expect(Buffer.from(withCrlf(bytes(value))).toString()).toBe(expected));
});
