// Fetches what this host lacks from the control plane, and says what became of it: for hosts that cannot be reached, and for
// whatever a push lost. Talks HTTP to the control plane; the timer comes from outside.

import { limits } from '../contract/manifest.ts';
import { type StagedParts, signPull } from '../contract/pull.ts';
import { describe, hasCode, SelkieError } from '../core/errors.ts';
import { type Place, samePlace } from '../core/key/evidence.ts';
import { type Duration, type Instant, milliseconds, seconds } from '../core/time.ts';
import type { Identity } from './identity.ts';
import type { Receive } from './receive.ts';

export interface PullOptions {
  /** Of the control plane's API; https, or http on loopback. */
  readonly url: string;
  readonly host: string;
  /** The present one first. Where the control plane does not know it, the others: one may be in the fleet file already. */
  readonly identities: () => Promise<readonly Pick<Identity, 'signing'>[]>;
  /** RFC 7638 thumbprints of the bundle keys that this host trusts. */
  readonly trusts?: () => Promise<readonly string[]>;
  /** Where the key store stands now; `staged`: the unfinished snapshot that it holds parts of. */
  readonly standing: () => Standing;
  readonly receive: Receive;
  readonly now: () => Instant;
  /** A fresh nonce. */
  readonly id: () => string;
  /** For each request. */
  readonly timeout?: Duration;
}

export interface Standing {
  readonly cursor: Place | null;
  readonly incarnation: string;
  readonly staged: StagedParts | null;
}

/** Of the key store's state, which knows more, what the control plane is told. */
const partsOf = ({ id, place, parts, received }: StagedParts): StagedParts => ({
  id,
  place,
  parts,
  received,
});

const isSame = (a: Standing, b: Standing): boolean =>
  samePlace(a.cursor, b.cursor) &&
  a.staged?.id === b.staged?.id &&
  a.staged?.received.length === b.staged?.received.length;

/** Bundles taken in one cycle: a snapshot of 100,000 domains has some 500. */
const mostBundles = 1_000;

const loopback = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** @throws SelkieError invalid, with field `controlPlane` */
export const controlPlaneUrl = (text: string): URL => {
  const url = URL.parse(text.endsWith('/') ? text : `${text}/`);
  if (
    url === null ||
    (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback.has(url.hostname)))
  )
    throw new SelkieError('invalid', `The control plane ${text} is not an https URL.`, {
      field: 'controlPlane',
    });
  return url;
};

/** The body as text, of at most `limit` bytes. */
const bounded = async (response: Response, limit: number): Promise<string> => {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > limit)
      throw new SelkieError('invalid', `The control plane's answer is over ${limit} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('latin1');
};

const post = async (url: URL, body: string, timeout: Duration): Promise<{ status: number; text: string }> => {
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/jose' },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeout),
    });
    text = await bounded(response, limits.bundle);
  } catch (error) {
    if (error instanceof SelkieError) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new SelkieError(
      'unavailable',
      `The control plane ${url.origin} does not answer: ${describe(cause)}`,
    );
  }
  if (response.ok) return { status: response.status, text };
  const code = response.status >= 500 || response.status === 429 ? 'unavailable' : 'denied';
  throw new SelkieError(
    code,
    `The control plane ${url.origin} answered ${response.status} to ${url.pathname}.`,
  );
};

/**
 * One cycle: asks, applies and acknowledges until nothing is left, or a bundle has changed nothing (the control plane may
 * send a host with a broken key everything, again and again). Returns how many bundles it took.
 * @throws SelkieError unavailable, denied: the control plane; untrusted, invalid: what it gave
 */
export const pullOnce = async (options: PullOptions): Promise<number> => {
  const { host, standing, receive, now, id, timeout = seconds(30) } = options;
  const base = controlPlaneUrl(options.url);
  const at = (what: string): URL => new URL(`v1/hosts/${encodeURIComponent(host)}/${what}`, base);
  const ask = async ({ cursor, incarnation, staged }: Standing) => {
    const trusts = await options.trusts?.();
    const claims = {
      iss: host,
      aud: 'selkie',
      cursor,
      incarnation,
      ...(staged === null ? {} : { staged: partsOf(staged) }),
      ...(trusts === undefined ? {} : { trusts }),
    } as const;
    let refused: unknown;
    for (const { signing } of await options.identities()) {
      try {
        return await post(
          at('pull'),
          await signPull({ ...claims, iat: now() / 1_000, nonce: id() }, signing),
          timeout,
        );
      } catch (error) {
        if (!hasCode(error, 'denied')) throw error;
        // What is said of the present identity is what counts.
        refused ??= error;
      }
    }
    throw refused;
  };
  for (let taken = 0; taken < mostBundles; taken += 1) {
    const before = standing();
    const answer = await ask(before);
    if (answer.status === 204) return taken;
    await post(at('acknowledgements'), await receive(answer.text), timeout);
    if (isSame(before, standing())) return taken + 1;
  }
  return mostBundles;
};

/** Calls back once after some time, unless cancelled. */
export interface Timer {
  after(delay: Duration, run: () => void): () => void;
}

export interface PullLoopOptions {
  readonly cycle: () => Promise<unknown>;
  readonly every: Duration;
  readonly timer: Timer;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: (line: string) => void;
}

/** Runs a cycle now, and again about `every` after each has ended, ± 10 %, so that hosts do not come all at once. */
export const startPulls = ({
  cycle,
  every,
  timer,
  random,
  log,
}: PullLoopOptions): { close(): Promise<void> } => {
  let cancel = (): void => {};
  let closed = false;
  let running: Promise<void> = Promise.resolve();
  let trouble: string | undefined;
  const run = async (): Promise<void> => {
    try {
      await cycle();
      if (trouble !== undefined) log('pull: works again');
      trouble = undefined;
    } catch (error) {
      const now = describe(error);
      // Once, not each minute.
      if (now !== trouble) log(`pull: ${now}`);
      trouble = now;
    }
    if (!closed) cancel = timer.after(milliseconds(Math.round(every * (0.9 + 0.2 * random()))), start);
  };
  const start = (): void => {
    running = run();
  };
  start();
  return {
    async close() {
      closed = true;
      cancel();
      await running;
    },
  };
};
