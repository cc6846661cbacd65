// Cohorts: the domains of a zone that rotate at one time and share requests, by a stable hash of their names. Pure.

/** FNV-1a, 32 bits, as a fraction of one: spreads names evenly and the same everywhere. */
export const fraction = (text: string): number => {
  let hash = 0x811c9dc5;
  for (const char of text) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return (hash >>> 0) / 2 ** 32;
};

/**
 * Domains of one cohort, on average. Their 60 CREATEs of RSA-2048 records fit one request (76 do), and so do their tombstones
 * (71): by chance a cohort has 45 to 76. Three requests for each rotation of some 60 domains are 0.05 a domain.
 */
const cohortSize = 60;

/** How many cohorts the domains of a zone that rotate in one period fall into. */
export const cohortsOf = (zoneSize: number): number => Math.max(1, Math.round(zoneSize / cohortSize));

/** The cohort of a domain among those of its zone, from 0: by a stable hash. */
export const cohortOf = (domain: string, zoneSize: number): number =>
  Math.floor(fraction(domain) * cohortsOf(zoneSize));
