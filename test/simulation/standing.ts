// Which hosts count: not those that operators set aside or the engine fenced, until they hold everything again; and, for a
// while, not those whose disk was restored or wiped. How long that while may be is judged here (forgiven.ts).

import { minutes } from '../../core/time.ts';
import type { Checker } from './checker.ts';
import { astrayPulling, astrayPushed } from './forgiven.ts';
import type { MailHost } from './hosts.ts';
import type { MemoryLedger } from './ledger.ts';
import type { Loop } from './loop.ts';

export interface Standing {
  /** What it does no longer counts, until it is back and holds everything. */
  setAside(host: MailHost): void;
  /** An operator has ordered so, and it is not written yet: until then it does not come back. */
  orderAside(host: MailHost): void;
  /** Its disk is not what the control plane believes. */
  goesAstray(host: MailHost): void;
  /** Something happened that may have brought it back. */
  mayBeBack(host: MailHost): void;
}

export const createStanding = (world: {
  readonly loop: Loop;
  readonly checker: Checker;
  readonly ledger: Pick<MemoryLedger, 'hosts' | 'tail'>;
  readonly isEnrolled: (host: MailHost) => boolean;
  /** Whether nothing but the host's own fault stands in its way. */
  readonly isCalm: (host: MailHost) => boolean;
  readonly trace: ((says: string) => void) | undefined;
}): Standing => {
  const { loop, checker, ledger, trace } = world;
  const aside = new Set<MailHost>();
  const ordered = new Set<MailHost>();
  /** Those that went astray, and the quiet milliseconds since. One that goes astray again later is another case. */
  const astray = new Map<MailHost, { calm: number }>();
  const look = minutes(10);

  const watch = (host: MailHost, since: { calm: number }): void => {
    if (astray.get(host) !== since) return;
    if (world.isCalm(host)) since.calm += look;
    const bound = host.pulls ? astrayPulling : astrayPushed;
    // A look is as fine as this measures.
    if (since.calm <= bound + look) {
      loop.at(loop.now() + look, () => watch(host, since));
      return;
    }
    const quiet = `has not caught up for ${since.calm / minutes(1)} quiet minutes`;
    checker.violate(8, `${host.name} came back from an old backup, and ${quiet}`);
  };

  const setAside = (host: MailHost): void => {
    if (aside.has(host)) return;
    aside.add(host);
    checker.count(host, false);
    trace?.(`${host.name} no longer counts`);
  };

  return {
    setAside: (host) => {
      ordered.delete(host);
      setAside(host);
    },
    orderAside: (host) => {
      ordered.add(host);
      setAside(host);
    },
    goesAstray: (host) => {
      checker.astray(host, true);
      if (astray.has(host)) return;
      const since = { calm: 0 };
      astray.set(host, since);
      loop.at(loop.now() + look, () => watch(host, since));
    },
    mayBeBack: (host) => {
      const row = ledger.hosts.get(host.name);
      const { cursor, incarnation } = host.state;
      const isHeard = row?.cursor?.n === cursor?.n;
      const holdsAll = cursor !== null && cursor.n === ledger.tail(host.pool);
      const isBack = row?.complete === true && isHeard && holdsAll;
      if (
        isBack &&
        aside.has(host) &&
        !ordered.has(host) &&
        world.isEnrolled(host) &&
        row.fenced === undefined &&
        row.excluded === undefined
      ) {
        aside.delete(host);
        checker.count(host, true);
        trace?.(`${host.name} counts again`);
      }
      if (!astray.has(host)) return;
      if (isHeard && row?.incarnation === incarnation) checker.heard(host);
      if (!isBack) return;
      astray.delete(host);
      checker.astray(host, false);
      trace?.(`${host.name} has caught up`);
    },
  };
};
