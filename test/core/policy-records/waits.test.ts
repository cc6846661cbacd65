// How long a policy record waits for what others do.
import { describe, expect, it } from 'vitest';
import { askedAgain, refusalEnds } from '../../../core/policy-records/waits.ts';
import { add, days, hours, minutes, seconds } from '../../../core/time.ts';
import { t } from './made.ts';

describe.each([
  ['what is in the way is looked at again after as long as it was so', refusalEnds, minutes(1), hours(1)],
  ['another organisation is asked again, whose administrator needs time', askedAgain, hours(1), days(1)],
])('%s', (_, ends, least, most) => {
  it('at once not', () => expect(ends({ at: t, since: t })).toBe(add(t, least)));

  it('after twice as long each time', () => {
    const now = add(t, least, least, seconds(1));
    expect(ends({ at: now, since: t })).toBe(add(now, least, least, seconds(1)));
  });

  it('never more seldom than that', () => {
    const now = add(t, most, most);
    expect(ends({ at: now, since: t })).toBe(add(now, most));
  });
});

it('is within the hour, of another organisation within the day, as docs/spf-dmarc.md says', () => {
  const now = add(t, days(9));
  expect(refusalEnds({ at: now, since: t })).toBe(add(now, hours(1)));
  expect(askedAgain({ at: now, since: t })).toBe(add(now, days(1)));
});
