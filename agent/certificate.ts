// A self-signed certificate for the agent's endpoint. It is pinned by whoever connects, so it names the host and promises
// nothing else. DER by hand (X.690, RFC 5280): it is one fixed form. No I/O.
import { type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import { SelkieError } from '../core/errors.ts';
import { isDnsName } from '../core/names.ts';
import { add, days, type Instant } from '../core/time.ts';

const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts);
  const n = content.length;
  // X.690 §8.1.3: one octet up to 127, else the number of octets that follow.
  const length = n < 0x80 ? [n] : n < 0x100 ? [0x81, n] : [0x82, n >> 8, n & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
};
const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
const octets = (...parts: readonly Uint8Array[]): Buffer => der(0x04, ...parts);
const bits = (content: Uint8Array, unused = 0): Buffer => der(0x03, Buffer.from([unused]), content);
const explicit = (n: number, content: Uint8Array): Buffer => der(0xa0 + n, content);
const implicit = (n: number, content: Uint8Array): Buffer => der(0x80 + n, content);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));

const oids = {
  ecdsaWithSha256: oid('2a8648ce3d040302'),
  commonName: oid('550403'),
  subjectAltName: oid('551d11'),
  basicConstraints: oid('551d13'),
  keyUsage: oid('551d0f'),
  extendedKeyUsage: oid('551d25'),
  serverAuth: oid('2b06010505070301'),
} as const;

/** RFC 5280 §4.1.2.5: UTCTime up to 2049, GeneralizedTime from 2050. */
const time = (at: Instant): Buffer => {
  const text = `${new Date(at).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  return text < '2050' ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text));
};

/** `::1` and the like as 16 bytes; a mapped IPv4 tail is written by the URL parser in hex. */
const addressBytes = (address: string): Buffer => {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::');
  const groups = (text: string): string[] => text.split(':').filter((group) => group !== '');
  const [left, right] = [groups(head), groups(tail ?? '')];
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return Buffer.from([...left, ...zeros, ...right].map((group) => group.padStart(4, '0')).join(''), 'hex');
};

/** RFC 5280 §4.2.1.6 */
const alternativeName = (host: string): Buffer => {
  if (isIP(host) !== 0) return implicit(7, addressBytes(host));
  if (isDnsName(host)) return implicit(2, Buffer.from(host));
  throw new SelkieError('invalid', `The endpoint's host ${host} is neither a DNS name nor an IP address.`, {
    field: 'endpointHost',
  });
};

const extension = (id: Buffer, content: Buffer, critical = false): Buffer =>
  sequence(id, ...(critical ? [Buffer.from([0x01, 0x01, 0xff])] : []), octets(content));

/**
 * PEM of a certificate for `host` (DNS name or IP address), valid for 10 years from a day before `now`.
 * @throws SelkieError invalid
 */
export const selfSigned = (
  keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject },
  host: string,
  now: Instant,
): string => {
  const algorithm = sequence(oids.ecdsaWithSha256);
  const name = sequence(der(0x31, sequence(oids.commonName, der(0x0c, Buffer.from('selkie-agent')))));
  const serial = randomBytes(16);
  // RFC 5280 §4.1.2.2: positive, and its first octet not zero.
  serial.writeUInt8((serial.readUInt8(0) & 0x7f) | 0x40, 0);
  const body = sequence(
    explicit(0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    name,
    sequence(time(add(now, days(-1))), time(add(now, days(3652)))),
    name,
    keys.publicKey.export({ type: 'spki', format: 'der' }),
    explicit(
      3,
      sequence(
        extension(oids.subjectAltName, sequence(alternativeName(host))),
        extension(oids.basicConstraints, sequence(), true),
        extension(oids.keyUsage, bits(Buffer.from([0x80]), 7), true),
        extension(oids.extendedKeyUsage, sequence(oids.serverAuth)),
      ),
    ),
  );
  const certificate = sequence(body, algorithm, bits(sign('sha256', body, keys.privateKey)));
  const lines = certificate.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
};
