// A simulated zone: a provider that accepts at once and is in sync later, and name servers that lag behind it.

import { SelkieError } from '../../core/errors.ts';
import { add, type Duration, type Instant, minutes, seconds } from '../../core/time.ts';
import type { DnsObserver, DnsWriter, Resolver, ServerAnswer, TxtSet } from '../../engine/ports.ts';

interface Write {
  readonly at: Instant;
  readonly name: string;
  readonly set: TxtSet | undefined;
}

export interface SimulatedDns extends DnsWriter, DnsObserver, Resolver {
  /** How long until the provider says that a change is in sync. */
  syncDelay: Duration;
  negativeTtl: Duration;
  /** How far each name server is behind the provider. */
  lags: Duration[];
  /** What a wildcard TXT answers for every name that does not exist. */
  wildcard: TxtSet | undefined;
  /** The provider forgets the ids of changes that are accepted from now on. */
  losesIds: boolean;
  /** Name → where it leads, of a zone that is not ours; every server of it shows the same. */
  readonly cnames: Map<string, string>;
  /** `TYPE name` → what the rest of the world says. */
  readonly elsewhere: Map<string, readonly string[]>;
  /** Writes as somebody else would. */
  put(name: string, set: TxtSet | undefined): void;
}

const same = (a: TxtSet | undefined, b: TxtSet | undefined): boolean =>
  JSON.stringify([a?.ttl, a?.values]) === JSON.stringify([b?.ttl, b?.values]);

export const createDns = (now: () => Instant): SimulatedDns => {
  const writes: Write[] = [];
  const inSyncAt = new Map<string, Instant>();
  let ids = 0;
  const shown = (name: string, at: number): TxtSet | undefined =>
    writes.findLast((write) => write.name === name && write.at <= at)?.set;

  const dns: SimulatedDns = {
    syncDelay: seconds(30),
    negativeTtl: minutes(15),
    lags: [seconds(0), seconds(10)],
    wildcard: undefined,
    losesIds: false,
    cnames: new Map(),
    elsewhere: new Map(),
    resolve: async ({ type, name }) =>
      dns.elsewhere.get(`${type} ${name}`) ?? (type === 'TXT' ? (shown(name, now())?.values ?? []) : []),
    put: (name, set) => {
      writes.push({ at: now(), name, set });
    },
    lookup: async (_zone, name) => shown(name, now()),
    submit: async (_zone, changes) => {
      for (const change of changes) {
        const expected =
          change.do === 'create' ? undefined : change.do === 'delete' ? change.set : change.old;
        if (!same(shown(change.name, now()), expected))
          throw new SelkieError('rejected', `${change.do} of ${change.name} does not fit what is there`);
      }
      for (const change of changes) dns.put(change.name, change.do === 'delete' ? undefined : change.set);
      ids += 1;
      const id = `C${ids}`;
      if (!dns.losesIds) inSyncAt.set(id, add(now(), dns.syncDelay));
      return id;
    },
    status: async (_zone, changeId) => {
      const at = inSyncAt.get(changeId);
      if (at === undefined) return 'unknown';
      return at <= now() ? 'in-sync' : 'pending';
    },
    fits: (changes) => changes.length,
    list: async (_zone, { after = '', limit }) => {
      const names = [...new Set(writes.map(({ name }) => name))].filter((name) => name > after).toSorted();
      const page = names.slice(0, limit);
      const sets = page.flatMap((name) => {
        const set = shown(name, now());
        return set === undefined ? [] : [{ name, set }];
      });
      const last = page.at(-1);
      return names.length > limit && last !== undefined ? { sets, next: last } : { sets };
    },
    follow: async (name) => {
      const target = dns.cnames.get(name);
      const answer: ServerAnswer['answer'] =
        target === undefined ? { kind: 'no-such-name' } : { kind: 'cname', target, ttl: minutes(5) };
      return {
        negativeTtl: minutes(60),
        answers: [{ server: 'ns1.customer.example', address: '198.51.100.1#53', answer }],
      };
    },
    observe: async (_zone, name) => ({
      negativeTtl: dns.negativeTtl,
      answers: dns.lags.map((lag, index): ServerAnswer => {
        const set = shown(name, now() - lag) ?? dns.wildcard;
        const answer =
          set === undefined ? ({ kind: 'no-such-name' } as const) : ({ kind: 'txt', set } as const);
        return { server: `ns${index + 1}.example.net`, address: `192.0.2.${index + 1}#53`, answer };
      }),
    }),
  };
  return dns;
};
