// What AWS's SDK throws, as the product's own errors. Touches nothing but the error.
// The services' sentences may quote the request ("Value '…' at 'secretString' failed to satisfy …"), and the SDK's
// errors carry the response: so neither the sentence nor the error itself (as `cause`) goes on, but for the sentences
// about permissions, which name an action and a resource, and without which nobody mends a policy.

import { type ErrorCode, SelkieError } from '../../core/errors.ts';

/** The parts of an SDK error that say what happened. */
interface Told {
  readonly name: string;
  readonly message: string;
  /** Node's code of a failed connection: `ECONNREFUSED`. */
  readonly system: string | undefined;
  readonly status: number | undefined;
  readonly requestId: string | undefined;
  readonly retryable: { readonly throttling?: boolean } | undefined;
  /** Of a cancelled DynamoDB transaction, one for each of its items, in order. */
  readonly reasons: readonly string[];
}

const names: Readonly<Partial<Record<ErrorCode, readonly string[]>>> = {
  busy: ['PriorRequestNotComplete'],
  conflict: [
    'ConcurrentModification',
    'ConditionalCheckFailedException',
    'ConflictException',
    'IdempotentParameterMismatchException',
    'ResourceInUseException',
    'TransactionConflictException',
    'TransactionInProgressException',
  ],
  denied: [
    'AccessDenied',
    'AccessDeniedException',
    'AuthFailure',
    'CredentialsProviderError',
    'DisabledException',
    'ExpiredToken',
    'ExpiredTokenException',
    'IncompleteSignature',
    'IncompleteSignatureException',
    'InvalidAccessKeyId',
    'InvalidClientTokenId',
    'InvalidSignatureException',
    'MissingAuthenticationToken',
    'MissingAuthenticationTokenException',
    'NotAuthorized',
    'OptInRequired',
    'RequestExpired',
    'RequestTimeTooSkewed',
    'SignatureDoesNotMatch',
    'TokenProviderError',
    'UnauthorizedOperation',
    'UnrecognizedClientException',
  ],
  exists: ['AlreadyExistsException', 'HostedZoneAlreadyExists', 'ResourceExistsException'],
  'not-found': [
    'AWS.SimpleQueueService.NonExistentQueue',
    'NoSuchBucket',
    'NoSuchChange',
    'NoSuchHostedZone',
    'NotFoundException',
    'QueueDoesNotExist',
    'ResourceNotFoundException',
  ],
  rejected: ['InvalidChangeBatch'],
  throttled: [
    'BandwidthLimitExceeded',
    'LimitExceededException',
    'OverLimit',
    'ProvisionedThroughputExceededException',
    'RequestLimitExceeded',
    'RequestThrottled',
    'RequestThrottledException',
    'SlowDown',
    'ThrottledException',
    'Throttling',
    'ThrottlingError',
    'ThrottlingException',
    'TooManyRequestsException',
  ],
  unavailable: [
    'AbortError',
    'DecryptionFailure',
    'DependencyTimeoutException',
    'EncryptionFailure',
    'InternalFailure',
    'InternalServerError',
    'InternalServiceError',
    'KMSInternalException',
    'KMSInvalidStateException',
    'KeyUnavailableException',
    'NetworkingError',
    'RequestTimeout',
    'RequestTimeoutException',
    'ServiceUnavailable',
    'ServiceUnavailableException',
    'TimeoutError',
  ],
};

const codeByName: ReadonlyMap<string, ErrorCode> = new Map(
  (Object.entries(names) as [ErrorCode, readonly string[]][]).flatMap(([code, list]) =>
    list.map((name): [string, ErrorCode] => [name, code]),
  ),
);

const codeByReason: readonly (readonly [string, ErrorCode])[] = [
  // In this order: a request that can never be taken, then one that lacks a right, then one that may be taken later.
  ['ValidationError', 'invalid'],
  ['ItemCollectionSizeLimitExceeded', 'invalid'],
  ['AccessDenied', 'denied'],
  ['ConditionalCheckFailed', 'conflict'],
  ['TransactionConflict', 'conflict'],
  ['DuplicateItem', 'conflict'],
  ['ThrottlingError', 'throttled'],
  ['ProvisionedThroughputExceeded', 'throttled'],
];

const network =
  /^(E(CONN(REFUSED|RESET|ABORTED)|TIMEDOUT|PIPE|NOTFOUND|AI_AGAIN|HOSTUNREACH|NETUNREACH|PROTO)|UND_ERR_\w+)$/;

/**
 * What the SDK calls an error answer that it could not read: cut short, or from something between us and the service. It
 * says nothing of the request, whatever its status.
 */
const unreadable = new Set(['Error', 'SyntaxError', 'Unknown', 'UnknownError']);

const object = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

const told = (error: unknown): Told => {
  const fields = object(error);
  const metadata = object(fields.$metadata);
  return {
    name: text(fields.name) ?? 'unknown error',
    message: text(fields.message) ?? '',
    system: text(fields.code) ?? text(object(fields.cause).code),
    status: number(metadata.httpStatusCode),
    requestId: text(metadata.requestId),
    retryable: fields.$retryable === undefined ? undefined : object(fields.$retryable),
    reasons: cancellationReasons(error),
  };
};

/**
 * Why each item of a cancelled DynamoDB transaction was refused: `None`, `ConditionalCheckFailed`,
 * `TransactionConflict` …, in the order of the items. Empty for every other error.
 */
export const cancellationReasons = (error: unknown): readonly string[] => {
  const fields = object(error);
  if (fields.name !== 'TransactionCanceledException' || !Array.isArray(fields.CancellationReasons)) return [];
  return fields.CancellationReasons.map((reason) => text(object(reason).Code) ?? 'None');
};

const codeOf = ({ name, system, status, retryable, reasons }: Told): ErrorCode => {
  if (name === 'TransactionCanceledException')
    return codeByReason.find(([reason]) => reasons.includes(reason))?.[1] ?? 'conflict';
  const known = codeByName.get(name);
  if (known !== undefined) return known;
  if (retryable?.throttling === true || status === 429) return 'throttled';
  if (system !== undefined && network.test(system)) return 'unavailable';
  // A name that is new to us goes by its status; an answer that could not be read has 2xx, and is no answer.
  if (status === undefined) return retryable === undefined ? 'invalid' : 'unavailable';
  if (status >= 500 || status < 400 || retryable !== undefined) return 'unavailable';
  if (status === 401 || status === 403) return 'denied';
  if (unreadable.has(name)) return 'unavailable';
  if (status === 404) return 'not-found';
  if (status === 409) return 'conflict';
  return 'invalid';
};

const advice: Readonly<Partial<Record<ErrorCode, string>>> = {
  denied: 'check the credentials, the role’s policy and this machine’s clock',
  throttled: 'it is tried again later, more slowly',
  unavailable: 'it is tried again later',
};

/** Where our own code threw: the first frame of the stack, without the message. */
const frame = (error: unknown): string | undefined =>
  error instanceof Error ? /^\s+at .*$/m.exec(error.stack ?? '')?.[0].trim() : undefined;

/**
 * The SelkieError for what an AWS client threw while it did `what` ("reading the secret of example.com": no content).
 * A SelkieError goes through as it is. What a service only says in a sentence (Secrets Manager's InvalidRequestException
 * for a secret that is being deleted) is `invalid` here: the adapter that knows better looks at the error first.
 */
export const toSelkieError = (error: unknown, what: string): SelkieError => {
  if (error instanceof SelkieError) return error;
  const facts = told(error);
  const code = codeOf(facts);
  const refused = facts.reasons.filter((reason) => reason !== 'None');
  const details = [
    facts.name,
    refused.length > 0 ? refused.join(', ') : undefined,
    facts.system === facts.name ? undefined : facts.system,
    facts.status === undefined ? undefined : `HTTP ${facts.status}`,
    facts.requestId === undefined ? undefined : `request ${facts.requestId}`,
    code === 'invalid' && facts.status === undefined ? frame(error) : undefined,
  ].filter((part) => part !== undefined);
  const sentence = code === 'denied' && facts.message !== '' ? `: ${facts.message}` : '';
  const hint = advice[code] === undefined ? '' : `; ${advice[code]}`;
  return new SelkieError(code, `${what} failed (${details.join(', ')})${sentence}${hint}`);
};
