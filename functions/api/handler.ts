// The HTTP API behind API Gateway, which has authenticated operators by IAM; hosts prove themselves by their own keys.
import { handle } from 'hono/aws-lambda';
import { createApi } from '../../adapters/http/api.ts';
import { sayTrouble } from '../say.ts';
import { lazily, metered, wire } from '../wire.ts';
import { iamIdentity } from './who.ts';

const world = lazily(() => wire(process.env));
const api = lazily(() => handle(createApi(world(), (line) => sayTrouble(line), iamIdentity)));

export const handler: ReturnType<typeof handle> = (event, context) =>
  metered(world(), () => api()(event, context));
