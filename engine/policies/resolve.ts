// Answers the questions of a pure walk (core/spf/lookups.ts, core/dmarc/organization.ts) from DNS.

import { SelkieError } from '../../core/errors.ts';
import type { Asking } from '../../core/spf/lookups.ts';
import type { Resolver } from '../ports.ts';

/** @throws unavailable */
export const answered = async <T>(walk: Asking<T>, resolver: Resolver | undefined): Promise<T> => {
  for (let step = walk.next(); ; ) {
    if (step.done === true) return step.value;
    if (resolver === undefined)
      throw new SelkieError('unavailable', `nothing here resolves ${step.value.type} of ${step.value.name}`);
    step = walk.next(await resolver.resolve(step.value));
  }
};
