// The DNS writer for a zone that no program can change, where people have a panel. It asks a person, and then watches the name
// servers: `submit` remembers what is asked for, `status` is in sync once every server shows it, and `lookup` is what every server
// shows. Nothing is asked for that does not fit what stands there: a record that is not ours is seen before anybody is asked to
// replace it (invariant 4).
import { pastedWrong } from '../../core/dkim/pasted.ts';
import { hasCode, SelkieError } from '../../core/errors.ts';
import { isWithin, lowerName } from '../../core/names.ts';
import type { FleetZone } from '../../core/policy.ts';
import { days, type Instant, seconds } from '../../core/time.ts';
import { inParallel } from '../../engine/parallel.ts';
import type {
  Asked,
  Change,
  Clock,
  DnsObserver,
  DnsWriter,
  HandChange,
  HandChanges,
  HandItem,
  Randomness,
  TxtSet,
} from '../../engine/ports.ts';
import { countThatFits, requireFit } from '../record-changes.ts';
import { agreed, isAs, type ServerView, viewName } from './view.ts';

export interface HandWriterOptions {
  readonly observer: DnsObserver;
  readonly changes: HandChanges;
  readonly clock: Clock;
  readonly randomness: Pick<Randomness, 'id'>;
}

/** Names looked at together: each takes some questions to every server. */
const width = 8;
/** How long a change that is over is remembered; then whoever asks for its status hears that it is unknown, and makes it again. */
const remembered = days(30);
/** Servers that `asked` names. */
const mostNamed = 3;

/** Digits for 285,000 years of milliseconds, so that ids sort by their time. */
const idOf = (at: Instant, id: string): string => `manual-${String(Math.floor(at)).padStart(16, '0')}-${id}`;

const timeOf = ({ id }: HandChange): number => Number(id.split('-')[1]);

const expectedBy = (change: Change): TxtSet | undefined =>
  change.do === 'create' ? undefined : change.do === 'delete' ? change.set : change.old;

const targetOf = (change: Change): TxtSet | undefined => (change.do === 'delete' ? undefined : change.set);

/** Exactly the same, to the TTL. */
const sameWish = (a: TxtSet | undefined, b: TxtSet | undefined): boolean => isAs(a, b) && isAs(b, a);

const saysOf = ({ failed, set }: ServerView, wanted: TxtSet | undefined): string => {
  if (failed !== undefined) return `does not answer (${failed})`;
  if (set === undefined) return 'shows none';
  if (wanted === undefined) return 'still shows it';
  const [value, ...more] = set.values;
  const [only, ...others] = wanted.values;
  if (value === undefined) return 'shows a CNAME';
  if (only === undefined || more.length > 0 || others.length > 0)
    return isAs({ ...set, ttl: wanted.ttl }, wanted)
      ? `shows it with a TTL of ${set.ttl / seconds(1)} s: make that ${wanted.ttl / seconds(1)} or less`
      : `shows ${set.values.length} records`;
  return value === only
    ? `shows it with a TTL of ${set.ttl / seconds(1)} s: make that ${wanted.ttl / seconds(1)} or less`
    : pastedWrong(value, only);
};

/** Another worker saw the same, or asked anew: nothing is lost. */
const unlessConflict = (error: unknown): void => {
  if (!hasCode(error, 'conflict')) throw error;
};

export const createHandWriter = ({ observer, changes, clock, randomness }: HandWriterOptions): DnsWriter => {
  const view = (zone: FleetZone, name: string) => viewName(observer, randomness, zone, name);
  /** Its servers may serve other zones too: what is not of this one does not stand in it. */
  const lookup = async (zone: FleetZone, name: string): Promise<TxtSet | undefined> =>
    isWithin(lowerName(name), lowerName(zone.name))
      ? agreed(lowerName(name), await view(zone, name))
      : undefined;

  const isShown = (views: readonly ServerView[], { to }: HandItem): boolean =>
    views.every(({ failed, set }) => failed === undefined && isAs(set, to));

  /** Writes what became of some items; another worker may have written the same meanwhile. */
  const settle = async (
    change: HandChange,
    stateOf: (item: HandItem) => HandItem['state'],
  ): Promise<void> => {
    const items = change.items.map((item) =>
      item.state === 'open' ? { ...item, state: stateOf(item) } : item,
    );
    if (items.some(({ state }, n) => state !== change.items[n]?.state))
      await changes.save({ ...change, items });
  };

  /** Drops what is over and old, but for the last that was asked for at a name where something of ours stands. */
  const forget = async (all: readonly HandChange[], now: Instant): Promise<void> => {
    const last = new Map<string, HandChange>();
    for (const change of all)
      for (const { name, to, state } of change.items) {
        if (state === 'withdrawn') continue;
        if (to === undefined) last.delete(name);
        else last.set(name, change);
      }
    const needed = new Set(last.values());
    for (const change of all) {
      const over = change.items.every(({ state }) => state !== 'open');
      if (over && !needed.has(change) && timeOf(change) + remembered < now)
        await changes.remove(change.zone, change.id);
    }
  };

  const rejected = (name: string, what: string): SelkieError =>
    new SelkieError('rejected', `${name}: ${what}; nobody is asked to change it. Look at what stands there.`);

  const describeSet = (set: TxtSet | undefined): string =>
    set === undefined
      ? 'nothing'
      : `"${(set.values[0] ?? 'a CNAME').slice(0, 60)}" (TTL ${set.ttl / seconds(1)} s)`;

  /** @throws rejected: it fits neither what stands there nor what is asked for already */
  const itemOf = (
    change: Change,
    there: TxtSet | undefined,
    open: HandItem | undefined,
    now: Instant,
  ): HandItem => {
    const [name, expected, to] = [lowerName(change.name), expectedBy(change), targetOf(change)];
    const fits =
      isAs(there, expected) || (open !== undefined && sameWish(open.to, expected) && isAs(there, open.from));
    if (!fits)
      throw rejected(
        name,
        `the name servers show ${describeSet(there)} where ${describeSet(expected)} was expected`,
      );
    return {
      name,
      ...(there === undefined ? {} : { from: there }),
      ...(to === undefined ? {} : { to }),
      state: 'open',
      since: open !== undefined && sameWish(open.to, to) ? open.since : now,
    };
  };

  const namesOf = (all: readonly HandChange[]): readonly string[] =>
    [...new Set(all.flatMap(({ items }) => items.map(({ name }) => name)))].toSorted();

  const openItems = (all: readonly HandChange[]): readonly HandItem[] =>
    all.flatMap(({ items }) => items.filter(({ state }) => state === 'open'));

  return {
    lookup,

    async submit(zone, wanted) {
      const zoneName = lowerName(zone.name);
      requireFit(zoneName, wanted);
      const names = wanted.map(({ name }) => lowerName(name));
      const twice = names.find((name, n) => names.indexOf(name) !== n);
      if (twice !== undefined) throw rejected(twice, 'it stands in one request twice');
      const there = new Map(
        await inParallel(width, names, async (name) => [name, await lookup(zone, name)] as const),
      );
      const all = await changes.of(zoneName);
      const open = new Map(openItems(all).map((item) => [item.name, item]));
      const now = clock.now();
      const items = wanted.map((change, n) => {
        const name = names[n] ?? '';
        return itemOf(change, there.get(name), open.get(name), now);
      });
      const id = idOf(now, randomness.id());
      try {
        // What was asked for before goes first: were this to end between the two, nobody would be asked for two things at a name.
        for (const change of all)
          await settle(change, ({ name, to, state }) =>
            !there.has(name) ? state : isAs(there.get(name), to) ? 'done' : 'withdrawn',
          );
        await changes.save({ zone: zoneName, id, version: 0, items });
      } catch (error) {
        if (!hasCode(error, 'conflict')) throw error;
        throw new SelkieError(
          'busy',
          `${zoneName}: another worker writes there what is asked for; it is tried again`,
        );
      }
      await forget(all, now);
      return id;
    },

    async status(zone, changeId) {
      const change = await changes.find(lowerName(zone.name), changeId);
      if (change === undefined || change.items.some(({ state }) => state === 'withdrawn')) return 'unknown';
      const waiting = change.items.filter(({ state }) => state === 'open');
      const seen = await inParallel(width, waiting, async (item) => {
        const views = await view(zone, item.name);
        return isShown(views, item) ? item.name : undefined;
      });
      const shown = new Set(seen);
      try {
        await settle(change, ({ name }) => (shown.has(name) ? 'done' : 'open'));
      } catch (error) {
        // Asked for anew, or seen by another worker: the next look tells.
        if (!hasCode(error, 'conflict')) throw error;
        return 'pending';
      }
      return waiting.every(({ name }) => shown.has(name)) ? 'in-sync' : 'pending';
    },

    fits: countThatFits,

    // Nobody can list the zone from outside. What was ever asked for is looked at, name by name.
    async list(zone, { after, limit }) {
      const zoneName = lowerName(zone.name);
      if (after === undefined) await view(zone, zoneName);
      const all = await changes.of(zoneName);
      const names = namesOf(all).filter((name) => after === undefined || name > after);
      const page = names.slice(0, limit);
      const found = await inParallel(width, page, async (name) => ({ name, set: await lookup(zone, name) }));
      // Of what an audit asked for nobody asks the status.
      const now = new Map(found.map(({ name, set }) => [name, { set }]));
      for (const change of all)
        await settle(change, ({ name, to, state }) => {
          const seen = now.get(name);
          return seen !== undefined && isAs(seen.set, to) ? 'done' : state;
        }).catch(unlessConflict);
      const sets = found.flatMap(({ name, set }) => (set === undefined ? [] : [{ name, set }]));
      const last = page.at(-1);
      return names.length > limit && last !== undefined ? { sets, next: last } : { sets };
    },

    async asked(zone) {
      const open = openItems(await changes.of(lowerName(zone.name)));
      const looked = await inParallel(width, open, async ({ state: _open, ...wish }): Promise<Asked> => {
        let views: readonly ServerView[];
        try {
          views = await view(zone, wish.name);
        } catch (error) {
          // What is asked for is told all the same.
          if (!hasCode(error, 'unavailable', 'not-found')) throw error;
          return { ...wish, servers: 0, shown: 0, showing: [], lagging: [error.message] };
        }
        const isRight = ({ failed, set }: ServerView): boolean => failed === undefined && isAs(set, wish.to);
        const [right, others] = [views.filter(isRight), views.filter((each) => !isRight(each))];
        const named = ({ server, address }: ServerView): string => `${server} (${address})`;
        return {
          ...wish,
          servers: views.length,
          shown: right.length,
          showing: right.slice(0, mostNamed).map(named),
          lagging: others.slice(0, mostNamed).map((each) => `${named(each)} ${saysOf(each, wish.to)}`),
        };
      });
      return looked.filter(({ servers, shown }) => servers === 0 || shown < servers);
    },

    async withdraw(zone, name) {
      const plain = lowerName(name);
      for (const change of await changes.of(lowerName(zone.name)))
        await settle(change, (item) => (item.name === plain ? 'withdrawn' : item.state));
    },
  };
};
