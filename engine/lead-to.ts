// The key record's name, where the record itself lies in another zone: every name server on the way must lead there. A copy of
// the record in place of a CNAME is refused: it would go on saying that the key is good when the record says that it is revoked.

import { SelkieError } from '../core/errors.ts';
import { recordName } from '../core/key/row.ts';
import { keyRecordName } from '../core/names.ts';
import type { Duration } from '../core/time.ts';
import type { ServerAnswer } from './ports.ts';
import type { Work } from './work.ts';

const said = ({ answer }: ServerAnswer): string => {
  switch (answer.kind) {
    case 'txt':
      return 'shows a TXT record instead';
    case 'cname':
      return `leads to ${answer.target}`;
    case 'failed':
      return `does not answer (${answer.why})`;
    default:
      return 'shows nothing';
  }
};

/** What the zone of the key record's name must have, as lines of a zone file. */
const missing = ({ row }: Work, asked: string, name: string): string => {
  const { domain, cname } = row;
  const once = `_domainkey.${domain}. DNAME _domainkey.${domain}.${cname}.`;
  return name === `${asked}.${cname}`
    ? `add to the zone of ${domain}, for all selectors, "${once}", or for this one "${asked}. CNAME ${name}."`
    : `add to the zone of ${domain} "${asked}. CNAME ${name}."`;
};

/**
 * The negative TTLs of the zones on the way to `name` (and how long a wildcard's answer for the key record's name may be kept);
 * none where the record lies at its own name.
 * @throws unavailable: it does not lead there on every server; the sentence says what to add to which zone
 */
export const leadTo = async (work: Work, selector: string, name: string): Promise<readonly Duration[]> => {
  const { world, row, zone } = work;
  const asked = keyRecordName(selector, row.domain);
  if (asked === name) return [];
  const { observer, randomness } = world;
  if (observer.follow === undefined)
    throw new SelkieError(
      'unavailable',
      `${asked}: CNAMEs are not followed here, and the record is at ${name}`,
    );
  const seen = await observer.follow(asked, zone);
  const others = seen.answers.filter(({ answer }) => answer.kind !== 'cname' || answer.target !== name);
  if (others.length > 0 || seen.answers.length === 0) {
    const named = others.slice(0, 3).map((other) => `${other.server} (${other.address}) ${said(other)}`);
    throw new SelkieError(
      'unavailable',
      `${asked} is to lead to ${name}: ${missing(work, asked, name)}; ${others.length} of ${seen.answers.length} servers do not show that: ${named.join('; ')}`,
    );
  }
  // Whoever asked too early may hold a wildcard's answer in place of a denial, and for that one's TTL (RFC 4592).
  const unused = `x${randomness.id().toLowerCase()}`;
  const beside = await observer.follow(keyRecordName(unused, row.domain), zone);
  // A DNAME's answer leads to where the record was to come: what is kept of it does no harm.
  const right = recordName(row, unused);
  return [
    ...(seen.negativeTtl === undefined ? [] : [seen.negativeTtl]),
    ...beside.answers.flatMap(({ answer }) =>
      answer.kind === 'txt'
        ? answer.set.ttl
        : answer.kind === 'cname' && answer.target !== right
          ? answer.ttl
          : [],
    ),
  ];
};
