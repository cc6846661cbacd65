// How long a policy record waits for what others do: named, as those of a key's life (core/key/waits.ts). Pure.

import { add, between, clamp, days, hours, type Instant, minutes } from '../time.ts';

interface Refused {
  readonly at: Instant;
  readonly since: Instant;
}

/** When to look again whether a record still stands in the way, or limits are exceeded: after as long as it was so, an hour at most. */
export const refusalEnds = ({ at, since }: Refused): Instant =>
  add(at, clamp(between(since, at), minutes(1), hours(1)));

/** When to look again whether another organisation says that it takes our reports: its administrator has to be asked first. */
export const askedAgain = ({ at, since }: Refused): Instant =>
  add(at, clamp(between(since, at), hours(1), days(1)));
