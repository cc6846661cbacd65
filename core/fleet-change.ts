// What installing a fleet would do to the domains that the ledger has, and which of that is refused unless somebody says why.
// Pure: compares rows with the new fleet, one row at a time, so that whoever has 100,000 of them holds none.

import { SelkieError } from './errors.ts';
import type { DomainRow, HostedZone } from './key/evidence.ts';
import { isServing } from './key/state.ts';
import type { Fleet, FleetZone } from './policy.ts';
import type { PolicyRecord } from './policy-records/evidence.ts';

/** A fleet that stops more than this part of all signing keys is refused, where it is more than one domain's. */
const mostRevoked = 0.2;
/** Domains that a sentence names; the others are counted. */
const mostNamed = 5;

/** What a fleet would do to one domain. */
export interface Effect {
  readonly domain: string;
  /** Keys that hosts are told to sign with. */
  readonly signing: number;
  /** Those would be told to stop, and be revoked when their mail has drained. */
  readonly stops: boolean;
  /** It is no longer in the fleet, and these keys have records that stand; or SPF and DMARC records of ours do. */
  readonly dropped: readonly string[];
  /** SPF and DMARC records of ours that stand, and how many of them would be removed though the domain stays. */
  readonly policies: number;
  readonly withdrawn: number;
  /** Why its records could not be changed any more. */
  readonly lockedOut?: { readonly zone: string; readonly why: string };
}

/** The zone as the ledger remembers it, to be compared with what a later fleet says. */
export const hostedZone = ({ id, role }: FleetZone): HostedZone => ({
  id,
  ...(role === undefined ? {} : { role: role.arn }),
});

const through = (role: string | undefined): string => (role === undefined ? 'no role' : `role ${role}`);

const lockOut = (row: Pick<DomainRow, 'zone' | 'hostedZone'>, fleet: Fleet): string | undefined => {
  const next = fleet.zones.get(row.zone);
  if (next === undefined) return 'is gone from the file';
  const [before, after] = [row.hostedZone, hostedZone(next)];
  if (before === undefined) return undefined;
  if (before.id !== after.id) return `is another hosted zone: ${after.id} instead of ${before.id}`;
  return before.role === after.role
    ? undefined
    : `is reached in another way: by ${through(after.role)} instead of ${through(before.role)}`;
};

/** Policy records of ours that stand. */
const policiesOf = (row: DomainRow): readonly PolicyRecord[] =>
  (row.records ?? []).filter(({ zone, ours }) => zone !== undefined && ours.length > 0);

/** A zone that holds a policy record of ours, and is out of reach. */
const policyLockOut = (row: DomainRow, fleet: Fleet): Effect['lockedOut'] => {
  for (const { zone = '', hostedZone: lies } of policiesOf(row)) {
    const why = lockOut({ zone, ...(lies === undefined ? {} : { hostedZone: lies }) }, fleet);
    if (why !== undefined) return { zone, why };
  }
  return undefined;
};

const withdrawnOf = (row: DomainRow, fleet: Fleet): number => {
  const entry = fleet.domains.get(row.domain);
  if (entry === undefined || entry.leaving) return 0;
  return policiesOf(row).filter(
    ({ kind }) =>
      (kind === 'spf' && entry.spf === undefined) || (kind === 'dmarc' && entry.dmarc === undefined),
  ).length;
};

const kindNames = { spf: 'SPF', dmarc: 'DMARC', report: 'DMARC reports' } as const;

/** Domains that vanished by an earlier fleet are wound up already, and are counted no more. */
export const effectOf = (row: DomainRow, fleet: Fleet): Effect => {
  const entry = fleet.domains.get(row.domain);
  const standing = row.keys.filter(
    ({ evidence }) => evidence.publishIntended !== undefined && evidence.removed === undefined,
  );
  const signing = row.vanished === undefined ? row.keys.filter(isServing).length : 0;
  const why = standing.length === 0 ? undefined : lockOut(row, fleet);
  const lockedOut = why === undefined ? policyLockOut(row, fleet) : { zone: row.zone, why };
  const names = [
    ...standing.map(({ selector }) => selector),
    ...policiesOf(row).map(({ kind }) => kindNames[kind]),
  ];
  return {
    domain: row.domain,
    signing,
    stops: signing > 0 && (entry?.leaving ?? true),
    dropped: entry === undefined && row.vanished === undefined ? names : [],
    policies: policiesOf(row).length,
    withdrawn: withdrawnOf(row, fleet),
    ...(lockedOut === undefined ? {} : { lockedOut }),
  };
};

const named = (names: readonly string[]): string => {
  const more = names.length - mostNamed;
  return `${names.slice(0, mostNamed).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
};

const refuseDropped = (effects: readonly Effect[]): readonly string[] => {
  const dropped = effects.filter(({ dropped: selectors }) => selectors.length > 0);
  if (dropped.length === 0) return [];
  const which = named(dropped.map(({ domain, dropped: all }) => `${domain} (${all.join(', ')})`));
  return [
    `it drops ${which}, whose keys have records that stand: put ${dropped.length === 1 ? 'it' : 'them'} back with "state: leaving", and take ${dropped.length === 1 ? 'it' : 'them'} out when selkie status shows no keys.`,
  ];
};

const refuseRevoked = (effects: readonly Effect[]): readonly string[] => {
  const keys = (some: readonly Effect[]): number => some.reduce((sum, { signing }) => sum + signing, 0);
  const stopping = effects.filter(({ stops }) => stops);
  const [stopped, all] = [keys(stopping), keys(effects)];
  // One domain that leaves is somebody's decision, in a fleet of one as in a fleet of ten.
  if (stopping.length < 2 || stopped <= mostRevoked * all) return [];
  return [
    `it has ${stopped} of ${all} signing keys revoked at once, those of ${named(stopping.map(({ domain }) => domain))}: let not more than ${mostRevoked * 100} % of them leave at a time.`,
  ];
};

const refuseWithdrawn = (effects: readonly Effect[]): readonly string[] => {
  const withdrawing = effects.filter(({ withdrawn }) => withdrawn > 0);
  const gone = withdrawing.reduce((sum, { withdrawn }) => sum + withdrawn, 0);
  const all = effects.reduce((sum, { policies }) => sum + policies, 0);
  // As of keys: one domain is somebody's decision.
  if (withdrawing.length < 2 || gone <= mostRevoked * all) return [];
  return [
    `it removes ${gone} of ${all} SPF and DMARC records at once, those of ${named(withdrawing.map(({ domain }) => domain))}: take not more than ${mostRevoked * 100} % of them out at a time.`,
  ];
};

const refuseLockedOut = (effects: readonly Effect[]): readonly string[] => {
  const zones = Map.groupBy(
    effects.flatMap(({ domain, lockedOut }) => (lockedOut === undefined ? [] : [{ domain, ...lockedOut }])),
    ({ zone, why }) => `zone ${zone} ${why}`,
  );
  return [...zones].map(
    ([what, domains]) =>
      `${what}, while records of ${named(domains.map(({ domain }) => domain))} stand in it, which could not be changed any more: put the zone back as it was until they are removed.`,
  );
};

/** Why a fleet that has these effects, one for each row of the ledger, is refused; none: it is not. */
export const refusals = (effects: readonly Effect[]): readonly string[] => [
  ...refuseDropped(effects),
  ...refuseRevoked(effects),
  ...refuseWithdrawn(effects),
  ...refuseLockedOut(effects),
];

/** One text for a log, an alarm or a deployment that fails. */
export const refusalText = (reasons: readonly string[]): string =>
  `fleet.yaml is refused: ${reasons.join(' Also, ')} To do it all the same, say why: cdk deploy -c force="REASON", or selkie up --force "REASON".`;

/** @throws invalid where no reason is given */
export const forced = (fleet: Fleet, reason: string): Fleet => {
  const why = reason.trim();
  if (why === '')
    throw new SelkieError('invalid', 'force needs a reason, for whoever asks later why keys were lost', {
      field: 'force',
    });
  return { ...fleet, force: { reason: why } };
};
