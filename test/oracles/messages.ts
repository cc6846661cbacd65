// Messages that canonicalisation can go wrong with, as an SMTP server would have them: CRLF everywhere.

const head = (...more: readonly string[]): string =>
  [
    'Received: from client.example.net by mx.example.com; Mon, 2 Nov 2026 10:00:00 +0000',
    'From: Jo Doe <jo@example.com>',
    'To: rcpt@example.org',
    'Subject: a test',
    'Date: Mon, 2 Nov 2026 10:00:00 +0000',
    'Message-ID: <1@example.com>',
    ...more,
  ].join('\r\n');

const message = (header: string, body: string): Uint8Array =>
  Buffer.from(`${header}\r\n\r\n${body}`, 'latin1');

const line = 'The quick brown fox  jumps\tover the lazy dog. \r\n';

/** Each with its From in example.com. */
export const messages: Readonly<Record<string, Uint8Array>> = {
  plain: message(head(), 'Hello.\r\n\r\nGood-bye.\r\n'),
  'folded header fields': message(
    head(
      'References: <a@example.com>\r\n <b@example.com>\r\n\t<c@example.com>  ',
      'MIME-Version:1.0',
      'Content-Type: multipart/mixed;\r\n  boundary="x"\t',
      'Cc:\r\n copy@example.org',
      'In-Reply-To: ',
    ),
    'Hello.\r\n',
  ),
  'empty body': message(head(), ''),
  'a body of one empty line': message(head(), '\r\n'),
  'trailing blank lines': message(head(), '\r\n\r\nHello.\r\n\r\n\r\n\r\n'),
  'trailing lines of white space': message(head(), 'Hello.\r\n \r\n\t\r\n'),
  'runs of white space': message(head(), '  a  b \t c\t\r\n\td\r\n \r\n e  \r\n'),
  '8-bit': message(head('Content-Transfer-Encoding: 8bit'), 'gr\xfc\xdfe \xe2\x82\xac \x80\xff\r\n'),
  'an 8-bit header': message(head('Cc: "J\xc3\xb6" <copy@example.org>'), 'Hello.\r\n'),
  'long lines': message(head(), `${'x'.repeat(5000)}\r\n${'y '.repeat(3000)}\r\n`),
  'no final CRLF': message(head(), 'Hello.'),
  'dots and dashes': message(head(), '.\r\n..\r\n-- \r\nFrom here\r\n'),
  'repeated fields': message(
    head('To: second@example.org', 'Subject: another', 'Received: from elsewhere', 'To: third@example.org'),
    'Hello.\r\n',
  ),
  'list fields': message(
    head(
      'List-Id: <list.example.com>',
      'List-Unsubscribe: <https://example.com/u>',
      'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
      'X-Unsigned: x',
    ),
    'Hello.\r\n',
  ),
  'one megabyte of text': message(head(), line.repeat(Math.ceil(1_048_576 / line.length))),
  'one megabyte of base64': message(head(), `${'QUJD'.repeat(19)}\r\n`.repeat(13_443)),
};

/** A message of this author. */
export const messageFrom = (author: string): Uint8Array =>
  message(head().replace('Jo Doe <jo@example.com>', author), `Hello.\r\n${line}\r\n`);
