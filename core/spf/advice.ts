// What is allowed in an SPF record and yet not wise. Pure: sentences for people.

import type { SpfCount } from './lookups.ts';
import { evaluated, mostLookups, mostVoids } from './lookups.ts';
import { printSpf, printTerm, type SpfRecord } from './record.ts';

/** RFC 7208 §3.4: with this many octets the answer fits in a UDP packet beside other records. */
const wiseLength = 450;

export const spfAdvice = (
  record: SpfRecord,
  count?: Pick<SpfCount, 'lookups' | 'voids' | 'strictVoids'>,
): readonly string[] => {
  const { terms } = record;
  const used = evaluated(record);
  const all = used.find((term) => term.is === 'mechanism' && term.name === 'all');
  const idle = terms.filter(
    (term) => !used.includes(term) && (term.is === 'mechanism' || term.name === 'redirect'),
  );
  const length = printSpf(record).length;
  return [
    ...(all !== undefined && all.is === 'mechanism' && all.qualifier === '+'
      ? ['SPF: +all lets every host of the world send as this domain; end it with ~all or -all']
      : []),
    ...(all === undefined && !used.some((term) => term.is === 'modifier')
      ? [
          'SPF: it has no all at its end, so it says nothing of other hosts (neutral); end it with ~all or -all',
        ]
      : []),
    ...(idle.length > 0
      ? [
          `SPF: ${idle.map(printTerm).join(' ')} is never looked at, because all decides before it (RFC 7208 §5.1)`,
        ]
      : []),
    // RFC 7208 §5.5
    ...(terms.some((term) => term.is === 'mechanism' && term.name === 'ptr')
      ? [
          'SPF: ptr is slow and unreliable, and receivers may leave it out (RFC 7208 §5.5); name addresses in its place',
        ]
      : []),
    ...(length > wiseLength
      ? [
          `SPF: its ${length} characters may not fit in one DNS packet; up to ${wiseLength} do (RFC 7208 §3.4)`,
        ]
      : []),
    ...(count !== undefined && count.lookups > mostLookups - 2 && count.lookups <= mostLookups
      ? [
          `SPF: it makes ${count.lookups} of ${mostLookups} DNS lookups; one more that an included domain adds may break it`,
        ]
      : []),
    ...(count !== undefined && count.strictVoids > mostVoids && count.voids <= mostVoids
      ? [
          `SPF: ${count.strictVoids} of its lookups find no address for a sender by IPv4, or by IPv6; strict receivers take ${mostVoids} (RFC 7208 §4.6.4)`,
        ]
      : []),
  ];
};
