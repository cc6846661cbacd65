// The name servers of a zone: those that the operator named, or those that the parent zone delegates to. Only the parent
// tells where the world will ask (RFC 1034 §4.2.1); the parent is found through a recursive resolver, then asked itself.

import { createSocket } from 'node:dgram';
import { isIP, isIPv6 } from 'node:net';
import type { Answer } from 'dns-packet';
import { describe, SelkieError } from '../../core/errors.ts';
import { isDnsName, isWithin, lowerName } from '../../core/names.ts';
import type { FleetZone } from '../../core/policy.ts';
import type { Duration } from '../../core/time.ts';
import { ask, type Endpoint, formatEndpoint, type Question, type Reply } from './wire.ts';

export interface DelegationOptions {
  /** Recursive resolvers, tried in this order. */
  readonly resolvers: readonly Endpoint[];
  /** Where name servers listen unless an override says otherwise: 53. */
  readonly port: number;
  readonly timeout: Duration;
}

/** A name server at one of its addresses; or one that has none, which is trouble to report, not to pass over. */
export type NameServer =
  | { readonly server: string; readonly at: Endpoint }
  | { readonly server: string; readonly trouble: string };

/**
 * Every address of every name server that this machine can route to. Never empty.
 * @throws unavailable where the delegation cannot be learned, or none of it can be reached; invalid where an override is unreadable
 */
export const nameServersOf = async (
  zone: Pick<FleetZone, 'name' | 'nameServers'>,
  options: DelegationOptions,
): Promise<readonly NameServer[]> => {
  const known =
    zone.nameServers === undefined || zone.nameServers.length === 0
      ? await delegated(lowerName(zone.name), options)
      : (await Promise.all(zone.nameServers.map((text) => overridden(text, options)))).flat();
  return inReach(zone.name, known);
};

/** Those that this machine can route to, each address once. @throws unavailable where there is none */
export const inReach = async (zone: string, known: readonly NameServer[]): Promise<readonly NameServer[]> => {
  const seen = new Set<string>();
  const usable: NameServer[] = [];
  for (const found of known) {
    if ('at' in found) {
      const place = formatEndpoint(found.at);
      if (seen.has(place) || !(await isRoutable(found.at.address))) continue;
      seen.add(place);
    }
    usable.push(found);
  }
  if (usable.length === 0)
    throw new SelkieError(
      'unavailable',
      `This machine has no route to any name server of ${zone} (${known.map((k) => k.server).join(', ')}).`,
    );
  return usable;
};

/** `host`, `host:port`, `address`, `address:port`, `[IPv6]`, `[IPv6]:port`. @throws invalid */
export const parseServer = (text: string, port: number): { host: string; port: number } => {
  const [, bracketed, behind] = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text) ?? [];
  const [, plain, plainPort] =
    isIP(text) === 0 ? (/^([^:]+)(?::(\d{1,5}))?$/.exec(text) ?? []) : [text, text];
  const host = bracketed ?? plain ?? '';
  const number = Number(behind ?? plainPort ?? port);
  const isReadable =
    bracketed === undefined ? isIP(host) !== 0 || isDnsName(lowerName(host)) : isIPv6(bracketed);
  // "10.0.0.300" passes as a name, and nobody means it.
  if (!isReadable || number < 1 || number > 65_535 || (isIP(host) === 0 && /(^|\.)\d+$/.test(host)))
    throw new SelkieError(
      'invalid',
      `"${text}" is no name server: write host, address or address:port, IPv6 in brackets where a port follows.`,
      { field: 'nameServers' },
    );
  return { host: isIP(host) === 0 ? lowerName(host) : host, port: number };
};

const overridden = async (text: string, options: DelegationOptions): Promise<NameServer[]> => {
  const { host, port } = parseServer(text, options.port);
  return isIP(host) === 0
    ? await located(host, [], port, options)
    : [{ server: text, at: { address: host, port } }];
};

/** A name server's addresses: the parent's glue and what the world resolves, since resolvers use either. */
export const located = async (
  server: string,
  glue: readonly string[],
  port: number,
  options: DelegationOptions,
): Promise<NameServer[]> => {
  const results = await Promise.allSettled(
    (['A', 'AAAA'] as const).map((type) => recurse({ name: server, type }, options)),
  );
  const resolved = results.flatMap((result) =>
    result.status === 'fulfilled' ? result.value.answers.flatMap(addressIn) : [],
  );
  const addresses = [...new Set([...glue, ...resolved])];
  if (addresses.length > 0) return addresses.map((address) => ({ server, at: { address, port } }));
  const refused = results.find((result) => result.status === 'rejected');
  return [{ server, trouble: refused === undefined ? 'its name has no address' : describe(refused.reason) }];
};

const addressIn = (record: Answer): string[] =>
  record.type === 'A' || record.type === 'AAAA' ? [record.data] : [];

/** @throws unavailable */
export const recurse = async (question: Question, options: DelegationOptions): Promise<Reply> => {
  const failures: string[] = [];
  for (const resolver of [...options.resolvers, ...options.resolvers]) {
    try {
      const reply = await ask(resolver, question, { timeout: options.timeout, recursive: true });
      if (reply.rcode === 'NOERROR' || reply.rcode === 'NXDOMAIN') return reply;
      failures.push(`${formatEndpoint(resolver)}: ${reply.rcode}`);
    } catch (error) {
      failures.push(`${formatEndpoint(resolver)}: ${describe(error)}`);
    }
  }
  throw new SelkieError(
    'unavailable',
    `No resolver tells ${question.type} of ${question.name} (${[...new Set(failures)].join('; ') || 'none is configured'}).`,
  );
};

export const root = '.';
const isBelow = (name: string, ancestor: string): boolean =>
  name !== ancestor && (ancestor === root || isWithin(name, ancestor));
const parentOf = (name: string): string => (name.includes('.') ? name.slice(name.indexOf('.') + 1) : root);
const ownerOf = (record: Answer): string => lowerName(record.name) || root;

/** The zone that holds `name`: its SOA comes with the answer, or with the denial (RFC 2308 §3). */
export const zoneOf = async (name: string, options: DelegationOptions): Promise<string> => {
  for (let at = name; ; at = parentOf(at)) {
    const reply = await recurse({ name: at, type: 'SOA' }, options);
    const apex = [...reply.answers, ...reply.authorities]
      .filter((record) => record.type === 'SOA')
      .map(ownerOf)
      // Behind a CNAME comes the SOA of its target's zone: then the name above tells.
      .find((owner) => owner === root || isWithin(name, owner));
    if (apex !== undefined) return apex;
    if (at === root)
      throw new SelkieError('unavailable', `The zone of ${name} cannot be found: no SOA covers it.`);
  }
};

/** The zone right above `zone`: the SOA that covers its parent name. */
const parentZone = async (zone: string, options: DelegationOptions): Promise<string> => {
  const name = parentOf(zone);
  const reply = await recurse({ name, type: 'SOA' }, options);
  const owner = [...reply.answers, ...reply.authorities]
    .filter((record) => record.type === 'SOA')
    .map(ownerOf)
    .find((apex) => apex === name || isBelow(name, apex));
  if (owner === undefined)
    throw new SelkieError('unavailable', `The zone above ${zone} cannot be found: no SOA covers ${name}.`);
  return owner;
};

export const nsIn = (records: readonly Answer[], owner: string): string[] =>
  records.flatMap((record) =>
    record.type === 'NS' && ownerOf(record) === owner ? [lowerName(record.data)] : [],
  );

/** What a referral gives beside the names, as far as that server may say it: addresses of names below `zone` (RFC 9471). */
const glueFor = (server: string, reply: Reply, zone: string): string[] =>
  isBelow(server, zone)
    ? reply.additionals.flatMap((record) => (ownerOf(record) === server ? addressIn(record) : []))
    : [];

const delegated = async (zone: string, options: DelegationOptions): Promise<NameServer[]> => {
  let above = await parentZone(zone, options);
  const told = await recurse({ name: above, type: 'NS' }, options);
  let servers: { name: string; glue: string[] }[] = nsIn(told.answers, above).map((name) => ({
    name,
    glue: [],
  }));
  // A referral may lead to a zone in between; each one is longer than the last, so the labels bound the walk.
  for (;;) {
    const { names, reply, owner } = await referral(zone, above, servers, options);
    const next = names.map((name) => ({ name, glue: glueFor(name, reply, above) }));
    if (owner === zone)
      return (
        await Promise.all(next.map(({ name, glue }) => located(name, glue, options.port, options)))
      ).flat();
    above = owner;
    servers = next;
  }
};

/** Asks the servers of `above` in turn for the delegation of `zone`, until one tells. */
const referral = async (
  zone: string,
  above: string,
  servers: readonly { name: string; glue: string[] }[],
  options: DelegationOptions,
): Promise<{ owner: string; names: string[]; reply: Reply }> => {
  const failures: string[] = [];
  for (const { name, glue } of servers) {
    for (const place of await located(name, glue, options.port, options)) {
      if ('trouble' in place) {
        failures.push(`${name}: ${place.trouble}`);
        continue;
      }
      if (!(await isRoutable(place.at.address))) continue;
      try {
        const reply = await ask(place.at, { name: zone, type: 'NS' }, { timeout: options.timeout });
        // Where one server has parent and child, it answers from the child and its parent side cannot be seen.
        const own = reply.authoritative ? nsIn(reply.answers, zone) : [];
        if (own.length > 0) return { owner: zone, names: own, reply };
        const owner = reply.authorities
          .filter((record) => record.type === 'NS')
          .map(ownerOf)
          .find((cut) => isBelow(cut, above) && (cut === zone || isBelow(zone, cut)));
        if (!reply.authoritative && owner !== undefined)
          return { owner, names: nsIn(reply.authorities, owner), reply };
        failures.push(`${name}: ${reply.rcode === 'NOERROR' ? 'no delegation' : reply.rcode}`);
      } catch (error) {
        failures.push(`${name}: ${describe(error)}`);
      }
    }
  }
  throw new SelkieError(
    'unavailable',
    `The delegation of ${zone} cannot be learned from the servers of ${above} (${[...new Set(failures)].join('; ') || 'no server is in reach'}). Where the zone is not delegated, list zones[].nameServers.`,
  );
};

const isLoopback = (address: string): boolean => /^127\.|^::1$|^::ffff:127\./i.test(address);

/** A global IPv6 address (2000::/3) answers no packet that comes from a local one (fc00::/7, fe80::/10, ::1). */
export const isFitSource = (source: string, target: string): boolean =>
  !(isIPv6(target) && /^[23]/.test(target)) || !/^f[cde]|^::1$/i.test(source);

/** Whether this machine has a route to `address`: connecting a UDP socket sends nothing, and tells. */
export const isRoutable = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    if (isLoopback(address)) return resolve(true);
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    const end = (routable: boolean): void => {
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.close();
      resolve(routable);
    };
    socket.on('error', () => end(false));
    socket.on('connect', () => {
      end(isFitSource(socket.address().address, address));
    });
    socket.connect(53, address);
  });
