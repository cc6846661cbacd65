// A disclosed key as a file: some lines that say what it is and why it is there, then the key in PEM. Programs read past the
// lines (RFC 7468 §2 allows text before the encapsulation boundary). The same key gives the same text. Touches nothing.

import { createPrivateKey } from 'node:crypto';
import { isAlgorithm } from '../../core/algorithm.ts';
import { SelkieError } from '../../core/errors.ts';
import { formatInstant, instant } from '../../core/time.ts';
import type { DisclosedKey } from '../../engine/ports.ts';

const fields = ['Domain', 'Selector', 'Algorithm', 'Public-Key', 'Record-Removed'] as const;

/** PKCS#8 in PEM. Throws where the bytes are no key. */
export const pemOf = (privateKey: Uint8Array): string =>
  createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString();

/** @throws invalid where the bytes are no key */
export const keyFileText = ({
  domain,
  selector,
  algorithm,
  publicKey,
  privateKey,
  removed,
}: DisclosedKey): string => {
  let pem: string;
  try {
    pem = pemOf(privateKey);
  } catch {
    // Whatever it says of the bytes is nobody's business.
    throw new SelkieError('invalid', `What is to be published as ${selector} of ${domain} is no PKCS#8 key.`);
  }
  return [
    `This is a retired DKIM key of ${domain}, published on purpose. Its record is gone from`,
    'DNS, so that nothing verifies with it any more; and since anybody can sign with',
    'it now, no signature that it made proves who wrote a message.',
    '',
    `Domain: ${domain}`,
    `Selector: ${selector}`,
    `Algorithm: ${algorithm}`,
    `Public-Key: ${publicKey}`,
    `Record-Removed: ${formatInstant(removed)}`,
    '',
    pem,
  ].join('\n');
};

/** @throws unavailable where it is not as `keyFileText` writes it */
export const parseKeyFile = (text: string, name: string): DisclosedKey => {
  const [domain, selector, algorithm, publicKey, removed] = fields.map(
    (field) => new RegExp(`^${field}: (.+)$`, 'm').exec(text)?.[1],
  );
  const at = Date.parse(removed ?? '');
  if (
    domain === undefined ||
    selector === undefined ||
    algorithm === undefined ||
    !isAlgorithm(algorithm) ||
    publicKey === undefined ||
    Number.isNaN(at)
  )
    throw new SelkieError('unavailable', `${name} is not as Selkie wrote it: restore it, or move it away.`);
  try {
    const privateKey = createPrivateKey(text.slice(text.indexOf('-----BEGIN'))).export({
      format: 'der',
      type: 'pkcs8',
    });
    return {
      domain,
      selector,
      algorithm,
      publicKey,
      privateKey: new Uint8Array(privateKey),
      removed: instant(at),
    };
  } catch {
    throw new SelkieError('unavailable', `${name} holds no whole key: restore it, or move it away.`);
  }
};
