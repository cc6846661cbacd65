// What the API says of the domain that is verified, and what a check is: what all checks of `selkie verify` share.

import type { Check, Seen } from '../../agent/doctor/check.ts';
import type { keysStatus } from '../../engine/details.ts';
import type { domainHosts } from '../../engine/domain-hosts.ts';
import type { DomainStatus } from '../../engine/status.ts';
import type { Api } from '../client.ts';
import { domainPath } from '../commands/paths.ts';

export type KeyFacts = Awaited<ReturnType<typeof keysStatus>>['keys'][number];
export type HostsFacts = Awaited<ReturnType<typeof domainHosts>>;
export type HostFacts = HostsFacts['hosts'][number];

export interface Facts {
  readonly domain: string;
  readonly status: DomainStatus;
  readonly keys: readonly KeyFacts[];
  readonly standing: HostsFacts;
  /** A command that goes where this one went, to paste: `selkie drift --run --stage test`. */
  readonly command: (words: string) => string;
}

export type { Check, Seen };

/** @param way the options that lead there  @throws what the API says: not-found where it knows no such domain */
export const readFacts = async (api: Api, domain: string, way: string): Promise<Facts> => {
  const path = domainPath(domain);
  const [status, { keys }, standing] = await Promise.all([
    api.call<DomainStatus>('GET', path),
    api.call<{ keys: readonly KeyFacts[] }>('GET', `${path}/keys`),
    api.call<HostsFacts>('GET', `${path}/hosts`),
  ]);
  return { domain: status.domain, status, keys, standing, command: (words) => `selkie ${words}${way}` };
};

/** Things that were found wrong, gathered: the same problem at several places is one finding, and names them. */
export const gather = () => {
  const found = new Map<string, { readonly places: Set<string>; readonly mends: Set<string> }>();
  return {
    /** @param problem how the sentence begins; ` at PLACE, PLACE` follows */
    at(place: string, problem: string, ...mends: readonly string[]): void {
      const known = found.get(problem) ?? { places: new Set(), mends: new Set() };
      found.set(problem, known);
      known.places.add(place);
      for (const mend of mends) known.mends.add(mend);
    },
    findings: (): Seen['findings'] =>
      [...found].map(([problem, { places, mends }]) => ({
        problem: `${problem} at ${[...places].join(', ')}`,
        mends: [...mends],
      })),
  };
};
