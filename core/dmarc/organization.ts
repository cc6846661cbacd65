// Where an organisation ends, by the tree walk of RFC 9989 §4.10: DMARC records on the way from a name to the root say so. And
// whether reports may go to a mailbox of another organisation (RFC 9990 §4). Pure: generators that ask questions
// (core/spf/lookups.ts says how).

import { isDnsName } from '../names.ts';
import type { Asking } from '../spf/lookups.ts';
import { type DmarcRecord, isDmarc, readDmarc } from './record.ts';

/** RFC 9989 §4.10: a name of so many labels or more is shortened to one less, so that there are eight questions at most. */
const shortened = 8;

/** The names that are asked, from the domain itself to the root. */
export const walkOf = (domain: string): readonly string[] => {
  const labels = domain.split('.');
  const above = labels.length < shortened ? labels.slice(1) : labels.slice(1 - shortened);
  return [domain, ...above.map((_, index) => above.slice(index).join('.'))];
};

/** The one DMARC record at a domain; several, or none, are none: RFC 9989 §4.10 step 2. */
function* policyAt(domain: string): Asking<DmarcRecord | undefined> {
  const name = `_dmarc.${domain}`;
  if (!isDnsName(name)) return undefined;
  const records = (yield { name, type: 'TXT' }).filter(isDmarc);
  const [only] = records;
  return only === undefined || records.length > 1 ? undefined : readDmarc(only).record;
}

/** A record that is about to stand at a domain: the walk goes as it will then. */
export interface Planned {
  readonly domain: string;
  readonly record: DmarcRecord;
}

/** RFC 9989 §4.10.2. */
export function* organizationalDomain(domain: string, planned?: Planned): Asking<string> {
  let shortest: string | undefined;
  for (const name of walkOf(domain)) {
    const record = name === planned?.domain ? planned.record : yield* policyAt(name);
    if (record?.psd === 'n') return name;
    // A public suffix that sends mail is an organisation of its own; below one, the organisation is one label deeper.
    if (record?.psd === 'y')
      return domain
        .split('.')
        .slice(-name.split('.').length - (name === domain ? 0 : 1))
        .join('.');
    if (record !== undefined) shortest = name;
  }
  return shortest ?? domain;
}

/** Where a report receiver says that it takes reports of `domain`: RFC 9990 §4. */
export const authorizationName = (domain: string, host: string): string => `${domain}._report._dmarc.${host}`;

/** What it says there. */
export const authorization = 'v=DMARC1';

/** Whether reports of a domain with this record to a mailbox at `host` need one: they go to another organisation. */
export function* needsAuthorization(planned: Planned, host: string): Asking<boolean> {
  const { domain } = planned;
  if (host === domain) return false;
  return (yield* organizationalDomain(host, planned)) !== (yield* organizationalDomain(domain, planned));
}

/** Whether the receiver says that it takes them. */
export function* isAuthorized(domain: string, host: string): Asking<boolean> {
  const name = authorizationName(domain, host);
  if (!isDnsName(name)) return false;
  return (yield { name, type: 'TXT' }).some(isDmarc);
}
