// The bundle keys that this host trusts: a set, so that one can follow another. Pinned by `selkie-agent enrol`, changed by
// manifests that a trusted key signed and by hand (`selkie-agent trust`), kept in the state folder. Touches
// `<state folder>/trusted.json`, and fetches a key from the control plane where only its thumbprint is told.
import { createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { calculateJwkThumbprint, type JWK } from 'jose';
import * as z from 'zod/mini';
import { checkJson } from '../contract/check.ts';
import { bundleKeySchema, type PublicBundleKey, type Succession } from '../contract/manifest.ts';
import { SelkieError } from '../core/errors.ts';
import { privateFolder, readIfThere, replaceFile } from './files.ts';
import { giveTo } from './owner.ts';
import { controlPlaneUrl } from './pull.ts';

const keySet = z.object({ keys: z.array(bundleKeySchema).check(z.minLength(1)) });

const fileOf = (dir: string): string => join(dir, 'trusted.json');

/** RFC 7638: SHA-256, base64url. */
const isThumbprint = (text: string): boolean => /^[A-Za-z0-9_-]{43}$/.test(text);

/** @throws SelkieError invalid where none is pinned, or the file is damaged */
export const trustedKeys = async (dir: string): Promise<readonly PublicBundleKey[]> => {
  const text = await readIfThere(fileOf(dir));
  if (text === undefined)
    throw new SelkieError(
      'invalid',
      `No bundle key is pinned in ${dir}: run selkie-agent enrol --bundle-key.`,
    );
  return checkJson(keySet, text, `The file ${fileOf(dir)}`).keys;
};

export const thumbprints = (keys: readonly JWK[]): Promise<readonly string[]> =>
  Promise.all(keys.map((key) => calculateJwkThumbprint(key)));

/** RFC 7638 thumbprint → key. */
type Trusted = ReadonlyMap<string, JWK>;

const named = async (keys: readonly JWK[]): Promise<Trusted> => {
  const kids = await thumbprints(keys);
  return new Map(keys.flatMap((key, i) => (kids[i] === undefined ? [] : [[kids[i], key] as const])));
};

/** @throws SelkieError invalid: no point of the curve, so that nothing it signs would ever verify */
const requirePoint = (key: JWK): void => {
  try {
    createPublicKey({ key: { ...key }, format: 'jwk' });
  } catch {
    throw new SelkieError(
      'invalid',
      'A bundle key is no P-256 public key: its coordinates are not on the curve.',
    );
  }
};

const write = async (dir: string, keys: Trusted): Promise<void> => {
  await replaceFile(fileOf(dir), `${JSON.stringify({ keys: [...keys.values()] }, null, 2)}\n`);
  await giveTo(dir, fileOf(dir));
};

/** One change of a folder's set at a time; another process that changes it too sees one or the other. */
let last: Promise<unknown> = Promise.resolve();
const oneByOne = <T>(work: () => Promise<T>): Promise<T> => {
  const mine = last.then(work);
  last = mine.catch(() => undefined);
  return mine;
};

/** Adds keys to those that are pinned. Returns the thumbprints of all. @throws SelkieError invalid */
export const trust = (dir: string, keys: readonly JWK[]): Promise<readonly string[]> =>
  oneByOne(async () => {
    for (const key of keys) requirePoint(key);
    await privateFolder(dir);
    const before = (await readIfThere(fileOf(dir))) === undefined ? [] : await trustedKeys(dir);
    const all = await named([...before, ...keys]);
    await write(dir, all);
    return [...all.keys()];
  });

/**
 * Takes a key out of the set. Returns the thumbprints of those that are left.
 * @throws SelkieError not-found; unsafe where it is the last one: nobody could speak to this host any more
 */
export const distrust = (dir: string, thumbprint: string): Promise<readonly string[]> =>
  oneByOne(async () => {
    const all = new Map(await named(await trustedKeys(dir)));
    if (!all.delete(thumbprint))
      throw new SelkieError(
        'not-found',
        `${thumbprint} is none of the bundle keys that this host trusts: ${[...all.keys()].join(', ')}.`,
      );
    if (all.size === 0)
      throw new SelkieError(
        'unsafe',
        `${thumbprint} is the only bundle key that this host trusts: add its successor first (--add).`,
      );
    await write(dir, all);
    return [...all.keys()];
  });

/**
 * Does what a trusted manifest says of bundle keys; the disk is written only where that changes something. Again is the same.
 * @throws SelkieError invalid
 */
export const succeed = (dir: string, { add = [], retire = [] }: Succession): Promise<void> =>
  oneByOne(async () => {
    const before = await named(await trustedKeys(dir));
    const after = new Map(before);
    for (const [kid, key] of await named(add)) {
      requirePoint(key);
      if (!retire.includes(kid)) after.set(kid, key);
    }
    for (const kid of retire) after.delete(kid);
    // The signer of the manifest retires others only, so one is always left; a file changed by hand meanwhile may be another.
    if (after.size === 0)
      throw new SelkieError('invalid', 'A manifest retires every bundle key that is left.');
    if (after.size !== before.size || [...after.keys()].some((kid) => !before.has(kid)))
      await write(dir, after);
  });

/** A JWK, or a JWK set. @throws SelkieError invalid */
const parse = (text: string, what: string): readonly JWK[] => {
  const found = checkJson(z.union([keySet, bundleKeySchema]), text, what);
  return 'keys' in found ? found.keys : [found];
};

const fetchKeys = async (controlPlane: string): Promise<readonly JWK[]> => {
  const url = new URL('v1/bundle-keys', controlPlaneUrl(controlPlane));
  let text: string;
  try {
    const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(30_000) });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    text = await response.text();
  } catch (error) {
    throw new SelkieError('unavailable', `The bundle keys at ${url} cannot be had; give a file instead.`, {
      cause: error,
    });
  }
  return parse(text, `The answer of ${url}`);
};

/**
 * The bundle keys that an operator means by a file (JWK or JWK set), or by the thumbprint of one that the control plane shows.
 * @throws SelkieError invalid, unavailable; untrusted where the control plane shows no key of that thumbprint
 */
export const findBundleKeys = async (
  given: string,
  controlPlane: string | undefined,
): Promise<readonly JWK[]> => {
  if (!isThumbprint(given)) {
    const text = await readFile(given, 'utf8').catch((cause: unknown) => {
      throw new SelkieError(
        'invalid',
        `${given} is neither a file nor a thumbprint (43 characters of base64url).`,
        {
          field: 'bundleKey',
          cause,
        },
      );
    });
    return parse(text, given);
  }
  if (controlPlane === undefined)
    throw new SelkieError('invalid', 'A thumbprint needs --control-plane, which shows the key itself.', {
      field: 'bundleKey',
    });
  for (const key of await fetchKeys(controlPlane))
    if ((await calculateJwkThumbprint(key)) === given) return [key];
  throw new SelkieError('untrusted', `${controlPlane} shows no bundle key with the thumbprint ${given}.`);
};
