// What a commit may hold, whichever ledger it goes to: a commit that one adapter takes, all take. Pure.

import { type AuditTail, hostSubject } from '../core/audit.ts';
import { SelkieError } from '../core/errors.ts';
import { days } from '../core/time.ts';
import type { Commit } from '../engine/ports.ts';

/**
 * How much a commit may hold: each row, reserved selector, request and audit event counts one, an append three (the entry, the pool's
 * last number, the epoch). It is what one DynamoDB transaction takes.
 */
const commitLimit = 100;

const commitSize = (commit: Commit): number =>
  (commit.domains?.length ?? 0) +
  (commit.hosts?.length ?? 0) +
  (commit.trails?.length ?? 0) +
  (commit.reserve?.length ?? 0) +
  (commit.append === undefined ? 0 : 3) +
  (commit.request === undefined ? 0 : 1) +
  (commit.audit?.length ?? 0);

/** So long a request is known again under its Idempotency-Key; later a ledger may forget it. */
export const requestsKept = days(30);

const twice = (names: readonly string[]): string | undefined =>
  names.find((name, index) => names.indexOf(name) !== index);

/** The last event that each row of a commit names. */
const tailsIn = (commit: Commit): ReadonlyMap<string, AuditTail | undefined> =>
  new Map([
    ...(commit.domains ?? []).map(({ domain, audit }) => [domain, audit] as const),
    ...(commit.hosts ?? []).map(({ name, audit }) => [hostSubject(name), audit] as const),
    ...(commit.trails ?? []).map(({ subject, audit }) => [subject, audit] as const),
  ]);

/** An event is one of a row that is written with it and names the last of them: so one version guards both. */
const checkAudit = (commit: Commit): void => {
  const events = commit.audit ?? [];
  const tails = tailsIn(commit);
  for (const [subject, own] of Map.groupBy(events, (event) => event.subject)) {
    const [tail, last] = [tails.get(subject), own.at(-1)];
    const dense = own.every(
      ({ n }, index) => Number.isSafeInteger(n) && n >= 1 && n === (own[0]?.n ?? 0) + index,
    );
    if (!dense || tail === undefined || tail.n !== last?.n || tail.hash !== last.hash)
      throw new SelkieError(
        'invalid',
        `a commit holds audit events of ${subject} that are not in order, or without the row that names the last of them`,
      );
  }
};

/** @throws invalid: the same row or selector twice, more than `commitLimit`, or numbers that are none */
export const checkCommit = (commit: Commit): void => {
  const size = commitSize(commit);
  if (size > commitLimit)
    throw new SelkieError('invalid', `a commit of ${size} items: split it, ${commitLimit} go in one`);
  const repeated = twice([
    ...(commit.domains ?? []).map((row) => `domain ${row.domain}`),
    ...(commit.hosts ?? []).map((row) => `host ${row.name}`),
    ...(commit.trails ?? []).map((row) => `trail ${row.subject}`),
    ...(commit.reserve ?? []).map(({ domain, selector }) => `selector ${selector} of ${domain}`),
  ]);
  if (repeated !== undefined) throw new SelkieError('invalid', `a commit holds ${repeated} twice`);
  for (const { version } of [...(commit.domains ?? []), ...(commit.hosts ?? []), ...(commit.trails ?? [])])
    if (!Number.isSafeInteger(version) || version < 0)
      throw new SelkieError('invalid', `a row’s version is ${version}: a whole number from 0 on is needed`);
  const place = commit.append?.place;
  if (place !== undefined && !(Number.isSafeInteger(place.n) && place.n >= 1))
    throw new SelkieError('invalid', `a log entry’s number is ${place.n}: they are 1, 2, 3 …`);
  checkAudit(commit);
};

/** The sentences of refusals, the same from every ledger. */
export const refusal = {
  row: (kind: 'domain' | 'host' | 'trail', name: string, version: number) =>
    new SelkieError(
      'conflict',
      version === 0
        ? `${kind} ${name} has a row already: load it again`
        : `${kind} ${name} is no longer at version ${version}: load it again`,
    ),
  place: (pool: string, n: number) =>
    new SelkieError('conflict', `${n} is not the next number of pool ${pool}’s log: ask for it again`),
  epoch: (pool: string, epoch: number) =>
    new SelkieError('conflict', `the epoch is no longer ${epoch}: ask again for the next place of ${pool}`),
  request: (domain: string) =>
    new SelkieError('conflict', `this Idempotency-Key was answered before for ${domain}: load that answer`),
  event: (subject: string, n: number) =>
    new SelkieError('conflict', `event ${n} of ${subject} was written before: load its row again`),
  selector: (domain: string, selector: string) =>
    new SelkieError('exists', `selector ${selector} of ${domain} was used before: take another`),
} as const;
