// The mail that is sent: of every kind that a signer may stumble over, each message with its number, by which it is found again in
// what arrives, a bounce of it included.

export interface Submission {
  readonly kind: string;
  readonly by: 'smtp' | 'sendmail';
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: Uint8Array;
  /** RFC 6531. */
  readonly utf8: boolean;
}

/** Recipients that the next host refuses, so that Postfix bounces. */
export const refused = 'nobody@refused.example';

const numberField = 'X-Selkie-Test';

/** The number of the message that this is, or that this is a bounce of. */
export const numberOf = (raw: Uint8Array): number | undefined => {
  const text = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1');
  const found = new RegExp(`^${numberField}: (\\d+)\\r$`, 'm').exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
};

const line = 'The quick brown fox  jumps\tover the lazy dog. ';

interface Shape {
  readonly by?: 'sendmail';
  readonly to?: string;
  readonly from?: string;
  readonly utf8?: boolean;
  /** Fields besides From, To, Subject and the number. */
  readonly fields?: readonly string[];
  readonly body: string;
  /** What ends a line, in place of CRLF. */
  readonly end?: '\n';
}

const foreign = [
  'DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=list.example; s=old;',
  '\th=From:To:Subject; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;',
  '\tb=dGhpcyBpcyBubyBzaWduYXR1cmU=',
].join('\r\n');

const shapes: Readonly<Record<string, Shape>> = {
  plain: { body: 'Hello.\r\n\r\nGood-bye.\r\n' },
  'folded header fields': {
    fields: [
      'References: <a@example.org>\r\n <b@example.org>\r\n\t<c@example.org>  ',
      'MIME-Version: 1.0',
      `Comments: ${'a very long field that goes on '.repeat(20)}`,
      'Cc:\r\n copy@example.org',
    ],
    body: `${line}\r\n`.repeat(20),
  },
  'lines of 998 bytes': { body: `${'x'.repeat(998)}\r\n${'y '.repeat(499)}\r\n` },
  // Postfix would break them when it delivers, which is after signing: smtp_line_length_limit.
  'lines of 5,000 bytes': { body: `${'x'.repeat(5_000)}\r\nend\r\n` },
  '8-bit': {
    fields: [
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=iso-8859-1',
      'Content-Transfer-Encoding: 8bit',
    ],
    body: 'gr\xfc\xdfe \x80\xff\r\n',
  },
  SMTPUTF8: {
    utf8: true,
    from: 'j\xc3\xb6rg',
    body: 'Gr\xc3\xbc\xc3\x9fe\r\n',
    fields: ['X-Note: na\xc3\xafve'],
  },
  'bare LF': { end: '\n', body: 'one\ntwo\n\nthree\n' },
  'from a local user': { by: 'sendmail', end: '\n', body: `${line}\n`.repeat(30) },
  'dots and blank lines at the end': { body: '.\r\n..\r\n-- \r\nFrom here\r\n \r\n\t\r\n\r\n\r\n' },
  'empty body': { body: '' },
  attachment: {
    fields: ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary="b"'],
    body: `--b\r\n\r\nSee below.\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n${`${'QUJD'.repeat(19)}\r\n`.repeat(130)}--b--\r\n`,
  },
  'a list’s signature': { fields: [foreign, 'List-Id: <list.example>'], body: `${line}\r\n` },
  'a local user’s bounce': { by: 'sendmail', end: '\n', to: refused, body: 'Who is there?\n' },
  bounce: { to: refused, body: 'Who is there?\r\n' },
};

export const kinds = Object.keys(shapes);

/** The message of this number, from an author of this domain. */
export const submission = (n: number, domain: string): Submission => {
  const kind = kinds[n % kinds.length] ?? 'plain';
  const shape: Shape = shapes[kind] ?? { body: '' };
  const {
    by = 'smtp',
    to = 'rcpt@elsewhere.example',
    from = 'jo',
    utf8 = false,
    fields = [],
    body,
    end = '\r\n',
  } = shape;
  const address = `${from}@${domain}`;
  const header = [
    `From: Jo <${address}>`,
    `To: <${to}>`,
    `Subject: a message, ${kind.replaceAll('’', "'")}`,
    `${numberField}: ${n}`,
    ...fields,
  ].join('\r\n');
  const text = `${end === '\n' ? header.replaceAll('\r\n', '\n') : header}${end}${end}${body}`;
  return {
    kind,
    by,
    from: Buffer.from(address, 'latin1').toString('utf8'),
    to: [to],
    utf8,
    raw: Buffer.from(text, 'latin1'),
  };
};
