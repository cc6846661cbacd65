// Follows a name from zone to zone until it leads into one that is ours: which zone holds a name on the way, the resolvers tell;
// what it says there, each of that zone's name servers.

import { SelkieError } from '../../core/errors.ts';
import { isWithin, lowerName } from '../../core/names.ts';
import { longest } from '../../core/time.ts';
import type { DnsObserver, Observation } from '../../engine/ports.ts';

/** RFC 1034 §5.2.2 has resolvers notice loops; longer chains than this are not followed by many. */
export const longestChain = 8;

export interface FollowOptions {
  readonly observe: DnsObserver['observe'];
  /** The zone that holds a name. @throws unavailable */
  readonly zoneOf: (name: string) => Promise<string>;
}

export const createFollow = ({ observe, zoneOf }: FollowOptions): NonNullable<DnsObserver['follow']> => {
  const follow = async (name: string, into: string, chain: number): Promise<Observation> => {
    if (chain >= longestChain)
      throw new SelkieError('unavailable', `${name} is the ${chain}th alias on the way: nobody follows it.`);
    // Only its name is asked for: whose provider it has does not matter.
    const seen = await observe({ name: await zoneOf(name), id: '' }, name);
    const onward = new Set(
      seen.answers.flatMap(({ answer }) =>
        answer.kind === 'cname' && !isWithin(answer.target, into) ? [answer.target] : [],
      ),
    );
    const behind = await Promise.all([...onward].map((target) => follow(target, into, chain + 1)));
    const [first, ...rest] = [seen, ...behind].flatMap(({ negativeTtl }) => negativeTtl ?? []);
    return {
      answers: [
        ...seen.answers.filter(({ answer }) => answer.kind !== 'cname' || !onward.has(answer.target)),
        ...behind.flatMap(({ answers }) => answers),
      ],
      ...(first === undefined ? {} : { negativeTtl: longest(first, ...rest) }),
    };
  };
  return (name, zone) => follow(lowerName(name), zone.name, 0);
};
