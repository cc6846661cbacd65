// One error type for the whole product: a literal code that programs can test, a sentence that people can act on,
// and whether the same call may succeed later.

export type ErrorCode =
  | 'busy' // the other side is at work on our last request (PriorRequestNotComplete)
  | 'conflict' // somebody else wrote first: load again
  | 'denied' // credentials or permissions
  | 'exists' // creation of something that is there
  | 'host.refused' // a mail host answered, and refused
  | 'host.unreachable'
  | 'invalid' // input that no retry mends
  | 'not-found'
  | 'rejected' // a whole batch was refused for what is in it
  | 'stale-fleet' // this process carries an older fleet than the ledger's
  | 'throttled'
  | 'unavailable' // no answer, or an answer that says "not now"
  | 'unsafe' // a safety rule forbids it
  | 'untrusted'; // a signature, audience or age that does not hold

export type Retry = 'later' | 'never';

const retries: Readonly<Record<ErrorCode, Retry>> = {
  busy: 'later',
  conflict: 'later',
  denied: 'later',
  exists: 'never',
  'host.refused': 'later',
  'host.unreachable': 'later',
  invalid: 'never',
  'not-found': 'never',
  rejected: 'never',
  'stale-fleet': 'later',
  throttled: 'later',
  unavailable: 'later',
  unsafe: 'never',
  untrusted: 'never',
};

/** `message` names domains, selectors, hosts and fields; never key material. */
export class SelkieError extends Error {
  override readonly name = 'SelkieError';
  readonly code: ErrorCode;
  /** Where bad input has a place: the field's path. */
  readonly field: string | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; field?: string } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.field = options.field;
  }

  get retry(): Retry {
    return retries[this.code];
  }
}

export const hasCode = (error: unknown, ...codes: readonly ErrorCode[]): error is SelkieError =>
  error instanceof SelkieError && codes.includes(error.code);

/** The sentence for a status line or a log, of whatever was thrown. */
export const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error));
