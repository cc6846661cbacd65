// Who sends an order to the API behind API Gateway. Touches nothing.

import type { LambdaEvent } from 'hono/aws-lambda';
import type { WhoOf } from '../../adapters/http/edge.ts';
import { SelkieError } from '../../core/errors.ts';

/**
 * The identity that API Gateway's IAM authorizer found, which no header of a request changes.
 * @throws untrusted: a route without the authorizer leads here
 */
export const iamIdentity: WhoOf = ({ env }) => {
  // As hono/aws-lambda hands it on.
  const { event } = env as { readonly event?: LambdaEvent };
  const context = event?.requestContext;
  const authorizer = context !== undefined && 'authorizer' in context ? context.authorizer : undefined;
  const arn = authorizer !== undefined && 'iam' in authorizer ? authorizer.iam?.userArn : undefined;
  if (typeof arn === 'string' && arn !== '') return arn;
  throw new SelkieError('untrusted', 'API Gateway did not say who sends this order: it is not carried out');
};
