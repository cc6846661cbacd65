// A message of our own through rspamd: what is it signed with, and by which worker? Opens one connection for each message,
// to rspamd's milter socket (its proxy) or to the HTTP port of its normal workers, and nothing else.
import { request } from 'node:http';
import { isIP } from 'node:net';
import { SelkieError } from '../../../core/errors.ts';
import { type MilterTarget, sendThroughMilter } from '../../milter/client.ts';
import { signaturesOf } from '../check-signature.ts';
import { canaryField, workerField } from './configuration.ts';

/** Where mail enters rspamd: its proxy's milter socket, as Postfix has it, or the URL of normal workers. */
export type Entrance = MilterTarget | { readonly url: string };

/** @param text `inet:PORT@ADDRESS`, `unix:/PATH` or `http://ADDRESS:PORT` @throws SelkieError invalid */
export const parseEntrance = (text: string): Entrance => {
  if (/^http:\/\/[^/]+\/?$/.test(text)) return { url: text };
  const unix = /^unix:(\/.+)$/.exec(text)?.[1];
  if (unix !== undefined) return { path: unix };
  const [, port = '', host = ''] = /^inet:(\d{1,5})@(.+)$/.exec(text) ?? [];
  if (Number(port) > 0 && Number(port) < 65_536 && (isIP(host) > 0 || /^[a-z0-9.-]+$/i.test(host)))
    return { host, port: Number(port) };
  throw new SelkieError(
    'invalid',
    `"${text}" is no place where mail enters rspamd: say inet:11332@127.0.0.1 or unix:/PATH (its milter), or http://127.0.0.1:11333 (its normal workers).`,
    { field: 'rspamd.entrances' },
  );
};

/** The process that signed. */
export interface Worker {
  /** rspamd's kind of worker: `normal`, `rspamd_proxy`. */
  readonly kind: string;
  /** Among the `count` workers of this kind, from 0. */
  readonly index: number;
  readonly count: number;
  /** Which version of the map of stopped domains it has read. */
  readonly stopped: string;
}

export interface CanaryAnswer {
  /** Undefined where rspamd's configuration does not have Selkie's Lua file. */
  readonly worker: Worker | undefined;
  /** `s=` of the signature whose `d=` is the canary's domain; undefined where there is none. */
  readonly selector: string | undefined;
  /** Signed message, CRLF. */
  readonly raw: Uint8Array;
}

const message = (domain: string, id: string, now: number): Buffer =>
  Buffer.from(
    [
      `From: Selkie <canary@${domain}>`,
      `To: Selkie <canary@${domain}>`,
      'Subject: Which key signs?',
      `Date: ${new Date(now).toUTCString().replace('GMT', '+0000')}`,
      `Message-ID: <${id}@${domain}>`,
      `${canaryField}: ${id}`,
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=us-ascii',
      '',
      'This message went through the signer and nowhere else.',
      '',
    ].join('\r\n'),
  );

const parseWorker = (text: string | undefined): Worker | undefined => {
  const found = /^\s*(\S+) (\d+)\/(\d+) \d+ (\S+)\s*$/.exec(text ?? '');
  const [, kind = '', index = '', count = '', stopped = ''] = found ?? [];
  return kind === '' ? undefined : { kind, index: Number(index), count: Number(count), stopped };
};

/** The unfolded value of a field's first instance. */
const fieldValue = (raw: Uint8Array, name: string): string | undefined => {
  const text = Buffer.from(raw).toString('latin1');
  const header = text.slice(0, text.indexOf('\r\n\r\n')).replaceAll(/\r\n(?=[ \t])/g, '');
  return header
    .split('\r\n')
    .find((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
    ?.slice(name.length + 1);
};

const first = (value: unknown): unknown => (Array.isArray(value) ? value[0] : value);

const property = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;

const text = (value: unknown): string | undefined => {
  const one = first(value);
  if (typeof one === 'string') return one;
  const inner = property(one, 'value');
  return typeof inner === 'string' ? inner : undefined;
};

/** rspamd's HTTP protocol: envelope in header fields of the request, the signature in a JSON answer. */
const post = (url: string, domain: string, raw: Buffer, timeout: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const fail = (why: string): void =>
      reject(new SelkieError('unavailable', `rspamd does not answer at ${url}: ${why}`));
    const headers = {
      IP: '127.0.0.1',
      From: `canary@${domain}`,
      Rcpt: `canary@${domain}`,
      'Content-Length': raw.length,
      Connection: 'close',
    };
    // A connection of its own, so that any worker may take it.
    const asking = request(new URL('/checkv2', url), { method: 'POST', agent: false, headers, timeout });
    asking.on('timeout', () => asking.destroy(new Error(`nothing came within ${timeout} ms`)));
    asking.on('error', ({ message: why }) => fail(why));
    asking.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        body += piece;
      });
      response.on('error', ({ message: why }) => fail(why));
      response.on('end', () =>
        response.statusCode === 200 ? resolve(body) : fail(`HTTP status ${response.statusCode}`),
      );
    });
    asking.end(raw);
  });

const throughHttp = async (
  url: string,
  domain: string,
  raw: Buffer,
  timeout: number,
): Promise<Uint8Array> => {
  let answer: unknown;
  try {
    answer = JSON.parse(await post(url, domain, raw, timeout));
  } catch (error) {
    if (error instanceof SelkieError) throw error;
    throw new SelkieError('invalid', `What answers at ${url} is no rspamd.`);
  }
  const given = property(answer, 'dkim-signature');
  const signatures = (Array.isArray(given) ? given : [given]).filter((one) => typeof one === 'string');
  const worker = text(property(property(property(answer, 'milter'), 'add_headers'), workerField));
  return Buffer.concat([
    ...signatures.map((value) => Buffer.from(`DKIM-Signature: ${value}\r\n`, 'latin1')),
    ...(worker === undefined ? [] : [Buffer.from(`${workerField}: ${worker}\r\n`)]),
    raw,
  ]);
};

export interface CanaryOptions {
  /** Unique for each message. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Milliseconds to wait for an answer. */
  readonly timeout: number;
}

/**
 * A message from `canary@DOMAIN`, as an internal client hands it in.
 * @throws SelkieError unavailable where rspamd does not answer or puts the message off; invalid where it is no rspamd
 */
export const sendCanary = async (
  entrance: Entrance,
  domain: string,
  { id, now, timeout }: CanaryOptions,
): Promise<CanaryAnswer> => {
  const sent = message(domain, id, now);
  let raw: Uint8Array;
  if ('url' in entrance) raw = await throughHttp(entrance.url, domain, sent, timeout);
  else {
    const address = `canary@${domain}`;
    const envelope = { macros: { i: 'SELKIE' }, from: address, to: [address], raw: sent };
    const answer = await sendThroughMilter(entrance, envelope, { timeout });
    if (answer.verdict !== 'accept')
      throw new SelkieError('unavailable', `rspamd answered a canary with ${answer.verdict}: see its log.`);
    raw = answer.raw;
  }
  return {
    worker: parseWorker(fieldValue(raw, workerField)),
    selector: signaturesOf(raw).find((one) => one.domain === domain)?.selector,
    raw,
  };
};

/** Whether a canary's signature verifies with this public key: `p=` of an RSA key record. */
export const verifiesWith = ({ raw, selector }: CanaryAnswer, domain: string, publicKey: string): boolean =>
  signaturesOf(raw).some(
    (found) => found.selector === selector && found.domain === domain && found.holds(publicKey),
  );
