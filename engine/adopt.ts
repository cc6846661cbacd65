// Adoption: the records of keys that signed before Selkie came are listed at the provider and seen on every name server;
// then, in one transaction, their selectors and record sets are ours and the pool's hosts are told to sign with them.
// Nothing in DNS is changed. Where one of the records is not as it should be, none of the keys is adopted.

import { hasCode, SelkieError } from '../core/errors.ts';
import { adopted, adoptionFault, type FoundKey } from '../core/key/adoption.ts';
import { recordName } from '../core/key/row.ts';
import type { AdoptedKey } from '../core/policy.ts';
import { longest, milliseconds } from '../core/time.ts';
import { leadTo } from './lead-to.ts';
import { everyServer, showsExactly } from './prove.ts';
import type { Work } from './work.ts';

/** @throws unavailable, saying what stands there instead */
const find = async (work: Work, key: AdoptedKey): Promise<FoundKey> => {
  const { world, row, zone } = work;
  const name = key.record ?? recordName(row, key.selector);
  const set = await world.writer.lookup(zone, name);
  const [value] = set?.values ?? [];
  const fault = adoptionFault(key, set?.values ?? []);
  if (fault !== undefined || set === undefined || value === undefined)
    throw new SelkieError(
      'unavailable',
      `${name} in zone ${zone.name} (${zone.id}): ${fault}; nothing is adopted before fleet.yaml and this record agree`,
    );
  const seen = await world.observer.observe(zone, name);
  everyServer(name, seen, showsExactly(value));
  const onTheWay = await leadTo(work, key.selector, name);
  return {
    key,
    ...(key.record === undefined ? {} : { name: key.record }),
    value,
    ttl: set.ttl,
    servers: seen.answers.length,
    negativeTtl: longest(seen.negativeTtl ?? milliseconds(0), ...onTheWay),
  };
};

/** @throws unavailable: a record is not as it should be; exists: a selector was used by an earlier key */
export const adopt = async (work: Work): Promise<void> => {
  const { world, row } = work;
  const { domain, pool } = row;
  const found: FoundKey[] = [];
  for (const key of world.fleet.domains.get(domain)?.adopted ?? []) found.push(await find(work, key));
  const [rotation, at] = [world.randomness.id(), work.now()];
  try {
    await work.append(
      (place) => adopted(row, rotation, found, at, place),
      found.map(({ key: { selector, algorithm, publicKey } }) => ({
        domain,
        selector,
        algorithm,
        duty: 'signing',
        publicKey,
      })),
      { reserve: found.map(({ key: { selector } }) => ({ domain, selector })) },
    );
  } catch (error) {
    if (!hasCode(error, 'exists')) throw error;
    const selectors = found.map(({ key }) => key.selector).join(' or ');
    throw new SelkieError(
      'exists',
      `${selectors} of ${domain} was used by an earlier key of this ledger, and is no other key's: take it out of adopted`,
    );
  }
  for (const { key, servers } of found)
    work.report(
      'step',
      `${key.selector} is adopted: ${servers} of ${servers} name servers show its record, and the hosts of pool ${pool} are told to sign with it`,
      key.selector,
    );
};
