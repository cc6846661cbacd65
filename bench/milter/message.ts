// One message as an MTA says it to a milter, in as few writes as Postfix needs: what has no reply goes together with the
// next command that has one. Makes bytes only.
import { steps } from '../../agent/milter/wire.ts';
import { type Command, encodeCommand, type Offer } from '../../agent/milter/wire-command.ts';

/** Bytes to write, and then one reply to wait for. */
export type Exchange = Uint8Array;

/** MILTER_CHUNK_SIZE of Postfix and Sendmail. */
const chunkSize = 65_535;

/** What Postfix 3.7 offers: all that it knows of (milter8.c). */
export const offer: Offer = {
  version: 6,
  actions: 0x1ff,
  steps: Object.values(steps).reduce((all, bit) => all | bit, 0),
};

const macros = (stage: string, values: Readonly<Record<string, string>>): Command => ({
  command: 'macros',
  stage,
  macros: new Map(Object.entries(values)),
});

/** [skipped by, without a reply by] of each command. */
const silence: Partial<Record<Command['command'], readonly [number, number]>> = {
  connect: [steps.noConnect, steps.noReplyToConnect],
  helo: [steps.noHelo, steps.noReplyToHelo],
  mail: [steps.noMail, steps.noReplyToMail],
  recipient: [steps.noRecipient, steps.noReplyToRecipient],
  data: [steps.noData, steps.noReplyToData],
  header: [steps.noHeaders, steps.noReplyToHeader],
  'end-of-headers': [steps.noEndOfHeaders, steps.noReplyToEndOfHeaders],
  body: [steps.noBody, steps.noReplyToBody],
};

/** Commands as exchanges, by the steps that were agreed. What ends without a reply stays for the next exchange: `rest`. */
const exchanges = (commands: readonly Command[], agreed: number): { all: Exchange[]; rest: Uint8Array[] } => {
  const all: Exchange[] = [];
  let rest: Uint8Array[] = [];
  for (const command of commands) {
    const [skipped, silent] = silence[command.command] ?? [0, 0];
    if ((agreed & skipped) !== 0) continue;
    rest.push(encodeCommand(command));
    if (command.command === 'macros' || (agreed & silent) !== 0) continue;
    all.push(Buffer.concat(rest));
    rest = [];
  }
  return { all, rest };
};

/** What comes before the first message, with Postfix's default macros. */
export const greeting = (agreed: number) =>
  exchanges(
    [
      macros('C', {
        j: 'mx.example.com',
        '{daemon_name}': 'mx.example.com',
        '{daemon_addr}': '127.0.0.1',
        v: 'Postfix 3.7',
      }),
      { command: 'connect', host: 'localhost', family: 'inet', port: 40_000, address: '127.0.0.1' },
      macros('H', {}),
      { command: 'helo', name: 'localhost' },
    ],
    agreed,
  );

const recipient = 'someone@recipient.example';

/** The header of a mail client's message, and of the Postfix that took it; folds are LF, as on this wire. */
const fieldsOf = (domain: string): readonly (readonly [name: string, value: string])[] => [
  [
    'Received',
    `from localhost (localhost [127.0.0.1])\n\tby mx.example.com (Postfix) with ESMTP id 4XyZ1b2c3d4e5f\n\tfor <${recipient}>; Tue, 24 Nov 2026 12:00:00 +0000 (UTC)`,
  ],
  ['Message-ID', `<6f9619ff-8b86-d011-b42d-00cf4fc964ff@${domain}>`],
  ['Date', 'Tue, 24 Nov 2026 12:00:00 +0000'],
  ['MIME-Version', '1.0'],
  ['User-Agent', 'Mozilla Thunderbird'],
  ['Subject', 'Minutes of Tuesday, and the figures that were asked for'],
  ['Content-Language', 'en-GB'],
  ['To', `Some One <${recipient}>`],
  ['References', `<a1b2c3d4@recipient.example>\n <e5f6a7b8@${domain}>`],
  ['From', `Jo Doe <jo.doe@${domain}>`],
  ['In-Reply-To', `<e5f6a7b8@${domain}>`],
  ['Content-Type', 'multipart/mixed;\n boundary="------------0A1B2C3D4E5F60718293A4B5"'],
];

/** The same message as a verifier gets it, with a signature on top. @param signature the value, as the milter gave it */
export const rawMessage = (domain: string, body: Uint8Array, signature: string): Uint8Array => {
  const header = [['DKIM-Signature', signature.trimStart()], ...fieldsOf(domain)]
    .map(([name, value]) => `${name}: ${value}\n`)
    .join('');
  return Buffer.concat([Buffer.from(`${header}\n`.replaceAll(/\r?\n/g, '\r\n'), 'latin1'), body]);
};

/** A message of a mail client, with `body`; its exchanges end with the one whose reply is the verdict. */
export const message = (domain: string, body: Uint8Array, agreed: number): readonly Exchange[] => {
  const id = { i: '4XyZ1b2c3d4e5f' };
  const from = `jo.doe@${domain}`;
  const chunks: Command[] = [];
  for (let at = 0; at < body.length; at += chunkSize)
    chunks.push({ command: 'body', chunk: body.subarray(at, at + chunkSize) });
  const { all } = exchanges(
    [
      macros('M', { ...id, '{mail_addr}': from, '{mail_host}': domain, '{mail_mailer}': 'smtp' }),
      { command: 'mail', args: [`<${from}>`] },
      macros('R', {
        ...id,
        '{rcpt_addr}': recipient,
        '{rcpt_host}': 'recipient.example',
        '{rcpt_mailer}': 'smtp',
      }),
      { command: 'recipient', args: [`<${recipient}>`] },
      macros('T', id),
      { command: 'data' },
      ...fieldsOf(domain).map(([name, value]): Command => {
        const shown = (agreed & steps.leadingSpace) === 0 ? value : ` ${value}`;
        return { command: 'header', name, value: Buffer.from(shown) };
      }),
      macros('N', id),
      { command: 'end-of-headers' },
      ...chunks,
      macros('E', id),
      { command: 'end-of-message', chunk: new Uint8Array(0) },
    ],
    agreed,
  );
  return all;
};
