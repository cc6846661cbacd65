// Milters as Postfix writes them in `smtpd_milters` (postconf(5), MILTER_README): lists of addresses, an element in braces
// with settings of its own. Pure.
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { SelkieError } from '../../core/errors.ts';
import type { MilterAddress } from '../milter/server.ts';
import { milterAddress } from '../settings.ts';

/** An element of a list: `inet:127.0.0.1:8891`, `$mail_milter`, `{ unix:/run/m.sock, default_action=accept }`. */
export interface MilterElement {
  readonly text: string;
  /** What is connected to: without braces and settings. */
  readonly address: string;
  /** Its own `default_action`. */
  readonly defaultAction?: string;
}

/** The elements between commas and white space, where these do not stand in braces. */
export const splitList = (list: string): readonly string[] => {
  const elements: string[] = [];
  let element = '';
  let depth = 0;
  for (const character of list) {
    if (character === '{') depth += 1;
    if (character === '}') depth -= 1;
    if (depth <= 0 && /[\s,]/.test(character)) {
      if (element !== '') elements.push(element);
      element = '';
    } else element += character;
  }
  return element === '' ? elements : [...elements, element];
};

const parseElement = (text: string): MilterElement => {
  const inner = /^\{(.*)\}$/s.exec(text)?.[1];
  if (inner === undefined) return { text, address: text };
  const [address = '', ...settings] = splitList(inner.replace(/\s*=\s*/g, '='));
  const action = settings.find((setting) => setting.startsWith('default_action='));
  return {
    text,
    address,
    ...(action === undefined ? {} : { defaultAction: action.slice('default_action='.length) }),
  };
};

export const parseMilters = (list: string): readonly MilterElement[] => splitList(list).map(parseElement);

const loopback = new Set(['localhost', '127.0.0.1', '::1', '[::1]', '0.0.0.0', '::', '[::]', '']);

/** One spelling for each place: hosts of loopback are one, `local:` is `unix:`. */
const canonical = (address: string): string => {
  const [, host = '', port] = /^inet:(.*):(\w+)$/.exec(address) ?? [];
  if (port !== undefined) return `inet:${loopback.has(host) ? 'loopback' : host.toLowerCase()}:${port}`;
  return address.replace(/^(?:local|unix):/, 'unix:');
};

/** Whether two addresses name one milter; `queueDirectory` is where Postfix looks for a socket's relative path, or a chrooted one's. */
export const sameMilter = (one: string, other: string, queueDirectory: string): boolean => {
  const places = (address: string): readonly string[] => {
    const name = canonical(address);
    if (!name.startsWith('unix:')) return [name];
    const path = name.slice('unix:'.length);
    const inQueue = `unix:${join(queueDirectory, path)}`;
    return path.startsWith('/') ? [`unix:${join(path)}`, inQueue] : [inQueue];
  };
  const others = places(other);
  return places(one).some((place) => others.includes(place));
};

/**
 * Reads Postfix's form (`inet:localhost:8891`, `unix:/path`) and OpenDKIM's (`inet:8891@localhost`).
 * @throws SelkieError invalid, with field `milter`
 */
export const anyAddress = (text: string): MilterAddress => {
  const [, host, port] = /^inet:(\[[^\]]+\]|[^:@[\]]+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined) {
    // A path of Postfix's, relative to the queue directory: which one is for the caller to know.
    if (/^(?:unix|local):[^/]/.test(text))
      throw new SelkieError('invalid', `${text}: write the whole path of the socket.`, { field: 'milter' });
    return milterAddress(text);
  }
  return milterAddress(`inet:${port}@${host}`);
};

/** `host` as Postfix writes it; a milter that listens on all addresses is reached on loopback. */
const inet = (host: string, port: number): string => {
  const at = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `inet:${isIPv6(at) ? `[${at}]` : at}:${port}`;
};

/**
 * What Postfix calls a milter. A socket within the queue directory has a path relative to it, which processes find with and
 * without chroot (they work in that directory).
 */
export const postfixAddress = (listen: MilterAddress, queueDirectory: string): string => {
  if ('port' in listen) return inet(listen.host, listen.port);
  const root = `${join(queueDirectory)}/`;
  const path = join(listen.path);
  return `unix:${path.startsWith(root) ? path.slice(root.length) : path}`;
};
