// The time that an AWS service tells: the Date header of its answers. The workers' own clocks differ; this one is the
// same for all of them, as near as the service's servers agree.

import type { Instant } from '../../core/time.ts';
import { instant } from '../../core/time.ts';

/** What the middleware of the SDK's `deserialize` step sees of an answer. */
interface Answer {
  readonly response: unknown;
}

/** The part of an SDK command that is needed here: any command of any client has it. */
interface Listening {
  readonly middlewareStack: {
    add(
      middleware: <A, R extends Answer>(next: (args: A) => Promise<R>) => (args: A) => Promise<R>,
      options: { step: 'deserialize'; name: string },
    ): void;
  };
}

const dateOf = (response: unknown): Instant | undefined => {
  if (typeof response !== 'object' || response === null || !('headers' in response)) return undefined;
  const headers = response.headers as Readonly<Record<string, string>>;
  const time = Date.parse(headers.date ?? '');
  return Number.isNaN(time) ? undefined : instant(time);
};

/**
 * Hears the Date of the answers to one command; of several, as the SDK tries again, the last.
 * It has whole seconds (RFC 9110 §5.6.7), cut off: up to a second early, never late. Nothing is added to it: two of
 * them differ from the true interval by less than a second either way, which the skew bound of every wait swallows.
 */
export const hearDate = (command: Listening): (() => Instant | undefined) => {
  let heard: Instant | undefined;
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      heard = dateOf(result.response) ?? heard;
      return result;
    },
    { step: 'deserialize', name: 'hearDate' },
  );
  return () => heard;
};
