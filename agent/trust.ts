// The bundle keys that this host trusts: a set, so that one can follow another. Pinned by `selkie-agent enrol`, kept in the
// state folder. Touches `<state folder>/trusted.json`, and fetches a key from the control plane where only its thumbprint is told.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { calculateJwkThumbprint, type JWK } from 'jose';
import * as z from 'zod/mini';
import { checkJson } from '../contract/check.ts';
import { SelkieError } from '../core/errors.ts';
import { privateFolder, readIfThere, replaceFile } from './files.ts';
import { controlPlaneUrl } from './pull.ts';

const coordinate = z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/));

// Further members (`kid`, `use`) are dropped: a key is named by its thumbprint.
const bundleKey = z.object({ kty: z.literal('EC'), crv: z.literal('P-256'), x: coordinate, y: coordinate });
const keySet = z.object({ keys: z.array(bundleKey).check(z.minLength(1)) });

const fileOf = (dir: string): string => join(dir, 'trusted.json');

/** RFC 7638: SHA-256, base64url. */
const isThumbprint = (text: string): boolean => /^[A-Za-z0-9_-]{43}$/.test(text);

/** @throws SelkieError invalid where none is pinned, or the file is damaged */
export const trustedKeys = async (dir: string): Promise<readonly JWK[]> => {
  const text = await readIfThere(fileOf(dir));
  if (text === undefined)
    throw new SelkieError(
      'invalid',
      `No bundle key is pinned in ${dir}: run selkie-agent enrol --bundle-key.`,
    );
  return checkJson(keySet, text, `The file ${fileOf(dir)}`).keys;
};

/** Adds keys to those that are pinned. Returns the thumbprints of all. */
export const trust = async (dir: string, keys: readonly JWK[]): Promise<readonly string[]> => {
  await privateFolder(dir);
  const before = (await readIfThere(fileOf(dir))) === undefined ? [] : await trustedKeys(dir);
  const all = new Map<string, JWK>();
  for (const key of [...before, ...keys]) all.set(await calculateJwkThumbprint(key), key);
  await replaceFile(fileOf(dir), `${JSON.stringify({ keys: [...all.values()] }, null, 2)}\n`);
  return [...all.keys()];
};

/** A JWK, or a JWK set. @throws SelkieError invalid */
const parse = (text: string, what: string): readonly JWK[] => {
  const found = checkJson(z.union([keySet, bundleKey]), text, what);
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
