// The TXT records at a name as each authoritative name server gives them, for whoever knows no zones: a mail host that looks
// after its own key records. Which servers those are, the resolvers tell (the zone's own NS set); the observer of the control
// plane asks the parent zone instead, which 300 hosts with 100,000 domains each should not do every hour.

import { describe, SelkieError } from '../../core/errors.ts';
import { deepestZone, lowerName } from '../../core/names.ts';
import { type Duration, hours, minutes, seconds } from '../../core/time.ts';
import type { ServerAnswer } from '../../engine/ports.ts';
import {
  type DelegationOptions,
  inReach,
  located,
  type NameServer,
  nameServersOf,
  nsIn,
  parseServer,
  recurse,
  root,
  zoneOf,
} from './delegation.ts';
import { longestChain } from './follow.ts';
import { answerOf, resolversOf } from './observer.ts';
import { formatEndpoint } from './wire.ts';

export type { ServerAnswer } from '../../engine/ports.ts';

export interface AuthorityOptions {
  /** Recursive resolvers, `address` or `address:port`; by default the system's. */
  readonly resolvers?: readonly string[];
  /** Zone → its name servers, in place of what the resolvers tell; the deepest one that holds a name counts, `.` holds all. */
  readonly nameServers?: Readonly<Record<string, readonly string[]>>;
  /** Where name servers listen whose address comes without a port; by default 53. */
  readonly port?: number;
  /** For one try; by default 2 s. */
  readonly timeout?: Duration;
  /** Milliseconds from any origin, never backwards. */
  readonly elapsed?: () => number;
}

export interface Authority {
  /**
   * What each address of each authoritative server says of the TXT records at `name`; where it says CNAME, what the servers
   * of the target say. Never empty.
   * @throws unavailable where the servers cannot be learned, or none is in reach
   */
  look(name: string): Promise<readonly ServerAnswer[]>;
}

/** Answers worth keeping, at most `size` of them: the oldest goes first. */
const createMemory = <T>(age: Duration, size: number, elapsed: () => number) => {
  const kept = new Map<string, { readonly at: number; readonly value: Promise<T> }>();
  return (key: string, make: () => Promise<T>): Promise<T> => {
    const known = kept.get(key);
    if (known !== undefined && elapsed() - known.at < age) return known.value;
    const entry = { at: elapsed(), value: make() };
    kept.delete(key);
    kept.set(key, entry);
    // A failure is not kept: the next call tries again.
    entry.value.catch(() => {
      if (kept.get(key) === entry) kept.delete(key);
    });
    for (const oldest of kept.keys()) {
      if (kept.size <= size) break;
      kept.delete(oldest);
    }
    return entry.value;
  };
};

/** @throws SelkieError invalid: a resolver or a name server is unreadable */
export const createAuthority = (options: AuthorityOptions = {}): Authority => {
  for (const text of [...(options.resolvers ?? []), ...Object.values(options.nameServers ?? {}).flat()])
    parseServer(text, 53);
  const elapsed = options.elapsed ?? (() => performance.now());
  const timeout = options.timeout ?? seconds(2);
  const overrides = new Map(
    Object.entries(options.nameServers ?? {}).map(([zone, servers]) => [lowerName(zone), servers] as const),
  );
  const overriddenZones = [...overrides.keys()].filter((zone) => zone !== '');
  const told = (): DelegationOptions => ({
    resolvers: resolversOf(options.resolvers),
    port: options.port ?? 53,
    timeout,
  });
  // 100,000 zones lie on some thousand servers; many domains may lie in one zone.
  const addresses = createMemory<readonly NameServer[]>(hours(1), 10_000, elapsed);
  const zones = createMemory<readonly NameServer[]>(minutes(10), 1_000, elapsed);

  const serversIn = async (zone: string, delegation: DelegationOptions): Promise<readonly NameServer[]> => {
    const reply = await recurse({ name: zone, type: 'NS' }, delegation);
    const names = nsIn(reply.answers, zone);
    const found = await Promise.all(
      names.map((name) => addresses(name, () => located(name, [], delegation.port, delegation))),
    );
    if (names.length === 0)
      throw new SelkieError('unavailable', `The name servers of ${zone} cannot be learned: it shows no NS.`);
    return inReach(zone, found.flat());
  };

  const serversFor = async (name: string): Promise<readonly NameServer[]> => {
    // The root's own name is nothing once its dot is gone.
    const override = deepestZone(name, overriddenZones) ?? (overrides.has('') ? '' : undefined);
    if (override !== undefined) {
      const nameServers = overrides.get(override) ?? [];
      return zones(`${override}.`, () => nameServersOf({ name: override || root, nameServers }, told()));
    }
    const delegation = told();
    const zone = await zoneOf(name, delegation);
    return zones(zone, () => serversIn(zone, delegation));
  };

  const lookAt = async (name: string, chain: number): Promise<readonly ServerAnswer[]> => {
    const answers = await Promise.all(
      (await serversFor(name)).map(
        async (server): Promise<ServerAnswer> =>
          'trouble' in server
            ? { server: server.server, address: 'unknown', answer: { kind: 'failed', why: server.trouble } }
            : {
                server: server.server,
                address: formatEndpoint(server.at),
                answer: await answerOf(server.at, name, timeout),
              },
      ),
    );
    const targets = new Set(
      answers.flatMap(({ answer }) => (answer.kind === 'cname' ? [answer.target] : [])),
    );
    const direct = answers.filter(({ answer }) => answer.kind !== 'cname');
    if (targets.size > 0 && chain >= longestChain)
      throw new SelkieError('unavailable', `${name} is the ${chain}th alias on the way: nobody follows it.`);
    const behind = await Promise.all([...targets].map((target) => lookBehind(target, chain + 1)));
    return [...direct, ...behind.flat()];
  };

  const lookBehind = async (target: string, chain: number): Promise<readonly ServerAnswer[]> => {
    try {
      return await lookAt(target, chain);
    } catch (error) {
      return [{ server: target, address: 'unknown', answer: { kind: 'failed', why: describe(error) } }];
    }
  };

  return { look: (name) => lookAt(lowerName(name), 0) };
};
