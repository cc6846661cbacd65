// Times and sentences as people read them.

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

const inLanguage = 'en-GB';
const full = new Intl.DateTimeFormat(inLanguage, { dateStyle: 'medium', timeStyle: 'short' });
const exact = new Intl.DateTimeFormat(inLanguage, { dateStyle: 'full', timeStyle: 'long' });
const dayOnly = new Intl.DateTimeFormat(inLanguage, { day: 'numeric', month: 'short', year: 'numeric' });
const dayShort = new Intl.DateTimeFormat(inLanguage, { day: 'numeric', month: 'short' });
const dayInUtc = new Intl.DateTimeFormat(inLanguage, { day: 'numeric', month: 'short', timeZone: 'UTC' });
const clock = new Intl.DateTimeFormat(inLanguage, { hour: '2-digit', minute: '2-digit' });
const clockExact = new Intl.DateTimeFormat(inLanguage, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});

export const timeZone = new Intl.DateTimeFormat().resolvedOptions().timeZone;

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** How long: the two largest units where the larger is small. */
const length = (ms: number): string => {
  if (ms < second) return 'less than a second';
  if (ms < minute) return count(Math.round(ms / second), 'second');
  if (ms < hour) return `${Math.round(ms / minute)} min`;
  if (ms < 10 * hour) {
    const [h, m] = [Math.floor(ms / hour), Math.floor((ms % hour) / minute)];
    return m === 0 ? `${h} h` : `${h} h ${m} min`;
  }
  if (ms < 2 * day) return `${Math.round(ms / hour)} h`;
  return count(Math.round(ms / day), 'day');
};

const relative = (at: number, now: number): string => {
  if (Math.abs(at - now) < second) return 'now';
  return at > now ? `in ${length(at - now)}` : `${length(now - at)} ago`;
};

/** For the ends of an axis that is so long. */
export const tick = (at: number, span: number): string =>
  span > 300 * day
    ? dayOnly.format(at)
    : span > 3 * day
      ? dayShort.format(at)
      : span > 10 * minute
        ? clock.format(at)
        : clockExact.format(at);

/** A time beside which stands how far it is. */
export const When = ({ at, now, far = false }: { at: string; now: number; far?: boolean }) => {
  const ms = Date.parse(at);
  return (
    <time dateTime={at} title={exact.format(ms)}>
      {far ? `${full.format(ms)} (${relative(ms, now)})` : relative(ms, now)}
    </time>
  );
};

export const At = ({ at }: { at: string }) => (
  <time dateTime={at} title={exact.format(Date.parse(at))}>
    {full.format(Date.parse(at))}
  </time>
);

/** A day of UTC, as reports name it: `2024-01-28`. */
export const Day = ({ day }: { day: string }) => (
  <time dateTime={day}>{dayInUtc.format(Date.parse(day))}</time>
);

const iso = /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)/;

/** A sentence of the API: its times in this browser's zone. */
export const Said = ({ says }: { says: string }) => (
  <>{says.split(iso).map((part, index) => (index % 2 === 1 ? <At key={part} at={part} /> : part))}</>
);

/** The same without markup. */
export const plain = (says: string): string =>
  says
    .split(iso)
    .map((part, index) => (index % 2 === 1 ? full.format(Date.parse(part)) : part))
    .join('');

export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
