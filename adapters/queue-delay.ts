// The longest delay of a queued unit. No I/O. Every queue holds to SQS's limit, so that what works here works there.
import { SelkieError } from '../core/errors.ts';
import { type Duration, minutes, seconds } from '../core/time.ts';

const longestDelay = minutes(15);

/** @throws invalid */
export const requireDelay = (delay: Duration): void => {
  if (!(delay >= 0 && delay <= longestDelay))
    throw new SelkieError(
      'invalid',
      `A message's delay is between 0 and 15 minutes, not ${delay / seconds(1)} s: later work is found by the sweep.`,
    );
};
