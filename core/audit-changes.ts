// What an audited order changed, as lines that people read. Pure.

type Entries = Readonly<Record<string, unknown>>;

const isMap = (value: unknown): value is Entries =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isNone = (value: unknown): value is null | undefined => value === undefined || value === null;

/** Of an order of many domains nothing is said before: what is said after it is shown name by name. */
const entriesOf = (value: unknown): Entries | undefined =>
  isMap(value) ? value : isNone(value) ? {} : undefined;

const shown = (value: unknown): string =>
  isNone(value) ? 'none' : typeof value === 'string' ? value : JSON.stringify(value);

/** Where two values differ: `240128: standby → active`. */
export const auditChanges = (before: unknown, after: unknown, at = ''): readonly string[] => {
  const [from, to] = [entriesOf(before), entriesOf(after)];
  if (from !== undefined && to !== undefined)
    return [...new Set([...Object.keys(from), ...Object.keys(to)])].flatMap((name) =>
      // Selectors speak for themselves.
      auditChanges(from[name], to[name], at === '' || at === 'keys' ? name : `${at} ${name}`),
    );
  return shown(before) === shown(after) ? [] : [`${at}: ${shown(before)} → ${shown(after)}`];
};
