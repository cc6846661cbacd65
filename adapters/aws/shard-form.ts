// The bytes of a shard: many keys, each with its name, in one secret. It says itself what it holds, so that it can be read
// without the ledger. Pure.
//
//   1 byte    version, 1
//   for each key:
//     2 bytes   length of the name
//     the name  `domain/selector`, ASCII
//     2 bytes   length of the key
//     the key   PKCS#8, DER
//
// Numbers are big-endian. DER and not PEM: a third shorter.
import { SelkieError } from '../../core/errors.ts';
import { isDnsName } from '../../core/names.ts';
import type { NewSecret } from '../../engine/ports.ts';

/** `domain/selector`. */
export type KeyName = string;

export const keyNameOf = ({ domain, selector }: Pick<NewSecret, 'domain' | 'selector'>): KeyName =>
  `${domain}/${selector}`;

/** Undefined where it is none. */
export const parseKeyName = (
  name: KeyName,
): { readonly domain: string; readonly selector: string } | undefined => {
  const [domain = '', selector = '', ...rest] = name.split('/');
  return rest.length === 0 && isDnsName(domain) && isDnsName(selector) ? { domain, selector } : undefined;
};

const version = 1;
const header = 1;
const lengths = 2 + 2;

/** What one secret takes, in base64, as it crosses the wire: 65,536, however the service counts it. */
export const mostBytes = (65_536 / 4) * 3;
/** Keys of one shard: its index is written in one transaction of 100 items. */
const mostKeys = 90;

const roomOf = (key: NewSecret): number => lengths + keyNameOf(key).length + key.privateKey.length;

/** As few shards as these keys fit into, in their order. @throws invalid: no names, or a key that fits into none */
export const shardsOf = (keys: readonly NewSecret[]): readonly (readonly NewSecret[])[] => {
  const shards: NewSecret[][] = [];
  let left = 0;
  for (const key of keys) {
    if (parseKeyName(keyNameOf(key)) === undefined)
      throw new SelkieError('invalid', `No DNS names: domain "${key.domain}", selector "${key.selector}".`);
    const room = roomOf(key);
    if (header + room > mostBytes)
      throw new SelkieError(
        'invalid',
        `The key of selector ${key.selector} of ${key.domain} has ${key.privateKey.length} bytes, and a secret holds ${mostBytes}.`,
      );
    const last = shards.at(-1);
    if (last === undefined || room > left || last.length >= mostKeys) {
      shards.push([key]);
      left = mostBytes - header - room;
    } else {
      last.push(key);
      left -= room;
    }
  }
  return shards;
};

export const formatShard = (keys: readonly NewSecret[]): Uint8Array => {
  const bytes = new Uint8Array(header + keys.reduce((sum, key) => sum + roomOf(key), 0));
  const view = new DataView(bytes.buffer);
  bytes[0] = version;
  let at = header;
  for (const key of keys)
    for (const part of [new TextEncoder().encode(keyNameOf(key)), key.privateKey]) {
      view.setUint16(at, part.length);
      bytes.set(part, at + 2);
      at += 2 + part.length;
    }
  return bytes;
};

/** Views of `bytes`, not copies. Undefined where they are no shard. */
export const parseShard = (bytes: Uint8Array): ReadonlyMap<KeyName, Uint8Array> | undefined => {
  if (bytes[0] !== version) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = new Map<KeyName, Uint8Array>();
  let at = header;
  const part = (): Uint8Array | undefined => {
    if (at + 2 > bytes.length) return undefined;
    const end = at + 2 + view.getUint16(at);
    const content = end > bytes.length ? undefined : bytes.subarray(at + 2, end);
    at = end;
    return content;
  };
  while (at < bytes.length) {
    const [name, key] = [part(), part()];
    if (name === undefined || key === undefined) return undefined;
    const text = new TextDecoder().decode(name);
    if (parseKeyName(text) === undefined) return undefined;
    found.set(text, key);
  }
  return found;
};
