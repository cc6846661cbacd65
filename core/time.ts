// Points in time and lengths of time, as types that cannot be mixed up.
// Pure: nothing here reads a clock; the present comes in as an `Instant`.

declare const unit: unique symbol;

/** A point in time: milliseconds since 1970-01-01T00:00:00Z. */
export type Instant = number & { readonly [unit]: 'instant' };

/** A length of time in milliseconds, never negative. */
export type Duration = number & { readonly [unit]: 'duration' };

export const instant = (milliseconds: number): Instant => milliseconds as Instant;
const duration = (milliseconds: number): Duration => milliseconds as Duration;

export const milliseconds = (n: number): Duration => duration(n);
export const seconds = (n: number): Duration => duration(n * 1_000);
export const minutes = (n: number): Duration => seconds(n * 60);
export const hours = (n: number): Duration => minutes(n * 60);
export const days = (n: number): Duration => hours(n * 24);

export const add = (at: Instant, ...lengths: readonly Duration[]): Instant =>
  lengths.reduce<number>((sum, length) => sum + length, at) as Instant;

const total = (...lengths: readonly Duration[]): Duration =>
  lengths.reduce<number>((sum, length) => sum + length, 0) as Duration;

/** The time from `earlier` to `later`; zero where the two are the other way round. */
export const between = (earlier: Instant, later: Instant): Duration => duration(Math.max(0, later - earlier));

export const latest = (first: Instant, ...rest: readonly Instant[]): Instant =>
  instant(Math.max(first, ...rest));

/** The earliest of those that exist. */
export const earliest = (...times: readonly (Instant | undefined)[]): Instant | undefined => {
  const known = times.filter((t) => t !== undefined);
  return known.length === 0 ? undefined : instant(Math.min(...known));
};

export const longest = (first: Duration, ...rest: readonly Duration[]): Duration =>
  duration(Math.max(first, ...rest));

export const clamp = (length: Duration, low: Duration, high: Duration): Duration =>
  duration(Math.min(Math.max(length, low), high));

/** RFC 3339 in UTC with milliseconds: `2024-01-28T09:00:00.000Z`. */
export const formatInstant = (at: Instant): string => new Date(at).toISOString();

const iso = /^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,3})?)S)?)?$/;

/** ISO 8601 durations of fixed length (`P90D`, `PT15M`, `P1W`). Years and months vary in length and give `undefined`. */
export const parseDuration = (text: string): Duration | undefined => {
  const found = iso.exec(text);
  if (found === null || text === 'P' || text.endsWith('T')) return undefined;
  const [, w, d, h, m, s] = found.map((part) => Number(part ?? 0));
  return total(days((w ?? 0) * 7 + (d ?? 0)), hours(h ?? 0), minutes(m ?? 0), seconds(s ?? 0));
};

/** The shortest ISO 8601 form: `P7D`, `PT15M`, `PT0S`. */
export const formatDuration = (length: Duration): string => {
  let rest: number = length;
  const take = (size: Duration): number => {
    const n = Math.floor(rest / size);
    rest -= n * size;
    return n;
  };
  const [d, h, m] = [take(days(1)), take(hours(1)), take(minutes(1))];
  const time = [h > 0 ? `${h}H` : '', m > 0 ? `${m}M` : '', rest > 0 ? `${rest / seconds(1)}S` : ''].join('');
  const text = `P${d > 0 ? `${d}D` : ''}${time === '' ? '' : `T${time}`}`;
  return text === 'P' ? 'PT0S' : text;
};

const dateFormats = new Map<string, Intl.DateTimeFormat>();

/** Making one costs a hundred times as much as using it. */
const dateFormat = (timeZone: string): Intl.DateTimeFormat => {
  const format =
    dateFormats.get(timeZone) ??
    new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      year: '2-digit',
      month: '2-digit',
      day: '2-digit',
    });
  dateFormats.set(timeZone, format);
  return format;
};

/**
 * The calendar date of `at` in an IANA time zone, as `YYMMDD`.
 * @throws RangeError where the time zone is unknown
 */
export const calendarDate = (at: Instant, timeZone: string): string => {
  const parts = dateFormat(timeZone).formatToParts(at);
  const part = (type: string): string => parts.find((p) => p.type === type)?.value ?? '';
  return `${part('year')}${part('month')}${part('day')}`;
};
