// The mail plant: messages that are signed, lie in queues, are forwarded, and are verified at once and much later, at name
// servers and behind caches.

import { keyRecordName } from '../../core/names.ts';
import { type Duration, seconds } from '../../core/time.ts';
import type { Checker } from './checker.ts';
import { answerOf, type Resolver } from './dns.ts';
import type { MailHost, RingKey } from './hosts.ts';
import type { Loop } from './loop.ts';
import type { Random } from './random.ts';

export interface Mail {
  /** A message that this host signs now with this key, and all that becomes of it. */
  post(host: MailHost, key: RingKey): void;
  /** A message of some host for some domain, with all of its signatures. */
  postAny(hosts: readonly MailHost[]): void;
  /** Somebody asks for a name, perhaps before it exists. */
  snoop(domain: string, selector: string): void;
}

export const createMail = (
  loop: Loop,
  random: Random,
  checker: Checker,
  resolvers: readonly Resolver[],
): Mail => {
  const verify = (host: MailHost, key: RingKey, delay: number): void => {
    const signed = loop.now();
    const counted = checker.countsAt(host);
    loop.at(loop.now() + delay, () => {
      const zone = checker.domains.get(key.domain)?.zone;
      // What was promised may have become less since: a policy was changed, a host with long queues left the fleet.
      if (zone === undefined || loop.now() - signed > checker.promised(key)) return;
      const name = keyRecordName(key.selector, key.domain);
      const resolver = random.chance(0.5) ? random.any(resolvers) : undefined;
      // A host that fell out of the count since is judged by what it was when it signed.
      if (resolver !== undefined) {
        checker.verified(key, signed, counted, resolver.ask(zone, name), 'a resolver', true);
        return;
      }
      const server = random.any(zone.servers);
      if (server === undefined || server.downUntil > loop.now())
        return checker.verified(key, signed, counted, 'failed', 'a name server', false);
      checker.verified(key, signed, counted, answerOf(zone, server, name), server.name, false);
    });
  };

  const post = (host: MailHost, key: RingKey): void => {
    checker.figures.signed += 1;
    const window: Duration = checker.promised(key);
    verify(host, key, random.int(0, seconds(10)));
    verify(host, key, Math.floor(random.next() * window));
    // To the end of the promise: a queue that held it as long as queues do, and a forwarder that did the same.
    verify(host, key, window);
  };

  return {
    post,
    postAny: (hosts) => {
      const host = random.any(hosts.filter((each) => each.powered && each.ring.size > 0));
      const key = random.any([...(host?.ring.values() ?? [])]);
      if (host === undefined || key === undefined) return;
      for (const other of host.ring.values()) if (other.domain === key.domain) post(host, other);
    },
    snoop: (domain, selector) => {
      const zone = checker.domains.get(domain)?.zone;
      if (zone !== undefined) random.any(resolvers)?.ask(zone, keyRecordName(selector, domain));
    },
  };
};
