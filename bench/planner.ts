// States and plans per second over 100,000 synthetic domains, their keys in several states.

import type { Evidence, HostView, Key, Turn } from '../core/key/evidence.ts';
import { plan } from '../core/key/plan.ts';
import { emptyRow } from '../core/key/row.ts';
import { stateOf } from '../core/key/state.ts';
import { defaultPolicy } from '../core/policy.ts';
import { instant } from '../core/time.ts';
import type { Table } from './table.ts';

const count = 100_000;
const now = instant(Date.UTC(2026, 10, 24));
const at = { at: instant(now - 86_400_000) };
const place = { epoch: 1, n: 1 };
const stored: Evidence = {
  reserved: at,
  stored: { ...at, secret: 'secret', fingerprint: '00', publicKey: 'AAAA' },
};
const created: Evidence = {
  ...stored,
  publishIntended: { ...at, value: 'v=DKIM1; p=AAAA', ttl: defaultPolicy.ttl },
  created: { ...at, changeId: 'C1' },
  inSync: at,
};
const standby: Turn = {
  begun: at,
  proved: { ...at, servers: 4, negativeTtl: defaultPolicy.ttl },
  offered: { ...at, place },
  standby: at,
};
const active: Turn = { ...standby, signIntended: { ...at, place }, active: at };
/** reserved, stored, publishing, standby, active. */
const shapes: readonly (readonly [Evidence, Turn])[] = [
  [{ reserved: at }, { begun: at }],
  [stored, { begun: at }],
  [created, { begun: at }],
  [created, standby],
  [created, active],
];
const host: HostView = {
  name: 'mx1',
  ready: true,
  excluded: false,
  epoch: 1,
  cursor: 1,
  failed: new Map(),
  lastUse: new Map(),
};

const rowOf = (n: number) => {
  const [evidence, turn] = shapes[n % shapes.length] ?? [stored, standby];
  const key: Key = { selector: 's1', algorithm: 'rsa2048', rotation: 'r1', evidence, turns: [turn] };
  return {
    ...emptyRow(`d${n}.example.org`, 'example.org', 'pool'),
    version: 1,
    keys: [key],
    rotations: [
      { ...at, id: 'r1', kind: 'first' as const, algorithms: ['rsa2048'] as const, selectors: ['s1'] },
    ],
  };
};

export const planner = async (): Promise<Table> => {
  const rows = Array.from({ length: count }, (_, n) => rowOf(n));
  const seen = new Set<string>();
  const timed = (name: string, run: () => void): string[] => {
    const started = performance.now();
    run();
    const ms = performance.now() - started;
    return [name, `${ms.toFixed(0)} ms`, Math.round((count / ms) * 1000).toLocaleString('en')];
  };
  const states = timed('stateOf', () => {
    for (const row of rows) for (const key of row.keys) seen.add(stateOf(key));
  });
  let actions = 0;
  const plans = timed('plan', () => {
    for (const row of rows)
      actions += plan({ row, policy: defaultPolicy, leaving: false, hosts: [host], epoch: 1, now }).actions
        .length;
  });
  return {
    title: `planner: ${count.toLocaleString('en')} domains, keys ${[...seen].join(', ')}; ${actions.toLocaleString('en')} actions planned`,
    columns: ['what', 'time', 'per second'],
    rows: [states, plans],
  };
};
