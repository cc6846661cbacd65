// `selkie restore` on AWS: invokes the stack's function with the operator's credentials (lambda:InvokeFunction), and waits for
// its answer.

import { createHash } from 'node:crypto';
import type { RestoreOrder } from '../contract/restore.ts';
import { describe, SelkieError } from '../core/errors.ts';
import type { RestoreReport } from '../engine/restore.ts';
import { openAccount } from './aws-account.ts';
import { findOutput } from './aws-client.ts';
import type { RestorePass } from './restore.ts';

/** What the function answers beside the report: functions/restore. */
type Answer = RestoreReport & { readonly said: { readonly says: number } };

/** A call works for three minutes, and on what it has begun then. */
const patience = 290_000;

interface Failure {
  readonly errorMessage?: string;
  readonly message?: string;
  readonly Message?: string;
}

const parse = <T>(text: string): T | undefined => {
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined;
  }
};

/** @throws invalid, not-found, denied, unavailable: with what to do */
export const restoreOnAws = async (place: {
  readonly stack: string;
  readonly profile: string | undefined;
  readonly region: string | undefined;
}): Promise<RestorePass> => {
  const account = await openAccount({ profile: place.profile, region: place.region });
  const { region } = account;
  const { arn } = await account.identity();
  const name = await findOutput(account, place.stack, 'RestoreFunction');
  const base =
    process.env.AWS_ENDPOINT_URL_LAMBDA ??
    process.env.AWS_ENDPOINT_URL ??
    `https://lambda.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`;
  const url = new URL(`/2015-03-31/functions/${encodeURIComponent(name)}/invocations`, base);

  const invoke = async (order: RestoreOrder): Promise<Answer> => {
    const body = JSON.stringify(order);
    const request = {
      method: 'POST',
      url,
      headers: {
        'content-type': 'application/json',
        'x-amz-content-sha256': createHash('sha256').update(body).digest('hex'),
      },
      body,
    } as const;
    const response = await fetch(url, {
      method: 'POST',
      headers: await account.sign('lambda', request),
      body,
      signal: AbortSignal.timeout(patience),
    }).catch((cause: unknown) => {
      throw new SelkieError(
        'unavailable',
        `Lambda did not answer (${describe(cause)}): what was begun goes on; run it again, it goes on from there`,
        { cause },
      );
    });
    const text = await response.text();
    const failure = parse<Failure>(text);
    if (response.status === 403)
      throw new SelkieError(
        'denied',
        `${arn} may not invoke ${name} (${failure?.message ?? failure?.Message ?? 'no reason given'}): grant lambda:InvokeFunction on it`,
      );
    if (response.headers.get('x-amz-function-error') !== null)
      throw new SelkieError('unavailable', failure?.errorMessage ?? `${name} failed: see its log`);
    const answer = response.ok ? parse<Answer>(text) : undefined;
    if (answer === undefined)
      throw new SelkieError(
        'unavailable',
        `Lambda answered ${response.status}: ${failure?.message ?? failure?.Message ?? text.slice(0, 200)}`,
      );
    return answer;
  };

  return {
    by: arn,
    run: async (order) => {
      const { said, ...report } = await invoke(order);
      return { report, more: said.says - report.says.length };
    },
    close: async () => {},
  };
};
