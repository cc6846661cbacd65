// Every wait, with its lengths: the formulas are those of the table in docs/lifecycle.md.
import { describe, expect, it } from 'vitest';
import { cohortOf, cohortsOf } from '../../../core/key/cohorts.ts';
import { hostKeyName, type Key } from '../../../core/key/evidence.ts';
import {
  drainEnds,
  fenceDue,
  firstAsk,
  holdEnds,
  hostsDrainEnds,
  inCompany,
  negativeCacheEnds,
  nextLook,
  nextSparing,
  nextTelling,
  nextTry,
  queuesOf,
  rotationDue,
  storingEnds,
} from '../../../core/key/waits.ts';
import { defaultPolicy } from '../../../core/policy.ts';
import {
  add,
  between,
  type Duration,
  days,
  formatDuration,
  hours,
  type Instant,
  instant,
  minutes,
  seconds,
} from '../../../core/time.ts';
import { at, duty, facts, host, key, t, turnUpTo } from './made.ts';

const domain = 'example.com';
const policy = { ...defaultPolicy, ttl: minutes(10) };
const since = (until: Instant | undefined): string =>
  until === undefined ? 'never' : formatDuration(between(t, until));

it('caches that may deny a new record: its proof, the negative TTL, the skew bound', () => {
  const { proved } = duty;
  expect(since(negativeCacheEnds(proved, policy))).toBe('PT20M');
  expect(since(negativeCacheEnds({ ...proved, negativeTtl: seconds(0) }, policy))).toBe('PT0S');
  expect(since(negativeCacheEnds({ ...proved, negativeTtl: seconds(1) }, policy))).toBe('PT5M1S');
});

describe('the drain', () => {
  const stopped = key('240128e', 'stopped');
  const drain = (changed = stopped, hosts = [host()], of = policy): string =>
    since(drainEnds(domain, changed, hosts, of));

  it('is the queues’ 5 days, the TTL, the margin and the skew bound from the last stop on', () => {
    expect(drain()).toBe('P7DT1H5M');
  });

  it('never ends while some host may sign', () => {
    expect(drain(key('240128e', 'stopIntended'))).toBe('never');
  });

  it('counts from the last use that a host reports, where that is later', () => {
    const used = (name: string, when: Instant) => host('mx1', { lastUse: new Map([[name, when]]) });
    const name = hostKeyName(domain, '240128e');
    expect(name).toBe('example.com/240128e');
    expect(drain(stopped, [host(), used(name, add(t, hours(3)))])).toBe('P7DT4H5M');
    expect(drain(stopped, [used(name, instant(t - 1))])).toBe('P7DT1H5M');
    expect(drain(stopped, [used('example.com/240127e', add(t, hours(3)))])).toBe('P7DT1H5M');
  });

  describe('with aggregate reports that still show the key', () => {
    const seen = (until: Instant, of: Key = stopped): Key => {
      const [turn] = of.turns;
      return { ...of, turns: [{ ...turn, reported: { ...at, until, by: 'receiver.example', messages: 2 } }] };
    };

    it('counts from the end of the last report’s period', () => {
      expect(drain(seen(add(t, days(1))))).toBe('P8DT1H5M');
      expect(since(hostsDrainEnds(domain, seen(add(t, days(1))), [host()], policy))).toBe('P7DT1H5M');
    });

    it('from a host’s last use, where that is later', () => {
      const used = host('mx1', { lastUse: new Map([[hostKeyName(domain, '240128e'), add(t, days(2))]]) });
      expect(drain(seen(add(t, days(1))), [used])).toBe('P9DT1H5M');
      expect(drain(seen(add(t, days(3))), [used])).toBe('P10DT1H5M');
    });

    it('lasts longer by at most what the policy allows', () => {
      expect(drain(seen(add(t, days(300))))).toBe('P21DT1H5M');
      expect(drain(seen(add(t, days(300))), [host()], { ...policy, reportedDrain: days(0) })).toBe(
        'P7DT1H5M',
      );
    });

    it('is never shorter, nor is there an end while some host may sign', () => {
      expect(drain(seen(instant(0)))).toBe('P7DT1H5M');
      expect(drain(seen(add(t, days(1)), key('240128e', 'stopIntended')))).toBe('never');
    });

    it('counts those of the turn in which it was stopped last', () => {
      const [turn] = seen(add(t, days(3))).turns;
      const again = key('240128e', 'stopped', {
        turns: [turn, { ...turnUpTo('stopped'), stopped: { at: add(t, days(30)) } }],
      });
      expect(drain(again)).toBe('P37DT1H5M');
    });
  });

  it('takes the longest queue: the policy’s, a host’s, or one of when it stopped', () => {
    const [slow, quick] = [host('mx1', { queueLifetime: days(9) }), host('mx2', { queueLifetime: days(1) })];
    expect(drain(stopped, [slow, quick])).toBe('P11DT1H5M');
    expect(drain(stopped, [quick])).toBe('P7DT1H5M');
    const remembered = key('240128e', { ...duty, stopped: { ...at, queues: days(6) } });
    expect(drain(remembered, [quick])).toBe('P8DT1H5M');
  });

  it('takes the longer TTL: that which the record was written with, or the policy’s of now', () => {
    expect(drain(stopped, [host()], { ...policy, ttl: hours(2) })).toBe('P7DT2H5M');
    const { publishIntended: _never, ...evidence } = stopped.evidence;
    expect(drain({ ...stopped, evidence })).toBe('P7DT15M');
  });

  it('remembers the longest queue of the hosts that stop, where one says it', () => {
    expect(queuesOf([host(), host('mx2')])).toEqual({});
    expect(
      queuesOf([host(), host('mx2', { queueLifetime: days(2) }), host('mx3', { queueLifetime: days(4) })]),
    ).toEqual({ queues: days(4) });
  });
});

it('a tombstone is held as the policy says, and at least for the TTL of the record before it', () => {
  const revoked = key('240128e', 'stopped', { facts: { tombstoned: facts.tombstoned, revoked: at } });
  expect(since(holdEnds(revoked, t, policy))).toBe('P7DT5M');
  expect(since(holdEnds(revoked, t, { ...policy, hold: minutes(1) }))).toBe('PT1H5M');
  const { publishIntended: _never, ...evidence } = revoked.evidence;
  expect(since(holdEnds({ ...revoked, evidence }, t, { ...policy, hold: minutes(1) }))).toBe('PT15M');
});

it('a key that was given up while it was stored may come to the vault for 15 minutes yet', () => {
  expect(since(storingEnds(t))).toBe('PT15M');
});

it('a host that is silent in an emergency is fenced after 10 minutes', () => {
  expect(since(fenceDue(t, policy))).toBe('PT10M');
});

describe('the next rotation', () => {
  const every = days(60);
  const names = Array.from({ length: 6_000 }, (_, n) => `d${n}.example.com`);
  /** Of a zone of so many domains. */
  const due = (name: string, active: Instant, ofZone = names.length, zone = 'example.com') =>
    rotationDue({ domain: name, zone, fellows: { ofZone, ofSmallZones: 1 } }, active, every);
  /** Of a zone of its own, in a fleet of so many. */
  const dueAlone = (name: string, ofSmallZones: number) =>
    rotationDue({ domain: name, zone: name, fellows: { ofZone: 1, ofSmallZones } }, t, every);
  const placeOf = (next: Instant): number => (next % every) / every;

  it('is at the domain’s slot, the first that is a quarter of a period or more after activation', () => {
    for (const name of names) {
      const next = due(name, t);
      expect(next % seconds(1)).toBe(0);
      expect(next).toBeGreaterThanOrEqual(add(t, days(15)));
      expect(next).toBeLessThan(add(t, days(15 + 60)));
    }
  });

  it('is a period after the one before, however late that was done within three quarters of it', () => {
    const next = due(domain, t);
    expect(due(domain, next)).toBe(add(next, every));
    expect(due(domain, add(next, days(45)))).toBe(add(next, every));
    expect(due(domain, add(next, days(45), seconds(1)))).toBe(add(next, every, every));
  });

  it('has the same slot everywhere: the hash is stable', () => {
    const fellows = { ofZone: names.length, ofSmallZones: 1 };
    const cohorts = names.slice(0, 5).map((name) => cohortOf({ domain: name, zone: 'example.com', fellows }));
    expect(cohorts).toEqual([40, 45, 80, 34, 49]);
  });

  it.each([60, 89, 1_000, 6_000, 100_000])(
    'comes for 60 domains of a zone of %i at one time, more or less',
    (ofZone) => {
      const cohorts = cohortsOf({ ofZone, ofSmallZones: 1 });
      expect(ofZone / cohorts).toBeLessThan(90);
      if (ofZone > 300) expect(ofZone / cohorts).toBeGreaterThan(50);
    },
  );

  it('spreads a zone’s domains evenly over its cohorts: few have more than fit one request', () => {
    const sizes = [...Map.groupBy(names, (name) => due(name, t) % every).values()].map(
      ({ length }) => length,
    );
    expect(sizes.length).toBe(100);
    expect(Math.min(...sizes)).toBeGreaterThan(30);
    expect(sizes.filter((size) => size > 76).length).toBeLessThan(10);
  });

  it('spreads zones of one domain over the whole period, to 64 places', () => {
    expect(new Set(names.map((name) => placeOf(due(name, t, 1, name)))).size).toBe(64);
    const places = names.map((name) => placeOf(due(name, t, 1, name)));
    const tenths = Map.groupBy(places, (place) => Math.floor(place * 10));
    expect(tenths.size).toBe(10);
    for (const { length } of tenths.values()) expect(Math.abs(length - 600)).toBeLessThan(150);
  });

  it('of zones of one domain stays where it was in a fleet of up to some thousand, and spread over 64 places', () => {
    for (const name of names) expect(dueAlone(name, 3_840)).toBe(dueAlone(name, 1));
    expect(new Set(names.map((name) => dueAlone(name, 3_840) % every)).size).toBe(64);
  });

  it('comes for 60 zones of one domain at one time where there are more', () => {
    const many = Array.from({ length: 30_000 }, (_, n) => `d${n}.example`);
    const sizes = [...Map.groupBy(many, (name) => dueAlone(name, many.length) % every).values()].map(
      ({ length }) => length,
    );
    expect(sizes.length).toBe(500);
    expect(Math.min(...sizes)).toBeGreaterThan(30);
    expect(Math.max(...sizes)).toBeLessThan(100);
  });

  it('is one for the domains of a small zone, and each cohort’s own from 60 on', () => {
    const fellows = { ofZone: 59, ofSmallZones: 59 };
    const dueIn = (ofZone: number) =>
      new Set(
        names
          .slice(0, 59)
          .map((name) =>
            rotationDue({ domain: name, zone: 'example.com', fellows: { ...fellows, ofZone } }, t, every),
          ),
      ).size;
    expect(dueIn(59)).toBe(1);
    expect(dueIn(600)).toBeGreaterThan(5);
  });

  it('of zones of one domain moves by less than a cohort’s length when their number grows', () => {
    for (const [small, large] of [
      [1, 3_900],
      [3_900, 100_000],
      [6_000, 6_060],
    ] as const)
      for (const name of names.slice(0, 500)) {
        const moved = Math.abs(placeOf(dueAlone(name, small)) - placeOf(dueAlone(name, large)));
        expect(Math.min(moved, 1 - moved)).toBeLessThan(1 / Math.max(64, small / 61) + 1e-6);
      }
  });

  it('moves by less than a cohort’s length when the zone grows', () => {
    for (const [small, large] of [
      [600, 660],
      [600, 1_200],
      [6_000, 6_001],
    ] as const)
      for (const name of names.slice(0, 500)) {
        const moved = Math.abs(placeOf(due(name, t, small)) - placeOf(due(name, t, large)));
        expect(Math.min(moved, 1 - moved)).toBeLessThan(
          1 / cohortsOf({ ofZone: small, ofSmallZones: 1 }) + 1e-6,
        );
      }
  });
});

it('what comes after a day or more is looked at when the next quarter of an hour begins, with others', () => {
  const looked = (...wait: readonly Duration[]): string => since(inCompany(add(t, ...wait), t));
  expect(looked(hours(23), minutes(59))).toBe('PT23H59M');
  expect(looked(days(7))).toBe('P7D');
  expect(looked(days(7), seconds(1))).toBe('P7DT15M');
  expect(looked(days(7), minutes(15))).toBe('P7DT15M');
});

it('where requests are short, a record that is to go is looked at after as long again, 15 min to 2 h', () => {
  const lengths = [minutes(0), minutes(15), minutes(50), hours(9)].map((length) => {
    const now = add(t, length);
    return formatDuration(between(now, nextSparing(t, now)));
  });
  expect(lengths).toEqual(['PT15M', 'PT15M', 'PT50M', 'PT2H']);
});

it('where requests are short, a change is asked about a minute after it was accepted', () => {
  expect(since(firstAsk(t))).toBe('PT1M');
});

it('what others bring about is looked at after half of the time waited: at least 1 s, at most 1 min', () => {
  const waited = [seconds(0), seconds(1), seconds(20), seconds(119), minutes(2), hours(1)];
  const lengths = waited.map((length) => {
    const now = add(t, length);
    return between(now, nextLook(t, now)) / 1_000;
  });
  expect(lengths).toEqual([1, 1, 10, 59.5, 60, 60]);
});

it('a step that failed is tried again after 2 s, then 4, 8 and so on, at most 5 min', () => {
  const last = add(t, hours(1));
  const lengths = [0, 1, 2, 3, 8, 9, 10, 1_000].map(
    (times) => between(last, nextTry({ step: 's', since: t, last, times, message: 'm' })) / 1_000,
  );
  expect(lengths).toEqual([2, 2, 4, 8, 256, 300, 300, 300]);
});

it('a silent host is told again after a minute', () => {
  expect(since(nextTelling(t))).toBe('PT1M');
});
