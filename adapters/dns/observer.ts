// Sees a zone as the world does: asks each of its authoritative name servers, at each address, and never a cache.

import { getServers } from 'node:dns';
import type { Answer } from 'dns-packet';
import { describe, SelkieError } from '../../core/errors.ts';
import { lowerName } from '../../core/names.ts';
import type { FleetZone } from '../../core/policy.ts';
import { type Duration, longest, milliseconds, minutes, seconds } from '../../core/time.ts';
import type { DnsObserver, ServerAnswer } from '../../engine/ports.ts';
import { type DelegationOptions, type NameServer, nameServersOf, parseServer, zoneOf } from './delegation.ts';
import { createFollow } from './follow.ts';
import { ask, type Endpoint, formatEndpoint, type Question, type Reply } from './wire.ts';

export interface DnsObserverOptions {
  /** Recursive resolvers, `address` or `address:port`, through which parents and addresses are found; by default the system's. */
  readonly resolvers?: readonly string[];
  /** Where name servers listen whose address comes without a port; by default 53. */
  readonly port?: number;
  /** For one try; by default 2 s. A question has three: two by UDP, the last by TCP. */
  readonly timeout?: Duration;
  /** How long a delegation is believed before it is learned again; by default 1 minute. */
  readonly delegationAge?: Duration;
  /** Milliseconds from any origin, never backwards. */
  readonly elapsed?: () => number;
}

export const createDnsObserver = (options: DnsObserverOptions = {}): DnsObserver => {
  const timeout = options.timeout ?? seconds(2);
  const elapsed = options.elapsed ?? (() => performance.now());
  const learned = new Map<string, { at: number; servers: Promise<readonly NameServer[]> }>();

  const told = (): DelegationOptions => ({
    resolvers: resolversOf(options.resolvers),
    port: options.port ?? 53,
    timeout,
  });

  const serversOf = (zone: FleetZone): Promise<readonly NameServer[]> => {
    const key = JSON.stringify([zone.name, zone.nameServers]);
    const known = learned.get(key);
    if (known !== undefined && elapsed() - known.at < (options.delegationAge ?? minutes(1)))
      return known.servers;
    const servers = nameServersOf(zone, told());
    const entry = { at: elapsed(), servers };
    learned.set(key, entry);
    // A failure is not kept: the next call tries again.
    servers.catch(() => {
      if (learned.get(key) === entry) learned.delete(key);
    });
    return servers;
  };

  const observer: DnsObserver = {
    observe: async (zone, name) => {
      const servers = await serversOf(zone);
      const seen = await Promise.all(
        servers.map(async (server) => {
          if ('trouble' in server)
            return {
              answer: {
                server: server.server,
                address: 'unknown',
                answer: { kind: 'failed', why: server.trouble },
              },
            } satisfies Seen;
          const [answer, soa] = await Promise.all([
            answerOf(server.at, name, timeout),
            soaOf(server.at, zone.name, timeout),
          ]);
          return {
            answer: { server: server.server, address: formatEndpoint(server.at), answer },
            ...soa,
          } satisfies Seen;
        }),
      );
      const [first, ...rest] = seen.flatMap((one: Seen) =>
        one.negativeTtl === undefined ? [] : [one.negativeTtl],
      );
      const unserved = seen.every((one: Seen) => one.unserved === true);
      return {
        answers: seen.map(({ answer }) => answer),
        ...(unserved ? { unserved } : {}),
        ...(first === undefined ? {} : { negativeTtl: longest(first, ...rest) }),
      };
    },
  };
  return {
    ...observer,
    follow: createFollow({ observe: observer.observe, zoneOf: (name) => zoneOf(name, told()) }),
  };
};

interface Seen {
  readonly answer: ServerAnswer;
  readonly negativeTtl?: Duration;
  /** It answered, and has no such zone. */
  readonly unserved?: true;
}

export const resolversOf = (given: readonly string[] = getServers()): Endpoint[] =>
  given.map((text) => {
    const { host, port } = parseServer(text, 53);
    return { address: host, port };
  });

/** Three tries: packets get lost, and where UDP is filtered or fragments are, TCP may pass. @throws unavailable */
const insist = async (server: Endpoint, question: Question, timeout: Duration): Promise<Reply> => {
  let last = '';
  for (const _ of ['first', 'second']) {
    try {
      const reply = await ask(server, question, { timeout });
      // "Not now" is worth another try; every other answer is one.
      if (reply.rcode !== 'SERVFAIL') return reply;
      last = `it says ${reply.rcode}; `;
    } catch (error) {
      last = `${describe(error)}; `;
    }
  }
  try {
    return await ask(server, question, { timeout, tcp: true });
  } catch (error) {
    throw new SelkieError('unavailable', `${last}${describe(error)}`, { cause: error });
  }
};

/** What one server says of the TXT records at `name`. */
export const answerOf = async (
  server: Endpoint,
  name: string,
  timeout: Duration,
): Promise<ServerAnswer['answer']> => {
  try {
    return classify(await insist(server, { name, type: 'TXT' }, timeout), lowerName(name));
  } catch (error) {
    return { kind: 'failed', why: describe(error) };
  }
};

const classify = (reply: Reply, name: string): ServerAnswer['answer'] => {
  if (reply.rcode !== 'NOERROR' && reply.rcode !== 'NXDOMAIN')
    return { kind: 'failed', why: `it says ${reply.rcode}` };
  const cut = reply.authorities.find((record) => record.type === 'NS');
  if (!reply.authoritative)
    return {
      kind: 'failed',
      why:
        cut === undefined || reply.answers.length > 0
          ? 'its answer is not authoritative'
          : `it is not authoritative and refers to the servers of ${lowerName(cut.name)}`,
    };
  const own = reply.answers.filter((record) => lowerName(record.name) === name);
  // Before NXDOMAIN, which speaks of the end of a CNAME chain: RFC 6604 §3.
  const alias = own.find((record) => record.type === 'CNAME');
  if (alias?.type === 'CNAME')
    return { kind: 'cname', target: lowerName(alias.data), ttl: seconds(alias.ttl ?? 0) };
  if (reply.rcode === 'NXDOMAIN') return { kind: 'no-such-name' };
  const texts = own.filter((record) => record.type === 'TXT');
  if (texts.length === 0) return { kind: 'no-data' };
  return {
    kind: 'txt',
    set: {
      // One RRset has one TTL (RFC 2181 §5.2); were they to differ, the longest is how long caches may keep it.
      ttl: seconds(Math.max(...texts.map((record) => record.ttl ?? 0))),
      // The order in an RRset means nothing: sorted, equal sets are equal.
      values: texts.map(joined).sort(),
    },
  };
};

/** Joined with nothing between: RFC 6376 §3.6.2.2. Each octet becomes one char. */
export const joined = (record: Answer): string => {
  if (record.type !== 'TXT') return '';
  const strings = Array.isArray(record.data) ? record.data : [record.data];
  return strings.map((s) => (typeof s === 'string' ? s : s.toString('latin1'))).join('');
};

/** min(SOA TTL, MINIMUM), RFC 2308 §5, where this server tells; or that it does not serve the zone ("lame", RFC 9499 §7). */
const soaOf = async (
  server: Endpoint,
  zone: string,
  timeout: Duration,
): Promise<Pick<Seen, 'negativeTtl' | 'unserved'>> => {
  try {
    const reply = await insist(server, { name: zone, type: 'SOA' }, timeout);
    const soa = reply.answers.find(
      (record) => record.type === 'SOA' && lowerName(record.name) === lowerName(zone),
    );
    if (reply.authoritative && soa?.type === 'SOA')
      return { negativeTtl: milliseconds(Math.min(soa.ttl ?? 0, soa.data.minimum ?? 0) * seconds(1)) };
    return reply.rcode === 'SERVFAIL' ? {} : { unserved: true };
  } catch {
    return {};
  }
};
