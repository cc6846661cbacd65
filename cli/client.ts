// Calls the API of a running Selkie.

import type { Problem } from '../contract/api.ts';
import { SelkieError } from '../core/errors.ts';
import { readApiAddress } from './local-world.ts';

/** @throws not-found, unavailable, and what the API says */
export const call = async <T>(
  dir: string,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<T> => {
  const { url, token } = readApiAddress(dir);
  let response: Response;
  try {
    response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
  } catch (error) {
    throw new SelkieError('unavailable', `no answer at ${url}: is npm start still running?`, {
      cause: error,
    });
  }
  if (response.ok) return (await response.json()) as T;
  const problem = (await response.json()) as Problem;
  throw new SelkieError(problem.code ?? 'unavailable', problem.detail);
};
