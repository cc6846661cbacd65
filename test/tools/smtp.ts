// SMTP for tests, both sides, byte by byte: a client that sends a message as it is, and a sink that keeps what it is sent.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface SmtpMessage {
  readonly from: string;
  readonly to: readonly string[];
  /** Header, empty line, body; CRLF. */
  readonly raw: Uint8Array;
  /** RFC 6531: the header may be in UTF-8. */
  readonly utf8?: boolean;
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Sends commands and gives whole replies. */
const dialogue = (socket: Socket) => {
  let pending = '';
  const waiting: ((reply: string) => void)[] = [];
  const replies: string[] = [];
  const pass = (reply: string): void => {
    const next = waiting.shift();
    if (next === undefined) replies.push(reply);
    else next(reply);
  };
  socket.on('data', (chunk) => {
    pending += latin1(chunk as Buffer);
    for (;;) {
      const found = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(pending);
      if (found === null) return;
      pending = pending.slice(found[0].length);
      pass(found[0].trimEnd());
    }
  });
  socket.once('close', () => {
    for (;;) {
      const next = waiting.shift();
      if (next === undefined) return;
      next('421 the connection was closed');
    }
  });
  socket.on('error', () => {});
  const reply = (): Promise<string> => {
    const there = replies.shift();
    return there === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(there);
  };
  return {
    reply,
    say: (bytes: string | Buffer): Promise<string> => {
      socket.write(bytes);
      return reply();
    },
  };
};

export interface SmtpSession {
  /** The queue id of Postfix's answer (`250 2.0.0 Ok: queued as ID`). @throws Error with the reply where it is refused */
  send(message: SmtpMessage): Promise<string>;
  quit(): Promise<void>;
}

/** @param xclient `LOGIN=user ADDR=192.0.2.1`: needs smtpd_authorized_xclient_hosts */
export const openSmtp = async (port: number, xclient?: string): Promise<SmtpSession> => {
  const socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  const { reply, say } = dialogue(socket);
  const expect = (answer: string, code: string): string => {
    if (!answer.startsWith(code)) throw new Error(`SMTP: ${answer}`);
    return answer;
  };
  expect(await reply(), '220');
  expect(await say('EHLO client.example.com\r\n'), '250');
  if (xclient !== undefined) {
    expect(await say(`XCLIENT ${xclient}\r\n`), '220');
    expect(await say('EHLO client.example.com\r\n'), '250');
  }
  return {
    async send({ from, to, raw, utf8 = false }) {
      const text = latin1(raw);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it asks for what is beyond ASCII
      const eightBit = /[^\x00-\x7f]/.test(text) ? ' BODY=8BITMIME' : '';
      expect(await say(`MAIL FROM:<${from}>${eightBit}${utf8 ? ' SMTPUTF8' : ''}\r\n`), '250');
      for (const one of to) expect(await say(`RCPT TO:<${one}>\r\n`), '250');
      expect(await say('DATA\r\n'), '354');
      // RFC 5321 §4.5.2: transparency.
      const stuffed = text.replace(/(^|\n)\./g, '$1..').replace(/(?:\r\n)?$/, '\r\n');
      const answer = expect(await say(Buffer.from(`${stuffed}.\r\n`, 'latin1')), '250');
      return /queued as (\S+)/.exec(answer)?.[1] ?? '';
    },
    async quit() {
      await say('QUIT\r\n');
      socket.destroy();
    },
  };
};

/** One message in a connection of its own. */
export const sendSmtp = async (port: number, message: SmtpMessage, xclient?: string): Promise<string> => {
  const session = await openSmtp(port, xclient);
  try {
    return await session.send(message);
  } finally {
    await session.quit();
  }
};

export interface SmtpSink {
  readonly port: number;
  /** In the order in which they came. */
  readonly messages: SmtpMessage[];
  /** What is answered to `RCPT TO`; `550 5.1.1 no such user` makes Postfix bounce. */
  recipient: (address: string) => string;
  /** Resolves when there are `count` messages. @throws Error after `within` ms, 30 s unless told otherwise */
  received(count: number, within?: number): Promise<readonly SmtpMessage[]>;
  close(): Promise<void>;
}

const addressOf = (line: string): string => /<([^>]*)>/.exec(line)?.[1] ?? '';

/** Takes mail on a free port of 127.0.0.1 and keeps it in memory. */
export const startSmtpSink = async (): Promise<SmtpSink> => {
  const sockets = new Set<Socket>();
  const messages: SmtpMessage[] = [];
  const arrived = new EventTarget();
  const sink = { recipient: (_: string): string => '250 2.1.5 Ok' };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    const say = (line: string): void => void socket.write(`${line}\r\n`);
    let pending = '';
    let data = false;
    let from = '';
    let to: string[] = [];
    const command = (line: string): void => {
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'EHLO') say('250-sink\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250 8BITMIME');
      else if (verb === 'HELO') say('250 sink');
      else if (verb === 'MAIL') {
        [from, to] = [addressOf(line), []];
        say('250 2.1.0 Ok');
      } else if (verb === 'RCPT') {
        const answer = sink.recipient(addressOf(line));
        if (answer.startsWith('2')) to.push(addressOf(line));
        say(answer);
      } else if (verb === 'DATA') {
        data = to.length > 0;
        say(data ? '354 go on' : '554 5.5.1 no valid recipients');
      } else if (verb === 'QUIT') {
        say('221 2.0.0 Bye');
        socket.end();
      } else say('250 2.0.0 Ok');
    };
    const take = (): boolean => {
      const end = data ? (pending.startsWith('.\r\n') ? 0 : pending.indexOf('\r\n.\r\n')) : -1;
      if (data) {
        if (end < 0) return false;
        const text = end === 0 ? '' : pending.slice(0, end + 2);
        pending = pending.slice(end === 0 ? 3 : end + 5);
        data = false;
        messages.push({ from, to, raw: Buffer.from(text.replace(/(^|\n)\./g, '$1'), 'latin1') });
        arrived.dispatchEvent(new Event('message'));
        say('250 2.0.0 Ok: kept');
        return true;
      }
      const line = pending.indexOf('\r\n');
      if (line < 0) return false;
      const text = pending.slice(0, line);
      pending = pending.slice(line + 2);
      command(text);
      return true;
    };
    say('220 sink ESMTP');
    socket.on('data', (chunk) => {
      pending += latin1(chunk as Buffer);
      while (take());
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address !== 'object') throw new Error('no port');
  return Object.assign(sink, {
    port: address.port,
    messages,
    async received(count: number, within = 30_000) {
      const deadline = AbortSignal.timeout(within);
      while (messages.length < count)
        await once(arrived, 'message', { signal: deadline }).catch(() => {
          throw new Error(`${messages.length} messages arrived, ${count} were awaited`);
        });
      return messages;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  });
};
