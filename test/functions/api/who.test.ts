// Events as API Gateway sends them (payload format 2.0): the trail names whom IAM found, and nobody else.
import { handle, type LambdaEvent } from 'hono/aws-lambda';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createApi } from '../../../adapters/http/api.ts';
import { hours } from '../../../core/time.ts';
import { iamIdentity } from '../../../functions/api/who.ts';
import { domain, type Simulation, simulate } from '../../world/world.ts';

const ada = 'arn:aws:sts::123456789012:assumed-role/mail/ada';
const path = `/v1/domains/${domain}/rotations`;

let simulation: Simulation;
beforeEach(async () => {
  simulation = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
  await simulation.run(hours(2));
});
afterEach(() => simulation.close());

const call = async (method: string, authorizer: unknown, headers: Record<string, string> = {}) => {
  const event = {
    version: '2.0',
    routeKey: 'ANY /v1/{proxy+}',
    rawPath: path,
    rawQueryString: '',
    headers: { host: 'api.example.com', 'content-type': 'application/json', ...headers },
    body: method === 'GET' ? null : '{"reason":"as planned"}',
    isBase64Encoded: false,
    requestContext: {
      domainName: 'api.example.com',
      stage: '$default',
      requestId: 'r1',
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: '192.0.2.1', userAgent: 'test' },
      ...(authorizer === undefined ? {} : { authorizer }),
    },
  } as unknown as LambdaEvent;
  const answer = await handle(createApi(simulation.world, () => {}, iamIdentity))(event);
  return { status: answer.statusCode, body: JSON.parse(answer.body) };
};
const trail = () => simulation.world.ledger.audit(domain, { limit: 9 });

it('an order is of whom IAM found, whatever its headers say', async () => {
  const headers = { 'x-amzn-iam-userarn': 'arn:aws:iam::1:root', 'x-forwarded-user': 'eve', from: 'eve' };
  expect(await call('POST', { iam: { userArn: ada } }, headers)).toMatchObject({
    status: 202,
    body: { rotation: { by: ada } },
  });
  expect(await trail()).toMatchObject([{ who: ada, what: 'rotate', why: 'as planned' }]);
});

it.each<readonly [string, unknown]>([
  ['no authorizer', undefined],
  ['an authorizer of another kind', { jwt: { claims: { sub: 'eve' }, scopes: null } }],
  ['no ARN', { iam: {} }],
  ['an empty ARN', { iam: { userArn: '' } }],
])('an order with %s is not carried out, though whoever may read reads on', async (_, authorizer) => {
  expect(await call('POST', authorizer)).toMatchObject({ status: 403, body: { code: 'untrusted' } });
  expect(await trail()).toEqual([]);
  expect((await simulation.world.ledger.domain(domain))?.rotations).toHaveLength(1);
  expect((await call('GET', authorizer)).status).toBe(200);
});
