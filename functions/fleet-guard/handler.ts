// A custom resource of the stack, examined before anything else of a deployment: a fleet that would lose keys or records is
// refused, CloudFormation rolls back, and the functions go on with the fleet that they had. The fleet is that of this
// function's own layer, which the deployment has just replaced. It reads the ledger and answers; it changes nothing.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html

import { readFileSync } from 'node:fs';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { CloudFormationCustomResourceEvent, Context } from 'aws-lambda';
import { createDynamoLedger } from '../../adapters/aws/ledger.ts';
import { loadCompiledFleet } from '../../core/compiled-fleet.ts';
import { describe, SelkieError } from '../../core/errors.ts';
import { refusalText } from '../../core/fleet-change.ts';
import type { Fleet } from '../../core/policy.ts';
import { examineFleet } from '../../engine/fleet-guard.ts';
import type { Ledger } from '../../engine/ports.ts';
import { say } from '../say.ts';

/** An answer holds 4,096 bytes, its other fields included. */
const longestReason = 2_500;
const answerTries = 3;

type Verdict = { readonly Status: 'SUCCESS' } | { readonly Status: 'FAILED'; readonly Reason: string };

const needed = (name: string): string => {
  const value = process.env[name];
  if (value === undefined || value === '')
    throw new SelkieError('invalid', `the environment variable ${name} is not set: deploy the stack again`);
  return value;
};

/** What CloudFormation asks about. */
export interface Question {
  readonly type: CloudFormationCustomResourceEvent['RequestType'];
  /** Of the fleet that is to be installed. */
  readonly version: number;
}

/**
 * Whether the fleet may be installed.
 * @param fleet of this function's layer
 * @throws unavailable, throttled
 */
export const judge = async (
  ledger: Pick<Ledger, 'head' | 'domains'>,
  fleet: Fleet,
  question: Question,
): Promise<Verdict> => {
  if (question.type === 'Delete') return { Status: 'SUCCESS' };
  const { fleetVersion, replacedBy } = await ledger.head();
  // A deployment without its setting would go back to a ledger that has forgotten what was done since.
  if (replacedBy !== undefined)
    return {
      Status: 'FAILED',
      Reason: `the table of this deployment was replaced by ${replacedBy}, which knows more: put "ledgerTable": "${replacedBy}" into cdk.json`,
    };
  // Installed already: a deployment rolls back, whether this function was rolled back before it or not, and must be able to.
  if (question.version <= fleetVersion) return { Status: 'SUCCESS' };
  if (question.version !== fleet.version)
    return {
      Status: 'FAILED',
      Reason: `this function carries fleet version ${fleet.version}, and was asked about ${question.version}: deploy again`,
    };
  const reasons = await examineFleet(ledger, fleet);
  if (reasons.length === 0) return { Status: 'SUCCESS' };
  const text = refusalText(reasons);
  if (fleet.force !== undefined) {
    say({ level: 'alarm', says: `forced (${fleet.force.reason}): ${text}` });
    return { Status: 'SUCCESS' };
  }
  say({ level: 'alarm', says: text });
  return { Status: 'FAILED', Reason: text };
};

/** Without an answer the deployment would wait for its time-out. The address is signed for a PUT without a content type. */
const answer = async (url: string, body: Readonly<Record<string, unknown>>): Promise<void> => {
  for (let tries = 1; ; tries += 1) {
    try {
      const response = await fetch(url, {
        method: 'PUT',
        body: new TextEncoder().encode(JSON.stringify(body)),
        signal: AbortSignal.timeout(10_000),
      });
      if (response.ok) return;
      throw new SelkieError('unavailable', `CloudFormation took no answer: status ${response.status}`);
    } catch (error) {
      if (tries >= answerTries) throw error;
    }
  }
};

export const handler = async (
  event: CloudFormationCustomResourceEvent,
  context: Pick<Context, 'logStreamName'>,
): Promise<void> => {
  let verdict: Verdict;
  try {
    const ledger = createDynamoLedger({
      client: new DynamoDBClient({ maxAttempts: 6 }),
      table: needed('SELKIE_TABLE'),
    });
    const fleet = loadCompiledFleet(readFileSync(needed('SELKIE_FLEET'), 'utf8'));
    verdict = await judge(ledger, fleet, {
      type: event.RequestType,
      version: Number(event.ResourceProperties.Version),
    });
  } catch (error) {
    verdict = {
      Status: 'FAILED',
      Reason: `the fleet could not be compared with the ledger: ${describe(error)}`,
    };
  }
  await answer(event.ResponseURL, {
    ...verdict,
    ...(verdict.Status === 'FAILED' ? { Reason: verdict.Reason.slice(0, longestReason) } : {}),
    // One resource for ever: another id would have CloudFormation delete the one before.
    PhysicalResourceId: 'fleet',
    StackId: event.StackId,
    RequestId: event.RequestId,
    LogicalResourceId: event.LogicalResourceId,
    Data: { LogStream: context.logStreamName },
  });
};
