// What stands at a name of a zone whose provider cannot be asked: what every authoritative name server says, against what it says
// of a random name beside it, since a wildcard answers for every name (RFC 4592). Asks name servers; changes nothing.
//
// One thing cannot be seen this way: a record of exactly its wildcard's value. It is taken for absent (docs/adr/0013-manual-dns.md).
import { SelkieError } from '../../core/errors.ts';
import { lowerName } from '../../core/names.ts';
import type { FleetZone } from '../../core/policy.ts';
import type { DnsObserver, Randomness, ServerAnswer, TxtSet } from '../../engine/ports.ts';

/** What one server has at exactly the name. */
export interface ServerView {
  readonly server: string;
  readonly address: string;
  /** Why it cannot be told; absent: it is told. */
  readonly failed?: string;
  /** A CNAME reads as a set without a value, which is there and is not ours. Absent: nothing. */
  readonly set?: TxtSet;
}

const parentOf = (name: string): string => name.slice(name.indexOf('.') + 1);

/** A name that a wildcard answers for if it answers for `name`; undefined: none can, since the zone's own name exists. */
const beside = (zone: string, name: string, unused: string): string | undefined => {
  if (name === zone) return undefined;
  if (!name.startsWith('*.')) return `${unused}.${parentOf(name)}`;
  // The wildcard itself: one above it is in its way only where its own parent does not exist (RFC 4592 §3.3.1).
  const owner = parentOf(name);
  return owner === zone ? undefined : `*.${unused}.${parentOf(owner)}`;
};

const textOf = (answer: ServerAnswer['answer'] | undefined): string =>
  answer?.kind === 'txt'
    ? `txt ${answer.set.values.toSorted().join('\n')}`
    : answer?.kind === 'cname'
      ? `cname ${answer.target}`
      : 'none';

const isNothing = ({ answer }: ServerAnswer): boolean =>
  answer.kind === 'no-data' || answer.kind === 'no-such-name';

/**
 * @throws not-found: every server says that it does not serve the zone; unavailable: the servers cannot be learned, or none tells
 *   the zone's SOA
 */
export const viewName = async (
  observer: DnsObserver,
  randomness: Pick<Randomness, 'id'>,
  zone: FleetZone,
  asked: string,
): Promise<readonly ServerView[]> => {
  const [zoneName, name] = [lowerName(zone.name), lowerName(asked)];
  const { answers, negativeTtl, unserved } = await observer.observe(zone, name);
  if (negativeTtl === undefined) {
    const who = answers.map(({ server }) => server).slice(0, 3);
    throw unserved === true
      ? new SelkieError(
          'not-found',
          `zone ${zoneName} is not served by its name servers (${who.join(', ')}): see its delegation, or zones.${zoneName}.nameServers in fleet.yaml`,
        )
      : new SelkieError(
          'unavailable',
          `${zoneName}: none of its name servers (${who.join(', ')}) tells its SOA`,
        );
  }
  const other = beside(zoneName, name, `x${randomness.id().toLowerCase()}`);
  const wild =
    other === undefined || answers.every(isNothing) ? [] : (await observer.observe(zone, other)).answers;
  const byAddress = new Map(wild.map(({ address, answer }) => [address, answer]));
  return answers.map(({ server, address, answer }): ServerView => {
    const at = { server, address };
    if (answer.kind === 'failed') return { ...at, failed: answer.why };
    if (answer.kind !== 'txt' && answer.kind !== 'cname') return at;
    const sibling = byAddress.get(address);
    if (sibling?.kind === 'failed') return { ...at, failed: sibling.why };
    if (textOf(sibling) === textOf(answer)) return at;
    return { ...at, set: answer.kind === 'txt' ? answer.set : { ttl: answer.ttl, values: [] } };
  });
};

const sameValues = (a: TxtSet | undefined, b: TxtSet | undefined): boolean =>
  JSON.stringify(a?.values.toSorted()) === JSON.stringify(b?.values.toSorted());

/**
 * Whether what stands there is what should: the values, and a TTL that is no longer. Panels round it down, and what waits for
 * caches reckons with the one that was asked for.
 */
export const isAs = (there: TxtSet | undefined, wanted: TxtSet | undefined): boolean =>
  sameValues(there, wanted) && (there === undefined || wanted === undefined || there.ttl <= wanted.ttl);

/** What all servers agree on. @throws unavailable where one does not answer, or they differ: then nobody knows what stands there */
export const agreed = (name: string, views: readonly ServerView[]): TxtSet | undefined => {
  const silent = views.find(({ failed }) => failed !== undefined);
  if (silent !== undefined)
    throw new SelkieError(
      'unavailable',
      `${name}: ${silent.server} (${silent.address}) does not answer (${silent.failed}), so nobody knows yet what stands there`,
    );
  const [first, ...rest] = views;
  const other = rest.find(({ set }) => !sameValues(set, first?.set));
  if (other !== undefined)
    throw new SelkieError(
      'unavailable',
      `${name}: ${first?.server} (${first?.address}) and ${other.server} (${other.address}) show different records: one of them lags, or was edited alone`,
    );
  // Were their TTLs to differ, the longest is how long caches may keep it.
  return views.reduce<TxtSet | undefined>(
    (longest, { set }) => (longest === undefined || (set?.ttl ?? 0) > longest.ttl ? set : longest),
    undefined,
  );
};
