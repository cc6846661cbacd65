// Every signing behaviour, driven by miltertest with the scripts beside this file; each signature that comes out is put
// before verifiers that share no code with us.
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parseMessage, toRaw } from '../../../agent/milter/raw-message.ts';
import { type Milter, type MilterOptions, startMilter } from '../../../agent/milter/server.ts';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import { signingTable } from '../../../agent/signing/signing-table.ts';
import { headerPolicy } from '../../../core/dkim/header-selection.ts';
import type { Canonicalization } from '../../../core/dkim/signature-header.ts';
import * as dkimpy from '../../oracles/dkimpy.ts';
import * as mailauth from '../../oracles/mailauth.ts';
import * as opendkim from '../../oracles/opendkim.ts';
import { lines, recordsOf, testKey } from '../../oracles/records.ts';
import { describeWith } from '../../tools/machine.ts';
import { temporaryFolder } from '../../tools/temporary-folder.ts';
import { runScript, type Sent, sentIn } from './miltertest.ts';

const domains = [
  'example.com',
  'example.org',
  'lists.example.com',
  'dev.example.jp',
  'xn--bcher-kva.example',
];
const keys = [...domains, 'half.example', 'broken.example'].flatMap((domain) => [
  testKey(domain, '240128'),
  testKey(domain, '240128e', 'ed25519'),
]);
const records = recordsOf(...keys);

let milter: Milter | undefined;
let log: string[];
beforeEach(() => {
  log = [];
});
afterEach(async () => {
  await milter?.close();
  milter = undefined;
});

const start = async (options: Partial<MilterOptions> = {}): Promise<string> => {
  const ring = createKeyRing();
  ring.replace(keys.filter(({ domain }) => domains.includes(domain)));
  // Over TCP miltertest would wait for delayed acknowledgements.
  const path = join(temporaryFolder(), 'milter');
  milter = await startMilter({
    listen: { path },
    ring,
    now: () => Date.now(),
    log: (line) => log.push(line),
    ...options,
  });
  return `unix:${path}`;
};
const send = async (
  script: string,
  options: Partial<MilterOptions> = {},
  globals: Record<string, string> = {},
): Promise<ReadonlyMap<string, Sent>> => {
  const printed = await runScript(script, { socket: await start(options), ...globals });
  return new Map(sentIn(printed).map((sent) => [sent.queueId, sent]));
};

const verifiers = { mailauth, dkimpy, opendkim };
/** What each verifier finds; one text where they agree. */
const verified = async (raw: Uint8Array, names: readonly (keyof typeof verifiers)[]): Promise<string> => {
  const found = await Promise.all(
    names.map(async (name) => lines(await verifiers[name].verify(raw, records)).join(', ')),
  );
  return [...new Set(found)].join(' | ');
};
const each = (sent: ReadonlyMap<string, Sent>, judge: (one: Sent) => Promise<void>): Promise<unknown> =>
  Promise.all([...sent.values()].map(judge));
const all = ['mailauth', 'dkimpy', 'opendkim'] as const;
const both = (domain: string): string => `240128 ${domain} pass, 240128e ${domain} pass`;
const signaturesOf = ({ raw }: Sent): Record<string, string>[] =>
  parseMessage(raw)
    .fields.filter(
      ({ name, value }) =>
        name === 'DKIM-Signature' && value.includes('bh=') && !value.includes('example.net'),
    )
    .map(({ value }) =>
      Object.fromEntries(
        value.split(';').map((tag) => {
          const [name = '', ...rest] = tag.split('=');
          return [name.trim(), rest.join('=').replace(/\s/g, '')];
        }),
      ),
    );

/** The message without the signature that it came with. */
const withoutForeign = (raw: Uint8Array): Uint8Array => {
  const { fields, body } = parseMessage(raw);
  return toRaw({ fields: fields.filter(({ value }) => !value.includes('d=example.net')), body });
};

describeWith(['miltertest', 'dkimpy', 'opendkim'], 'who is signed for', () => {
  /** Queue id → the domain that signs; what is missing is not signed. */
  const signers = (sent: ReadonlyMap<string, Sent>): Record<string, string> =>
    Object.fromEntries(
      [...sent].flatMap(([queueId, one]) => {
        const [signature] = signaturesOf(one);
        return signature?.d === undefined ? [] : [[queueId, signature.d]];
      }),
    );
  const usual = {
    inside: 'example.com',
    login: 'example.com',
    org: 'example.org',
    upper: 'example.com',
    comment: 'example.com',
    several: 'example.com',
    group: 'example.com',
    both: 'example.com',
    idn: 'xn--bcher-kva.example',
  };

  it('this host and who logged in, by the From field', async () => {
    const sent = await send('who.lua');
    expect(signers(sent)).toEqual(usual);
    for (const one of sent.values()) expect(one.verdict).toBe('accept');
    await each(sent, async (one) => {
      const [signature] = signaturesOf(one);
      if (signature !== undefined) expect(await verified(one.raw, all)).toBe(both(signature.d ?? ''));
    });
    expect(log.filter((line) => !line.includes('field added'))).toEqual([
      'network: mail.example.com [198.51.100.7] not internal',
      'network: not authenticated',
      'outside: mx.example.net [192.0.2.1] not internal',
      'outside: not authenticated',
      'nologin: mx.example.net [192.0.2.1] not internal',
      'nologin: not authenticated',
      'marked: mx.example.net [192.0.2.1] not internal',
      'marked: not authenticated',
      'unmarked: mx.example.net [192.0.2.1] not internal',
      'unmarked: not authenticated',
      "stranger: no signing table match for 'jo@example.net'",
      "otherwise: no signing table match for 'mo@example.net'",
      "sender: no signing table match for 'jo@example.net'",
      "nofrom: can't determine message sender; accepting",
      "noaddress: can't parse From: header value 'Jo Doe'",
      'twofrom: 2 From: header fields; accepting',
      "subdomain: no signing table match for 'jo@a.b.example.com'",
      "row: no signing table match for 'sales-eu@mail.dev.example.jp'",
      "norow: no signing table match for 'jo@mail.dev.example.jp'",
    ]);
    expect(log).toContain('inside: DKIM-Signature field added (s=240128, d=example.com)');
    expect(log).toContain('inside: DKIM-Signature field added (s=240128e, d=example.com)');
  });

  it.each<[string, Partial<MilterOptions>, Record<string, string | undefined>]>([
    ['networks', { internal: ['198.51.100.0/24'] }, { inside: undefined, network: 'example.com' }],
    ['a macro', { originMacros: { daemon_name: ['ORIGINATING'] } }, { marked: 'example.com' }],
    [
      'a macro of any value',
      { originMacros: { daemon_name: [] } },
      { marked: 'example.com', unmarked: 'example.com' },
    ],
    [
      'the Sender',
      { identityFields: ['Sender', 'From'] },
      { sender: 'lists.example.com', both: 'lists.example.com' },
    ],
    [
      'a table',
      {
        table: signingTable([
          { match: '*@*.example.com', domain: 'example.com' },
          { match: 'sales-*@mail.dev.example.jp', domain: 'dev.example.jp' },
          { match: 'jo@example.org', domain: 'example.com' },
        ]),
      },
      { subdomain: 'example.com', row: 'dev.example.jp', org: 'example.com' },
    ],
  ])('and by %s', async (_, options, difference) => {
    const sent = await send('who.lua', options);
    const local = 'internal' in options ? {} : usual;
    const expected = Object.entries({ ...local, ...difference }).filter(([, domain]) => domain !== undefined);
    const found = signers(sent);
    if ('internal' in options) {
      expect(found).toMatchObject({ network: 'example.com', login: 'example.com' });
      expect(Object.keys(found).sort()).toEqual(['login', 'network']);
    } else expect(found).toEqual(Object.fromEntries(expected));
    for (const queueId of Object.keys(difference)) {
      const one = sent.get(queueId);
      const domain = found[queueId];
      if (one !== undefined && domain !== undefined) expect(await verified(one.raw, all)).toBe(both(domain));
    }
  });
});

describeWith(['miltertest', 'dkimpy', 'opendkim'], 'signatures', () => {
  const [leadingSpace, noReplies] = [0x100000, 0x80 | 0x80000];
  const mtas = [
    ['2', 0x7f],
    ['3', 0xff],
    ['4', 0x3ff],
    ['6', 0x1fffff],
    ['6', 0x1fffff & ~leadingSpace],
    ['6', 0x1fffff & ~noReplies],
  ] as const;
  const kinds: readonly Canonicalization[] = [
    'relaxed/relaxed',
    'relaxed/simple',
    'simple/relaxed',
    'simple/simple',
  ];
  const table = signingTable([{ match: '*@*.example.com', domain: 'example.com' }]);

  /**
   * OpenDKIM's "relaxed" takes a CR that stands alone for more than content (RFC 6376 §3.4.4 knows CRLF and white space
   * only); and what it says of a quoted i= is beyond what is read of it here.
   */
  const judges = (queueId: string) =>
    ['bare', 'quoted'].includes(queueId) ? (['mailauth', 'dkimpy'] as const) : all;

  it.each(kinds)('hold, whatever the message looks like: %s', async (canonicalization) => {
    const sent = await send('forms.lua', { canonicalization, table }, { version: '6', steps: `${0x1fffff}` });
    expect(sent.size).toBe(17);
    await each(sent, async (one) => {
      const signatures = signaturesOf(one);
      expect(signatures.map(({ a, c, s }) => `${a} ${c} ${s}`)).toEqual([
        `rsa-sha256 ${canonicalization} 240128`,
        `ed25519-sha256 ${canonicalization} 240128e`,
      ]);
      const { fields } = parseMessage(one.raw);
      for (const line of fields.slice(0, 2).flatMap(({ name, value }) => `${name}:${value}`.split('\r\n')))
        expect(line.length).toBeLessThanOrEqual(78);
      // What was signed before stays, below, and does not hold: it never did.
      const before = one.queueId === 'signed' ? 1 : 0;
      expect(fields.filter(({ name }) => name === 'DKIM-Signature')).toHaveLength(2 + before);
      const own = one.queueId === 'signed' ? withoutForeign(one.raw) : one.raw;
      expect(`${one.queueId}: ${await verified(own, judges(one.queueId))}`).toBe(
        `${one.queueId}: ${both('example.com')}`,
      );
    });
  });

  it.each(mtas)('hold for an MTA of version %s that offers the steps %i', async (version, steps) => {
    for (const canonicalization of ['relaxed/relaxed', 'simple/simple'] as const) {
      const sent = await send('forms.lua', { canonicalization, table }, { version, steps: `${steps}` });
      expect(sent.size).toBe(17);
      for (const one of sent.values())
        expect(`${one.queueId}: ${await verified(withoutForeign(one.raw), ['mailauth'])}`).toBe(
          `${one.queueId}: ${both('example.com')}`,
        );
      await milter?.close();
    }
  });

  const options: Partial<MilterOptions> = {
    table,
    identity: 'subdomains',
    expireAfter: 1_000_000,
    headers: headerPolicy(['From', 'Subject', 'X-Campaign']),
  };
  it('bear i=, t=, x= and the oversigned fields', async () => {
    const before = Math.floor(Date.now() / 1000);
    const sent = await send('forms.lua', options, { version: '6', steps: `${0x1fffff}` });
    const identities: Record<string, string> = {
      utf8: 'j=C3=B6@example.com',
      quoted: '"a=3Bb=3Dc=20d"@example.com',
      subdomain: 'jo@mail.example.com',
    };
    await each(sent, async (one) => {
      expect(`${one.queueId}: ${await verified(withoutForeign(one.raw), judges(one.queueId))}`).toBe(
        `${one.queueId}: ${both('example.com')}`,
      );
      for (const { i, t, x, h = '' } of signaturesOf(one)) {
        expect(i).toBe(identities[one.queueId] ?? 'jo@example.com');
        expect(Number(t)).toBeGreaterThanOrEqual(before);
        expect(Number(x) - Number(t)).toBe(1_000_000);
        const names = h.toLowerCase().split(':');
        const { fields } = parseMessage(one.raw);
        for (const name of ['from', 'subject', 'x-campaign', 'to', 'x-mailer']) {
          const present = fields.filter((field) => field.name.toLowerCase() === name).length;
          const signed = names.filter((one) => one === name).length;
          expect(signed).toBe(name === 'x-mailer' ? 0 : present + (name === 'to' ? 0 : 1));
        }
      }
    });
  });

  it('do not hold once their time is over', async () => {
    const sent = await send(
      'forms.lua',
      { ...options, now: () => Date.now() - 1_001_000_000 },
      { version: '6', steps: `${0x1fffff}` },
    );
    for (const name of ['mailauth', 'opendkim'] as const)
      expect(await verified(sent.get('plain')?.raw ?? Buffer.alloc(0), [name])).not.toMatch(/pass/);
  });
});

describeWith(['miltertest', 'dkimpy', 'opendkim'], 'mail whose key may not or cannot sign', () => {
  const ring = createKeyRing();
  const broken = (domain: string, selector: string) => ({
    ...testKey(domain, selector),
    load: () => Promise.reject(new Error('its file is gone')),
  });
  ring.replace(
    [
      ...keys.filter(({ domain }) => domain === 'example.com'),
      broken('broken.example', '240128'),
      broken('half.example', '240128'),
      ...keys.filter(({ domain, selector }) => domain === 'half.example' && selector === '240128e'),
    ],
    new Map([['stopped.example/240128', 'its record is revoked']]),
  );

  it.each([
    ['tempfail', 'message put off'],
    ['unsigned', 'passes unsigned'],
  ] as const)('%s; with one of two keys it is signed with the other', async (onUnusableKey, end) => {
    const sent = await send('unusable.lua', { ring, onUnusableKey });
    const verdict = onUnusableKey === 'tempfail' ? 'tempfail' : 'accept';
    expect(
      [...sent.values()].map((one) => `${one.queueId} ${one.verdict} ${signaturesOf(one).length}`),
    ).toEqual([
      `stopped ${verdict} 0`,
      `broken ${verdict} 0`,
      'half accept 1',
      'sound accept 2',
      'stranger accept 0',
    ]);
    expect(await verified(sent.get('half')?.raw ?? Buffer.alloc(0), all)).toBe('240128e half.example pass');
    expect(await verified(sent.get('sound')?.raw ?? Buffer.alloc(0), all)).toBe(both('example.com'));
    expect(log).toEqual([
      `stopped: no key of stopped.example may sign (240128: its record is revoked): ${end}`,
      `broken: cannot sign (s=240128, d=broken.example): its file is gone: ${end}`,
      'half: cannot sign (s=240128, d=half.example): its file is gone: signed without it',
      'half: DKIM-Signature field added (s=240128e, d=half.example)',
      'sound: DKIM-Signature field added (s=240128, d=example.com)',
      'sound: DKIM-Signature field added (s=240128e, d=example.com)',
      "stranger: no signing table match for 'jo@example.net'",
    ]);
  });
});
