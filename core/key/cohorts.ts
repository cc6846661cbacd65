// Cohorts: the domains that rotate at one time and share what can be shared, by a stable hash. Those of a large zone are cohorts
// of its own; those of small zones, which fill none, are cohorts across zones. Pure.

/** FNV-1a, 32 bits, as a fraction of one: spreads names evenly and the same everywhere. */
const fraction = (text: string): number => {
  let hash = 0x811c9dc5;
  for (const char of text) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return (hash >>> 0) / 2 ** 32;
};

/**
 * Domains of one cohort, on average. Their 60 CREATEs of RSA-2048 records fit one request (76 do), and so do their tombstones
 * (71): by chance a cohort of a zone has 45 to 76. Three requests for each rotation of some 60 domains are 0.05 a domain. Their
 * keys fill two secrets of a sharded vault.
 */
const cohortSize = 60;

/**
 * Places in the period at which zones begin, and the least number of cohorts that small zones fall into: in a fleet of a few
 * thousand small zones or less no more domains rotate at one time than a 64th of them.
 */
const zonePlaces = 64;

/** How many domains rotate in the same period as one does, itself included. */
export interface Fellows {
  /** Of its zone. */
  readonly ofZone: number;
  /** Of all small zones together. */
  readonly ofSmallZones: number;
}

export const alone: Fellows = { ofZone: 1, ofSmallZones: 1 };

/** A domain in its surroundings: all that its slot follows from. */
export interface Slot {
  readonly domain: string;
  readonly zone: string;
  readonly fellows: Fellows;
}

/** Whether so many domains of a zone that rotate in one period are too few for a cohort of their own. */
export const isSmallZone = (domains: number): boolean => domains < cohortSize;

/** How many cohorts there are, of the domain's zone or of all small ones. */
export const cohortsOf = ({ ofZone, ofSmallZones }: Fellows): number =>
  isSmallZone(ofZone)
    ? Math.max(zonePlaces, Math.round(ofSmallZones / cohortSize))
    : Math.round(ofZone / cohortSize);

/** The domain's cohort among those, from 0. The domains of a small zone stay together: their records share requests. */
export const cohortOf = ({ domain, zone, fellows }: Slot): number =>
  Math.floor(fraction(isSmallZone(fellows.ofZone) ? zone : domain) * cohortsOf(fellows));

/**
 * Where in the period a domain rotates, as a fraction of it. Large zones begin at places of their own, by the hash of their
 * names, and their cohorts follow each other from there; a small zone has that place itself, as exactly as there are cohorts.
 */
export const phaseOf = (slot: Slot): number => {
  const phase = cohortOf(slot) / cohortsOf(slot.fellows);
  return isSmallZone(slot.fellows.ofZone)
    ? phase
    : (Math.floor(fraction(slot.zone) * zonePlaces) / zonePlaces + phase) % 1;
};
