import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  GetItemCommand,
  TransactionCanceledException,
} from '@aws-sdk/client-dynamodb';
import {
  GetChangeCommand,
  InvalidChangeBatch,
  Route53Client,
  ThrottlingException as Route53Throttling,
} from '@aws-sdk/client-route-53';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cancellationReasons, toSelkieError } from '../../../adapters/aws/errors.ts';
import { SelkieError } from '../../../core/errors.ts';
import { freePort } from '../../tools/free-port.ts';
import { motoClient } from '../../tools/moto.ts';

const secret = 'MC4CAQAwBQYDK2VwBCIEI-not-a-key';

/** As the SDK makes an error that its model does not know. */
const thrown = (name: string, status?: number, extra: object = {}): Error =>
  Object.assign(new Error(`Value '${secret}' at 'secretString' failed to satisfy constraint`), {
    name,
    $fault: 'client',
    $metadata: { httpStatusCode: status, requestId: 'REQ-1' },
    ...extra,
  });

test.each([
  ['ThrottlingException', 400, 'throttled'],
  ['ProvisionedThroughputExceededException', 400, 'throttled'],
  ['SomethingNew', 429, 'throttled'],
  ['PriorRequestNotComplete', 400, 'busy'],
  ['InvalidChangeBatch', 400, 'rejected'],
  ['NoSuchHostedZone', 404, 'not-found'],
  ['ResourceNotFoundException', 400, 'not-found'],
  ['ResourceExistsException', 400, 'exists'],
  ['AccessDeniedException', 400, 'denied'],
  ['ExpiredTokenException', 400, 'denied'],
  ['SomethingNew', 403, 'denied'],
  ['InternalServerError', 500, 'unavailable'],
  ['SomethingNew', 503, 'unavailable'],
  ['SyntaxError', 200, 'unavailable'],
  ['SyntaxError', 400, 'unavailable'],
  ['Unknown', 400, 'unavailable'],
  ['Unknown', 404, 'unavailable'],
  ['Unknown', 403, 'denied'],
  ['TransactionInProgressException', 400, 'conflict'],
  ['ValidationException', 400, 'invalid'],
  ['SomethingNew', 400, 'invalid'],
])('%s with HTTP %i is %s', (name, status, code) => {
  const error = toSelkieError(thrown(name, status), 'writing');
  expect(error).toBeInstanceOf(SelkieError);
  expect(error.code).toBe(code);
  expect(error.message).toContain(`writing failed (${name}, HTTP ${status}, request REQ-1)`);
});

test('the SDK’s hint that it was throttled counts, whatever the name', () => {
  expect(toSelkieError(thrown('New', 400, { $retryable: { throttling: true } }), 'x').code).toBe('throttled');
  expect(toSelkieError(thrown('New', 400, { $retryable: {} }), 'x').code).toBe('unavailable');
});

test('the SDK’s own classes are known', () => {
  const $metadata = { httpStatusCode: 400 };
  const codes = [
    new ConditionalCheckFailedException({ message: '', $metadata }),
    new InvalidChangeBatch({ message: '', $metadata }),
    new Route53Throttling({ message: '', $metadata }),
  ].map((error) => toSelkieError(error, 'x').code);
  expect(codes).toEqual(['conflict', 'rejected', 'throttled']);
});

test.each([
  [['None', 'ConditionalCheckFailed'], 'conflict'],
  [['TransactionConflict', 'None'], 'conflict'],
  [['ConditionalCheckFailed', 'ValidationError'], 'invalid'],
  [['None', 'ThrottlingError'], 'throttled'],
  [['ProvisionedThroughputExceeded', 'None'], 'throttled'],
  [['AccessDenied'], 'denied'],
])('a transaction cancelled for %j is %s', (codes, code) => {
  const error = new TransactionCanceledException({
    message: '',
    $metadata: { httpStatusCode: 400 },
    CancellationReasons: codes.map((Code) => ({ Code })),
  });
  expect(cancellationReasons(error)).toEqual(codes);
  expect(toSelkieError(error, 'x').code).toBe(code);
});

// A connection that breaks, or something between that cuts: what is left of an error answer says nothing of the request.
describe('an error answer that is cut short is unavailable, wherever it is cut', () => {
  let answer: Buffer = Buffer.alloc(0);
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.writeHead(400, { 'content-length': String(answer.length) }).end(answer));
  });
  beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });
  const config = () => ({
    ...motoClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    maxAttempts: 1,
  });
  const json = '{"__type":"com.amazonaws.dynamodb.v20120810#ValidationException","message":"One or more"}';
  const xml =
    '<?xml version="1.0"?><ErrorResponse><Error><Type>Sender</Type><Code>InvalidInput</Code><Message>m</Message></Error><RequestId>1</RequestId></ErrorResponse>';

  test.each<[string, string, () => Promise<unknown>]>([
    ['JSON', json, () => new DynamoDBClient(config()).send(new GetItemCommand({ TableName: 't', Key: {} }))],
    ['XML', xml, () => new Route53Client(config()).send(new GetChangeCommand({ Id: 'C1' }))],
  ])('%s', async (_, whole, call) => {
    const codeAt = async (length: number): Promise<string> => {
      answer = Buffer.from(whole).subarray(0, length);
      return call().then(
        () => 'answered',
        (error: unknown) => toSelkieError(error, 'x').code,
      );
    };
    for (let length = 0; length < whole.length; length += 1)
      expect(await codeAt(length), whole.slice(0, length)).toBe('unavailable');
    expect(await codeAt(whole.length)).toBe('invalid');
  });
});

test('a refused connection is unavailable', async () => {
  const client = new DynamoDBClient({
    region: 'eu-west-1',
    endpoint: `http://127.0.0.1:${await freePort()}`,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  });
  const error = await client
    .send(new GetItemCommand({ TableName: 't', Key: { pk: { S: 'x' } } }))
    .catch((e: unknown) => toSelkieError(e, 'reading'));
  expect(error).toMatchObject({ code: 'unavailable', retry: 'later' });
  expect((error as Error).message).toContain('ECONNREFUSED');
});

test('absent credentials are denied', async () => {
  const client = new DynamoDBClient({
    region: 'eu-west-1',
    endpoint: 'http://127.0.0.1:9',
    credentials: () =>
      Promise.reject(Object.assign(new Error('none found'), { name: 'CredentialsProviderError' })),
  });
  const error = await client
    .send(new GetItemCommand({ TableName: 't', Key: { pk: { S: 'x' } } }))
    .catch((e: unknown) => toSelkieError(e, 'reading'));
  expect(error).toMatchObject({ code: 'denied' });
});

test('nothing of the request comes through, however the error is printed (invariant 9)', () => {
  const original = thrown('ValidationException', 400, { $response: { body: secret } });
  for (const error of [original, new TypeError(`Received '${secret}'`), secret]) {
    const result = toSelkieError(error, 'storing the key of example.com');
    expect(`${inspect(result, { depth: 9, showHidden: true })}${JSON.stringify(result)}`).not.toContain(
      secret,
    );
    expect(result.code).toBe('invalid');
  }
});

test('a refusal for permissions keeps its sentence: it names the action', () => {
  const error = Object.assign(new Error('not authorized to perform: kms:Sign'), {
    name: 'AccessDeniedException',
    $metadata: { httpStatusCode: 400 },
  });
  expect(toSelkieError(error, 'signing').message).toContain('kms:Sign');
});

test('a mistake of our own says where, and a SelkieError goes through', () => {
  expect(toSelkieError(new TypeError('x is undefined'), 'reading').message).toMatch(
    /TypeError, at .*errors\.test/,
  );
  const own = new SelkieError('busy', 'one at a time');
  expect(toSelkieError(own, 'reading')).toBe(own);
});
