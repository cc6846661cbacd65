// What DNS shows of a domain, from where it counts: each authoritative name server of its record zone, the servers of any other
// name, and the recursive resolvers that receivers ask. Reads DNS and nothing else.

import { getServers, promises } from 'node:dns';
import { isIPv6 } from 'node:net';
import { type Authority, createAuthority } from '../../adapters/dns/authority.ts';
import { type NameServer, nameServersOf } from '../../adapters/dns/delegation.ts';
import { answerOf, createDnsObserver, resolversOf } from '../../adapters/dns/observer.ts';
import { ask, type Endpoint, formatEndpoint, type Reply } from '../../adapters/dns/wire.ts';
import { isWithin } from '../../core/names.ts';
import { type Duration, milliseconds, seconds } from '../../core/time.ts';
import type { Observation, ServerAnswer } from '../../engine/ports.ts';

export interface ViewOptions {
  /** The record zone, and its name servers where the fleet names them. */
  readonly zone: { readonly name: string; readonly nameServers?: readonly string[] };
  /** `address` or `address:port`; absent: the system's. */
  readonly resolvers?: readonly string[];
  /** For one try; by default 2 s. */
  readonly timeout?: Duration;
}

export type Size = Pick<Reply, 'bytes' | 'transport'>;

export interface Shown extends ServerAnswer {
  /** Of the server's answer to a question with EDNS; absent where it gave none. */
  readonly size?: Size;
}

/** As mailauth asks. Rejects with the codes of node:dns. */
export type MailResolver = (name: string, type: string) => Promise<string[][]>;

export interface DnsView {
  readonly zone: string;
  /** What each address of each name server of the record zone shows of the TXT records at a name in it. Never empty. */
  inZone(name: string): Promise<readonly Shown[]>;
  /** The same of any name, at the servers of whatever zone it is in. */
  readonly look: Authority['look'];
  /** Where a name leads that is not in the record zone: its CNAMEs, followed into it. */
  follow(name: string): Promise<Observation>;
  /** The TXT values that the resolvers have at a name; rejects with the codes of node:dns. */
  recursive(name: string): Promise<readonly string[]>;
  /** `192.0.2.53`, for a sentence. */
  readonly resolvers: string;
  /**
   * As receivers see it: through the resolvers. Where the fleet names the record zone's servers and no resolver was named, names
   * in that zone are asked of them: no resolver need know it.
   */
  readonly resolve: MailResolver;
}

const tries = 2;

const resolverAt = (endpoints: readonly Endpoint[], timeout: Duration): promises.Resolver => {
  const resolver = new promises.Resolver({ timeout, tries });
  resolver.setServers(
    endpoints.map(({ address, port }) => `${isIPv6(address) ? `[${address}]` : address}:${port}`),
  );
  return resolver;
};

const sizeAt = async (at: Endpoint, name: string, timeout: Duration): Promise<Size | undefined> => {
  try {
    const { bytes, transport } = await ask(at, { name, type: 'TXT' }, { timeout });
    return { bytes, transport };
  } catch {
    // Why it does not answer is told by its answer.
    return undefined;
  }
};

const shownAt = async (server: NameServer, name: string, timeout: Duration): Promise<Shown> => {
  if ('trouble' in server)
    return { server: server.server, address: 'unknown', answer: { kind: 'failed', why: server.trouble } };
  const [answer, size] = await Promise.all([
    answerOf(server.at, name, timeout),
    sizeAt(server.at, name, timeout),
  ]);
  return {
    server: server.server,
    address: formatEndpoint(server.at),
    answer,
    ...(size === undefined ? {} : { size }),
  };
};

/** @throws invalid: a resolver or a name server is unreadable */
export const openView = ({ zone, resolvers, timeout = seconds(2) }: ViewOptions): DnsView => {
  const endpoints = resolversOf(resolvers);
  const { name: apex, nameServers } = zone;
  const named = nameServers !== undefined && nameServers.length > 0;
  const servers = (): Promise<readonly NameServer[]> =>
    nameServersOf(zone, { resolvers: endpoints, port: 53, timeout });
  const told = resolvers === undefined ? {} : { resolvers };
  const authority = createAuthority({
    ...told,
    timeout,
    ...(named ? { nameServers: { [apex]: nameServers } } : {}),
  });
  const observer = createDnsObserver({ ...told, timeout, delegationAge: milliseconds(60_000) });
  const recursive = resolverAt(endpoints, timeout);
  let own: Promise<promises.Resolver> | undefined;
  const ownResolver = (): Promise<promises.Resolver> => {
    own ??= servers().then((all) =>
      resolverAt(
        all.flatMap((server) => ('at' in server ? [server.at] : [])),
        timeout,
      ),
    );
    return own;
  };
  return {
    zone: apex,
    inZone: async (name) => Promise.all((await servers()).map((server) => shownAt(server, name, timeout))),
    look: authority.look,
    follow: async (name) => {
      const follow = observer.follow;
      return follow === undefined ? { answers: [] } : follow(name, { ...zone, id: '' });
    },
    recursive: async (name) => (await recursive.resolveTxt(name)).map((strings) => strings.join('')),
    resolvers: (resolvers ?? getServers()).join(', '),
    resolve: async (name, type) => {
      const asked =
        named && resolvers === undefined && isWithin(name, apex) ? await ownResolver() : recursive;
      // What it gives for types other than TXT, mailauth knows; its declared type only speaks of these.
      return (await asked.resolve(name, type)) as string[][];
    },
  };
};

const absent: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA']);

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** Whether node:dns says that there is nothing, which is an answer. */
export const isAbsent = (error: unknown): boolean => absent.has(codeOf(error));

const words: Readonly<Record<string, string>> = {
  ETIMEOUT: 'no answer in time',
  ECONNREFUSED: 'nothing listens there',
  ESERVFAIL: 'it says SERVFAIL',
  EREFUSED: 'it says REFUSED',
};

/** Why node:dns got no answer, for a sentence. */
export const dnsTrouble = (error: unknown): string => {
  const code = codeOf(error);
  return words[code] ?? (code === '' ? String(error) : code);
};

/** `dig` with which a person sees what was seen. @param address `192.0.2.1#53` */
export const digAt = (address: string, name: string, type = 'TXT'): string => {
  const [host = '', port = '53'] = address.split('#');
  return `dig @${host}${port === '53' ? '' : ` -p ${port}`} +norecurse ${type} ${name}`;
};
