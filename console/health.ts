// What a person needs to know of a domain first: is it well, and what happens next.

import type { Blocked, Domain } from './types.ts';

export type Health = 'trouble' | 'moving' | 'leaving' | 'well';

export const healthWords: Readonly<Record<Health, string>> = {
  trouble: 'Needs a look',
  moving: 'Rotating',
  leaving: 'Leaving',
  well: 'Healthy',
};

/** What does not end by itself. */
const serious: ReadonlySet<Blocked['by']> = new Set(['no-ready-host', 'self-test', 'trouble']);

export const signingKeys = (domain: Domain): readonly string[] =>
  domain.keys.filter(({ state }) => state === 'active').map(({ selector }) => selector);

export const underWay = (domain: Domain) =>
  domain.rotations.find(({ state }) => state === 'under-way' || state === 'switching');

/** Why a person should look; undefined: nobody need. */
const troubleOf = (domain: Domain): string | undefined => {
  const [late] = domain.late ?? [];
  if (late !== undefined) return late;
  const blocked = domain.blockedBy.find(({ by }) => serious.has(by));
  if (blocked !== undefined) return blocked.says;
  const refused = domain.records?.find((record) => record.refused !== undefined);
  if (refused !== undefined) return `${refused.record} is not written: ${refused.refused}`;
  if (domain.leaving || underWay(domain) !== undefined || domain.next.length > 0) return undefined;
  return signingKeys(domain).length === 0 ? 'no key signs, and no rotation is under way' : undefined;
};

export const healthOf = (domain: Domain): Health => {
  if (troubleOf(domain) !== undefined) return 'trouble';
  if (domain.leaving) return 'leaving';
  return underWay(domain) === undefined && signingKeys(domain).length > 0 ? 'well' : 'moving';
};

/** What is waited for first, of the rotation under way where there is one. */
const waitOf = (domain: Domain): Blocked | undefined => {
  const ours = underWay(domain)?.selectors;
  return domain.blockedBy.find(
    ({ selector }) => ours === undefined || selector === undefined || ours.includes(selector),
  );
};

export interface Next {
  readonly says: string;
  /** When it is, where that is known. */
  readonly at?: string;
}

export const nextOf = (domain: Domain): Next => {
  const trouble = troubleOf(domain);
  if (trouble !== undefined) return { says: trouble };
  const wait = waitOf(domain);
  if (underWay(domain) !== undefined || signingKeys(domain).length === 0)
    return { says: wait?.says ?? 'the next step is being done' };
  if (domain.leaving) return { says: wait?.says ?? 'its keys are retired' };
  if (domain.nextRotation !== undefined) return { says: 'rotates', at: domain.nextRotation };
  return { says: wait?.says ?? 'rotates when you say so' };
};
