// A little DNS, as data: `TYPE name` → values. What oracles of SPF and DMARC are asked, and what our own walks are answered from.

import type { Asking, DnsQuestion } from '../../core/spf/lookups.ts';

export type DnsTable = Readonly<Record<string, readonly string[]>>;

export const asked = (table: DnsTable, { type, name }: DnsQuestion): readonly string[] =>
  table[`${type} ${name}`] ?? [];

/** Walks with answers from the table. */
export const walked = <T>(walk: Asking<T>, table: DnsTable): T => {
  for (let step = walk.next(); ; step = walk.next(asked(table, step.value)))
    if (step.done === true) return step.value;
};

/** As Node's resolver answers, for mailauth. */
export const nodeResolver =
  (table: DnsTable) =>
  async (name: string, type: string): Promise<unknown> => {
    const found = table[`${type} ${name.toLowerCase().replace(/\.$/, '')}`] ?? [];
    if (found.length === 0) throw Object.assign(new Error(`no ${type} at ${name}`), { code: 'ENODATA' });
    if (type === 'TXT') return found.map((value) => [value]);
    return type === 'MX' ? found.map((exchange, priority) => ({ exchange, priority })) : found;
  };
