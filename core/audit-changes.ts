// What an audited order changed, as lines that people read. Pure.

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const shown = (value: unknown): string =>
  value === undefined || value === null ? 'none' : typeof value === 'string' ? value : JSON.stringify(value);

/** Where two values differ: `240128: standby → active`. */
export const auditChanges = (before: unknown, after: unknown, at = ''): readonly string[] => {
  if (isMap(before) && isMap(after))
    return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) =>
      // Selectors speak for themselves.
      auditChanges(before[name], after[name], at === '' || at === 'keys' ? name : `${at} ${name}`),
    );
  return shown(before) === shown(after) ? [] : [`${at}: ${shown(before)} → ${shown(after)}`];
};
