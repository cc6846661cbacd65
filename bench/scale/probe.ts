import { days } from '../../core/time.ts';
import { requestMany } from '../../engine/rotate-all.ts';
import { openSession } from '../../engine/world.ts';
import { createScaleWorld } from './world.ts';

const [domains, zones, hosts, workers, kind] = process.argv.slice(2);
const t0 = performance.now();
const w = await createScaleWorld(
  { domains: Number(domains), zones: zones === 'own' ? 'own' : Number(zones), hosts: Number(hosts) },
  { workers: Number(workers), share: 0.8 },
);
console.log('built', ((performance.now() - t0) / 1000).toFixed(1));
const last = { sync: 0, proved: 0, sign: 0, active: 0, gone: 0 };
const seen = {
  sync: new Set<string>(),
  proved: new Set<string>(),
  sign: new Set<string>(),
  active: new Set<string>(),
  gone: new Set<string>(),
};
w.watch = (row) => {
  for (const key of row.keys) {
    const t = key.turns[0];
    const id = row.domain + key.selector;
    const mark = (name: keyof typeof last, is: unknown) => {
      if (is !== undefined && !seen[name].has(id)) {
        seen[name].add(id);
        last[name] = w.now();
      }
    };
    if (key.selector !== 'first') {
      mark('sync', key.evidence.inSync);
      mark('proved', t.proved);
      mark('sign', t.signIntended);
      mark('active', t.active);
    } else mark('gone', key.evidence.destroyed);
  }
};
if (kind === 'emergency') {
  const r = await w.call(async (world) =>
    requestMany(world, await openSession(world), world.fleet.domains.keys(), {
      kind: 'emergency',
      reason: 'bench',
    }),
  );
  console.log('ordered', r.ordered, [...r.refused.values()][0], ((performance.now() - t0) / 1000).toFixed(1));
  await w.run(days(2), () => seen.active.size >= Number(domains));
} else await w.run(days(132));
console.log('ran', ((performance.now() - t0) / 1000).toFixed(1));
const hours = (at: number) => ((at - w.start) / 60000).toFixed(1) + ' min';
console.log(
  Object.fromEntries(
    Object.entries(last).map(([k, at]) => [k, seen[k as keyof typeof last].size + ' by ' + hours(at)]),
  ),
);
console.log(
  w.counts,
  w.route53.counts,
  w.route53.over.requests,
  w.route53.over.changes,
  w.ledger.counts,
  w.ledger.bytes,
);
