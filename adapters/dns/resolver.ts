// Resolves names as receivers of mail do: through recursive resolvers, and so through caches. A zone of ours with name servers
// of its own choice may not be in the world's DNS: its names are asked there.

import { describe, SelkieError } from '../../core/errors.ts';
import { lowerName } from '../../core/names.ts';
import type { FleetZone } from '../../core/policy.ts';
import { zoneHolding } from '../../core/policy-records/wanted.ts';
import type { DnsQuestion } from '../../core/spf/lookups.ts';
import { type Duration, seconds } from '../../core/time.ts';
import type { Resolver } from '../../engine/ports.ts';
import { type DelegationOptions, nameServersOf, recurse } from './delegation.ts';
import { joined, resolversOf } from './observer.ts';
import { ask, type Reply } from './wire.ts';

export interface ResolverOptions {
  /** Recursive resolvers, `address` or `address:port`; by default the system's. */
  readonly resolvers?: readonly string[];
  /** The zones of the fleet. */
  readonly zones?: ReadonlyMap<string, FleetZone>;
  /** For one try; by default 2 s. */
  readonly timeout?: Duration;
}

/** RFC 1034 §5.2.2 has resolvers notice loops. */
const longestChain = 8;

/** Asks the servers of a zone in turn, until one answers. @throws unavailable */
const askZone = async (
  zone: FleetZone,
  question: DnsQuestion,
  options: DelegationOptions,
): Promise<Reply> => {
  const failures: string[] = [];
  for (const server of await nameServersOf(zone, options)) {
    if ('trouble' in server) {
      failures.push(server.trouble);
      continue;
    }
    try {
      const reply = await ask(server.at, question, { timeout: options.timeout });
      if (reply.rcode === 'NOERROR' || reply.rcode === 'NXDOMAIN') return reply;
      failures.push(`${server.server}: ${reply.rcode}`);
    } catch (error) {
      failures.push(`${server.server}: ${describe(error)}`);
    }
  }
  throw new SelkieError(
    'unavailable',
    `No name server of ${zone.name} tells ${question.type} of ${question.name} (${failures.join('; ')}).`,
  );
};

const valuesOf = (reply: Reply, type: DnsQuestion['type']): readonly string[] =>
  reply.answers.flatMap((record) => {
    if (record.type !== type) return [];
    if (record.type === 'TXT') return [joined(record)];
    if (record.type === 'A' || record.type === 'AAAA') return [record.data];
    // RFC 7505: a null MX names no exchange.
    if (record.type === 'MX') return record.data.exchange === '.' ? [] : [lowerName(record.data.exchange)];
    return [];
  });

export const createResolver = (options: ResolverOptions = {}): Resolver => {
  const told = (): DelegationOptions => ({
    resolvers: resolversOf(options.resolvers),
    port: 53,
    timeout: options.timeout ?? seconds(2),
  });
  const resolve = async (question: DnsQuestion, chain: number): Promise<readonly string[]> => {
    const name = lowerName(question.name);
    const zones = options.zones ?? new Map<string, FleetZone>();
    const zone = zones.get(zoneHolding(name, zones) ?? '');
    if (zone?.nameServers === undefined)
      return valuesOf(await recurse({ ...question, name }, told()), question.type);
    const reply = await askZone(zone, { ...question, name }, told());
    const alias = reply.answers.find((record) => record.type === 'CNAME' && lowerName(record.name) === name);
    if (alias?.type !== 'CNAME') return valuesOf(reply, question.type);
    if (chain >= longestChain)
      throw new SelkieError('unavailable', `${name} is the ${chain}th alias on the way: nobody follows it.`);
    return resolve({ name: alias.data, type: question.type }, chain + 1);
  };
  return { resolve: (question) => resolve(question, 0) };
};
