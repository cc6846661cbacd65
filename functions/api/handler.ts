// The HTTP API behind API Gateway, which has authenticated operators by IAM; hosts prove themselves by their own keys.
import type { Context } from 'hono';
import { handle, type LambdaEvent } from 'hono/aws-lambda';
import { createApi } from '../../adapters/http/api.ts';
import { SelkieError } from '../../core/errors.ts';
import { sayTrouble } from '../say.ts';
import { lazily, metered, wire } from '../wire.ts';

/**
 * The identity that API Gateway's IAM authorizer found, which no header of a request changes.
 * @throws untrusted: a route without the authorizer leads here
 */
const whoOf = ({ env }: Context<{ Bindings: { readonly event?: LambdaEvent } }>): string => {
  const context = env.event?.requestContext;
  const authorizer = context !== undefined && 'authorizer' in context ? context.authorizer : undefined;
  const arn = authorizer !== undefined && 'iam' in authorizer ? authorizer.iam?.userArn : undefined;
  if (typeof arn === 'string' && arn !== '') return arn;
  throw new SelkieError('untrusted', 'API Gateway did not say who sends this order: it is not carried out');
};

const world = lazily(() => wire(process.env));
const api = lazily(() => handle(createApi(world(), (line) => sayTrouble(line), whoOf)));

export const handler: ReturnType<typeof handle> = (event, context) =>
  metered(world(), () => api()(event, context));
