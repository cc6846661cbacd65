// The engine's `Keys` on node:crypto. No I/O. Key material stays in memory: no error of this file bears any of it,
// and none has the library's own error as its cause.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import { promisify } from 'node:util';
import { type Algorithm, algorithms } from '../core/algorithm.ts';
import { SelkieError } from '../core/errors.ts';
import type { Keys } from '../engine/ports.ts';

const pair = promisify(generateKeyPair);

/** RFC 8301 §3.2 wants 65537 or more; it is what every verifier takes. */
const publicExponent = 65_537;

/** DER of a SubjectPublicKeyInfo for Ed25519 up to the key itself: RFC 8410 §4. */
const ed25519Prefix = Buffer.from('302a300506032b6570032100', 'hex');
const ed25519Length = 32;

const pkcs8 = { type: 'pkcs8', format: 'der' } as const;
const spki = { type: 'spki', format: 'der' } as const;

const parsePrivate = (der: Uint8Array): KeyObject => {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: Buffer.from(der), ...pkcs8 });
  } catch {
    throw new SelkieError('invalid', 'The private key is not PKCS#8 in DER: store it in that form.');
  }
  if (key.asymmetricKeyType !== 'rsa' && key.asymmetricKeyType !== 'ed25519')
    throw new SelkieError(
      'invalid',
      `The private key is of type ${key.asymmetricKeyType ?? 'unknown'}: DKIM signs with RSA or Ed25519.`,
    );
  return key;
};

/** `p=` may be folded: RFC 6376 §3.6.1 allows white space between its characters. */
const decode = (publicKey: string): Buffer | undefined => {
  const text = publicKey.replaceAll(/[ \t\r\n]/g, '');
  return /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 === 0
    ? Buffer.from(text, 'base64')
    : undefined;
};

const attempt = (read: () => KeyObject): KeyObject | undefined => {
  try {
    return read();
  } catch {
    return undefined;
  }
};

/** RSA as SubjectPublicKeyInfo, which everyone publishes, or as the bare RSAPublicKey that RFC 6376 §3.6.1 describes. */
const parsePublic = (keyType: 'rsa' | 'ed25519', publicKey: string): KeyObject | undefined => {
  const bytes = decode(publicKey);
  if (bytes === undefined) return undefined;
  if (keyType === 'ed25519')
    return bytes.length === ed25519Length
      ? attempt(() => createPublicKey({ key: Buffer.concat([ed25519Prefix, bytes]), ...spki }))
      : undefined;
  return (
    attempt(() => createPublicKey({ key: bytes, ...spki })) ??
    attempt(() => createPublicKey({ key: bytes, type: 'pkcs1', format: 'der' }))
  );
};

const generatePrivate = async (algorithm: Algorithm): Promise<KeyObject> => {
  const facts = algorithms[algorithm];
  const made =
    facts.keyType === 'rsa'
      ? await pair('rsa', { modulusLength: facts.bits, publicExponent })
      : await pair('ed25519');
  return made.privateKey;
};

/** Generation runs in libuv's thread pool: an RSA-2048 pair takes 80 to 220 ms, and the event loop goes on. */
export const createNodeKeys = (): Keys => ({
  async generate(algorithm) {
    const key = await generatePrivate(algorithm);
    return { privateKey: new Uint8Array(key.export(pkcs8)) };
  },

  publicOf(privateKey) {
    const key = createPublicKey(parsePrivate(privateKey));
    const der = key.export(spki);
    // RFC 8463 §4: Ed25519 is published as its 32 bytes alone.
    const published = key.asymmetricKeyType === 'ed25519' ? der.subarray(ed25519Prefix.length) : der;
    return {
      publicKey: published.toString('base64'),
      fingerprint: createHash('sha256').update(der).digest('hex'),
    };
  },

  matches(privateKey, algorithm, publicKey) {
    const { keyType } = algorithms[algorithm];
    const secret = parsePrivate(privateKey);
    const published = parsePublic(keyType, publicKey);
    if (published?.asymmetricKeyType !== keyType || secret.asymmetricKeyType !== keyType) return false;
    const data = randomBytes(64);
    // RSASSA-PKCS1-v1_5 with SHA-256 (RFC 6376 §3.3.1), or Ed25519, which hashes by itself.
    const hash = keyType === 'rsa' ? 'sha256' : undefined;
    return verify(hash, data, published, sign(hash, data, secret));
  },
});
