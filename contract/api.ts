// Bodies of the HTTP API: schemas of what people and programs send, and problem details (RFC 9457), which they get when it
// fails. May use zod/mini and core only.

import * as z from 'zod/mini';
import { type ErrorCode, SelkieError } from '../core/errors.ts';
import { checkJson } from './check.ts';
import { selectorName } from './manifest.ts';

/** Why something is ordered. For people; it ends up in logs and on terminals, so control characters are refused. */
export const reason = z.string().check(
  z.maxLength(500),
  z.refine((text) => !/\p{Cc}/u.test(text), 'must be one line of text'),
);

/** POST /v1/domains/{domain}/rotations */
export interface RotationRequest {
  readonly reason?: string;
  /** Absent: `requested`. */
  readonly kind?: 'requested' | 'emergency';
  /** With `emergency`: the selector of the key that others may hold; absent: whichever signs now. */
  readonly compromised?: string;
  /** With `emergency`: revoke at once, though mail then goes unsigned until the successor signs. */
  readonly unsigned?: boolean;
}

export const rotationRequest: z.ZodMiniType<RotationRequest> = z
  .strictObject({
    reason: z.exactOptional(reason),
    kind: z.exactOptional(z.enum(['requested', 'emergency'])),
    compromised: z.exactOptional(selectorName),
    unsigned: z.exactOptional(z.boolean()),
  })
  .check(
    z.refine((body) => body.kind === 'emergency' || body.compromised === undefined, {
      error: 'goes only with kind emergency',
      path: ['compromised'],
    }),
    z.refine((body) => body.kind === 'emergency' || body.unsigned !== true, {
      error: 'goes only with kind emergency',
      path: ['unsigned'],
    }),
  );

/** POST /v1/rotations, /v1/zones/{zone}/rotations and /v1/pools/{pool}/rotations */
export interface ManyRequest {
  readonly reason: string;
  /** Absent: `requested`. */
  readonly kind?: 'requested' | 'emergency';
  /** With `emergency`: revoke at once, though mail then goes unsigned until the successors sign. */
  readonly unsigned?: boolean;
}

export const manyRequest: z.ZodMiniType<ManyRequest> = z
  .strictObject({
    reason: reason.check(z.minLength(1)),
    kind: z.exactOptional(z.enum(['requested', 'emergency'])),
    unsigned: z.exactOptional(z.boolean()),
  })
  .check(
    z.refine((body) => body.kind === 'emergency' || body.unsigned !== true, {
      error: 'goes only with kind emergency',
      path: ['unsigned'],
    }),
  );

/** POST /v1/domains/{domain}/keys/{selector}/compromise */
export interface CompromiseRequest {
  readonly reason?: string;
  /** Revoke at once, though mail then goes unsigned until the successor signs. */
  readonly unsigned?: boolean;
}

export const compromiseRequest: z.ZodMiniType<CompromiseRequest> = z.strictObject({
  reason: z.exactOptional(reason),
  unsigned: z.exactOptional(z.boolean()),
});

/** POST /v1/domains/{domain}/rollback and …/abort; POST and DELETE /v1/hosts/{host}/exclusion */
export interface ReasonRequest {
  readonly reason?: string;
}

export const reasonRequest: z.ZodMiniType<ReasonRequest> = z.strictObject({
  reason: z.exactOptional(reason),
});

/** GET /v1/domains/{domain}/forecast?order=…: what would come of an order. */
export const supposedOrders = ['rotate', 'emergency', 'compromise', 'rollback', 'abort'] as const;
export type SupposedOrder = (typeof supposedOrders)[number];

/** Characters of a request's body. */
const longest = 16_384;

/** @param text the body; an empty one is `{}`  @throws SelkieError invalid, with `field` */
export const parseBody = <T>(schema: z.ZodMiniType<T>, text: string): T => {
  if (text.length > longest) throw new SelkieError('invalid', `The body is over ${longest} characters.`);
  return checkJson(schema, text.trim() === '' ? '{}' : text, 'The body');
};

/** RFC 9457 §3.1; `code` and `field` are extension members (§3.2). Served as `application/problem+json`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly field?: string;
}

/** Status and its phrase, which is the title where the type is `about:blank`: RFC 9457 §4.2.1. */
const statuses: Readonly<Record<ErrorCode, readonly [status: number, title: string]>> = {
  busy: [503, 'Service Unavailable'],
  conflict: [409, 'Conflict'],
  denied: [502, 'Bad Gateway'],
  exists: [409, 'Conflict'],
  'host.refused': [502, 'Bad Gateway'],
  'host.unreachable': [502, 'Bad Gateway'],
  invalid: [400, 'Bad Request'],
  'not-found': [404, 'Not Found'],
  rejected: [502, 'Bad Gateway'],
  'stale-fleet': [503, 'Service Unavailable'],
  throttled: [503, 'Service Unavailable'],
  unavailable: [503, 'Service Unavailable'],
  unsafe: [409, 'Conflict'],
  untrusted: [403, 'Forbidden'],
};

/** RFC 9110 §15.5.6: what is there answers to other methods. */
export const methodProblem = (method: string, path: string, allowed: readonly string[]): Problem => ({
  type: 'about:blank',
  title: 'Method Not Allowed',
  status: 405,
  detail: `${path} answers to ${allowed.join(', ')}, and not to ${method}`,
  code: 'invalid',
});

/** How an error is told over HTTP. Programs test `code`; it says more than the status. */
export const problemOf = (error: SelkieError): Problem => {
  const [status, title] = statuses[error.code];
  return {
    type: 'about:blank',
    title,
    status,
    detail: error.message,
    code: error.code,
    ...(error.field === undefined ? {} : { field: error.field }),
  };
};
