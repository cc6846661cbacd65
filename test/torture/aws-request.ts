// Requests to AWS as a proxy sees them: which service and operation is asked, and how each service says that something is
// wrong. Pure. (DynamoDB, Secrets Manager, KMS and SQS: AWS JSON 1.0 and 1.1; Route 53: REST with XML.)
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

export type Service = 'dynamodb' | 'secretsmanager' | 'kms' | 'sqs' | 'route53';

export interface Asked {
  readonly service: Service;
  /** As the API names it: `TransactWriteItems`, `ChangeResourceRecordSets`. */
  readonly operation: string;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const targets: Readonly<Record<string, Service>> = {
  DynamoDB_20120810: 'dynamodb',
  secretsmanager: 'secretsmanager',
  TrentService: 'kms',
  AmazonSQS: 'sqs',
};

const route53Operation = (method: string, path: string): string => {
  if (/\/rrset\/?(\?|$)/.test(path))
    return method === 'POST' ? 'ChangeResourceRecordSets' : 'ListResourceRecordSets';
  return path.includes('/change/') ? 'GetChange' : 'Other';
};

/** Undefined for what is none of the five services. */
export const recognise = (
  request: Pick<IncomingMessage, 'method' | 'url' | 'headers'>,
  body: Buffer,
): Asked | undefined => {
  const { method = 'GET', url: path = '/', headers } = request;
  const target = headers['x-amz-target'];
  if (typeof target === 'string') {
    const [prefix = '', operation = ''] = target.split('.');
    const service = targets[prefix];
    return service === undefined ? undefined : { service, operation, method, path, headers, body };
  }
  return path.startsWith('/2013-04-01/')
    ? { service: 'route53', operation: route53Operation(method, path), method, path, headers, body }
    : undefined;
};

export const jsonOf = (bytes: Buffer): Readonly<Record<string, unknown>> => {
  const value: unknown = JSON.parse(bytes.toString('utf8'));
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
};

const requestId = '00000000-0000-4000-8000-000000000000';

export const xmlAnswer = (status: number, xml: string): Answer => ({
  status,
  headers: { 'content-type': 'text/xml', 'x-amzn-requestid': requestId },
  body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${xml}`),
});

export const route53Namespace = 'https://route53.amazonaws.com/doc/2013-04-01/';

const namespaces: Readonly<Record<Exclude<Service, 'route53'>, string>> = {
  dynamodb: 'com.amazonaws.dynamodb.v20120810#',
  secretsmanager: '',
  kms: '',
  sqs: 'com.amazonaws.sqs#',
};

export const jsonAnswer = (
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): Answer => ({
  status,
  headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': requestId, ...headers },
  body: Buffer.from(JSON.stringify(body)),
});

/** An error in the service's own form. */
export const errorAnswer = (
  service: Service,
  status: number,
  name: string,
  message: string,
  more: object = {},
): Answer => {
  if (service === 'route53')
    return xmlAnswer(
      status,
      `<ErrorResponse xmlns="${route53Namespace}"><Error><Type>${status < 500 ? 'Sender' : 'Receiver'}</Type><Code>${name}</Code><Message>${message}</Message></Error><RequestId>${requestId}</RequestId></ErrorResponse>`,
    );
  return jsonAnswer(
    status,
    { __type: `${namespaces[service]}${name}`, message, ...more },
    {
      'x-amzn-errortype': name,
      ...(service === 'sqs' ? { 'x-amzn-query-error': `${name};Sender` } : {}),
    },
  );
};

const rate = 'Rate exceeded';

/** "Not so fast", or "somebody is at it": each service's own words for it. `pick` in [0, 1) chooses. */
export const throttleOf = ({ service, operation, body }: Asked, pick: number): Answer => {
  switch (service) {
    case 'route53':
      return operation === 'ChangeResourceRecordSets' && pick < 0.5
        ? errorAnswer(
            service,
            400,
            'PriorRequestNotComplete',
            'The request was rejected because Route 53 was still processing a prior request.',
          )
        : errorAnswer(service, 400, 'Throttling', rate);
    case 'dynamodb': {
      if (operation === 'TransactWriteItems' && pick < 0.6) {
        const items = jsonOf(body).TransactItems;
        const count = Array.isArray(items) ? items.length : 1;
        const code = pick < 0.4 ? 'TransactionConflict' : 'ThrottlingError';
        const hit = Math.floor(pick * 1_000) % count;
        return errorAnswer(service, 400, 'TransactionCanceledException', 'Transaction cancelled', {
          CancellationReasons: Array.from({ length: count }, (_, n) => ({ Code: n === hit ? code : 'None' })),
        });
      }
      if (['PutItem', 'UpdateItem', 'DeleteItem'].includes(operation) && pick < 0.4)
        return errorAnswer(
          service,
          400,
          'TransactionConflictException',
          'Transaction is ongoing for the item',
        );
      return pick < 0.8
        ? errorAnswer(
            service,
            400,
            'ProvisionedThroughputExceededException',
            'The level of configured provisioned throughput for the table was exceeded.',
          )
        : errorAnswer(service, 400, 'ThrottlingException', rate);
    }
    case 'secretsmanager':
    case 'kms':
      return errorAnswer(service, 400, 'ThrottlingException', rate);
    case 'sqs': {
      const { Entries } = jsonOf(body);
      // A batch answers 200, and says of each message how it fared.
      if (operation === 'SendMessageBatch' && Array.isArray(Entries) && pick < 0.5)
        return jsonAnswer(200, {
          Successful: [],
          Failed: Entries.map((entry: { readonly Id?: string }) => ({
            Id: entry.Id,
            Code: 'InternalError',
            SenderFault: false,
          })),
        });
      return errorAnswer(service, 400, 'RequestThrottled', rate);
    }
  }
};

const internal: Readonly<Record<Service, string>> = {
  dynamodb: 'InternalServerError',
  secretsmanager: 'InternalServiceError',
  kms: 'KMSInternalException',
  sqs: 'InternalFailure',
  route53: 'InternalFailure',
};

/** The service's own 500, or a load balancer's 503 that knows nothing of the service's form. */
export const failureOf = ({ service }: Asked, status: 500 | 503): Answer =>
  status === 500
    ? errorAnswer(service, 500, internal[service], 'An internal error occurred.')
    : {
        status,
        headers: { 'content-type': 'text/html' },
        body: Buffer.from('<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>'),
      };
