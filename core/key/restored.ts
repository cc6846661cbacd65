// A row that came back from a backup, brought up to what the world shows: records that stand in the zone, keys that the vault
// has. Pure. Hosts may sign with any key whose record stands, for the rotations since the backup are forgotten: so each of
// those is protected like a key that signed until now, the one of each type that every host most surely has signs on, and the
// others drain from now on. What a key's record no longer shows is over. Nothing that stands is removed here.

import { type Algorithm, algorithms, type KeyType } from '../algorithm.ts';
import { buildKeyRecord, parseKeyRecord } from '../dkim/key-record.ts';
import type { Policy } from '../policy.ts';
import { calendarDate, type Duration, type Instant } from '../time.ts';
import type { DomainRow, Duty, Evidence, Key, Place, Rotation, Turn } from './evidence.ts';
import { keyOf } from './row.ts';
import { formatSelector, parseSelector } from './selector.ts';
import { dutyTurn, isServing, keysOf, mayBeHeld, mayHaveSigned, pendingRotation, turnOf } from './state.ts';

/** What was found of one key name of a domain. */
export interface Found {
  readonly selector: string;
  /** The TXT set at its name, at the provider. */
  readonly set?: { readonly ttl: Duration; readonly values: readonly string[] };
  /** What the vault has, read where the row does not know it. */
  readonly stored?: {
    readonly secret: string;
    readonly algorithm: Algorithm;
    readonly fingerprint: string;
    readonly publicKey: string;
  };
  /** The fleet file names it as adopted. */
  readonly adopted?: { readonly algorithm: Algorithm; readonly publicKey: string };
}

export type Shown = 'key' | 'tombstone' | 'nothing' | 'other';

const publicKeyOf = ({ evidence: { stored, adopted } }: Key): string | undefined =>
  stored?.publicKey ?? adopted?.publicKey;

export const shownOf = (publicKey: string | undefined, found: Found | undefined): Shown => {
  const [value, ...more] = found?.set?.values ?? [];
  if (value === undefined) return 'nothing';
  if (more.length > 0) return 'other';
  try {
    const record = parseKeyRecord(value);
    if (record.revoked) return 'tombstone';
    return publicKey !== undefined && record.publicKey === publicKey ? 'key' : 'other';
  } catch {
    return 'other';
  }
};

/** A key as far as it is known again. */
export interface Recovered {
  readonly key: Key;
  /** What its record shows. */
  readonly shown: Shown;
  /** Whether hosts can be sent it: the vault has it, or it is on the hosts. */
  readonly available: boolean;
  /** It was not in the backup. */
  readonly unknown: boolean;
}

const published = (at: Instant, value: string, ttl: Duration): Partial<Evidence> => ({
  publishIntended: { at, value, ttl },
  created: { at, changeId: 'restored' },
  inSync: { at },
});

/** The facts of a name that the backup does not know, or knew only as reserved or stored. */
const completed = (key: Key, found: Found, policy: Policy, at: Instant): Key => {
  const { evidence } = key;
  const { stored } = found;
  const facts: Partial<Evidence> =
    evidence.stored === undefined && evidence.adopted === undefined && stored !== undefined
      ? {
          stored: {
            at,
            secret: stored.secret,
            fingerprint: stored.fingerprint,
            publicKey: stored.publicKey,
          },
        }
      : {};
  const publicKey = publicKeyOf(key) ?? stored?.publicKey;
  const shown = shownOf(publicKey, found);
  const [value] = found.set?.values ?? [];
  const known = { ...key, algorithm: stored?.algorithm ?? key.algorithm };
  if (found.set === undefined || value === undefined || publicKey === undefined || shown === 'other')
    return { ...known, evidence: { ...facts, ...evidence } };
  const was =
    shown === 'key' ? value : buildKeyRecord({ algorithm: known.algorithm, publicKey, tags: policy.tags });
  const standing = evidence.adopted === undefined ? published(at, was, found.set.ttl) : {};
  return { ...known, evidence: { ...facts, ...standing, ...evidence } };
};

/** All keys of the row and all that were found, each with what is known of it. */
export const recover = (
  row: DomainRow,
  found: readonly Found[],
  policy: Policy,
  at: Instant,
  rotation: string,
): readonly Recovered[] => {
  const byName = new Map(found.map((one) => [one.selector, one]));
  const known = row.keys.map((key): Recovered => {
    const here = byName.get(key.selector);
    const whole =
      here === undefined || key.evidence.destroyed !== undefined ? key : completed(key, here, policy, at);
    return {
      key: whole,
      shown: shownOf(publicKeyOf(whole), here),
      available: key.evidence.adopted !== undefined || here?.stored !== undefined,
      unknown: false,
    };
  });
  const fresh = found.flatMap((one): Recovered[] => {
    const { selector, stored, adopted } = one;
    if (keyOf(row, selector) !== undefined) return [];
    const algorithm = stored?.algorithm ?? adopted?.algorithm;
    const shown = shownOf(stored?.publicKey ?? adopted?.publicKey, one);
    // Neither in the vault nor named by the fleet file: somebody else's, as far as can be known.
    if (algorithm === undefined || (stored === undefined && shown !== 'key')) return [];
    const bare: Key = {
      selector,
      algorithm,
      rotation,
      evidence: { reserved: { at } },
      turns: [{ begun: { at } }],
    };
    const [value = ''] = one.set?.values ?? [];
    const key =
      stored !== undefined || adopted === undefined || one.set === undefined
        ? completed(bare, one, policy, at)
        : {
            ...bare,
            evidence: {
              reserved: { at },
              adopted: { at, publicKey: adopted.publicKey },
              publishIntended: { at, value, ttl: one.set.ttl },
            },
          };
    return [{ key, shown, available: true, unknown: true }];
  });
  return [...known, ...fresh];
};

/** Over for the ledger: what follows looks at the world again by itself. */
const isEnding = ({ evidence: e }: Key): boolean =>
  e.revocationIntended !== undefined || e.removalIntended !== undefined || e.destroyed !== undefined;

const withdrawn = (key: Key): boolean => key.evidence.abandoned !== undefined && !mayHaveSigned(key);

/** The first rank of those that sign only where there is no other. */
const edited = 3;

/**
 * How surely every host can sign with it at once, the surest first: what the backup knows to sign; then the others, of which a
 * newer one may not have reached every host, or not be usable there. An adopted one is only on the hosts that had it before.
 */
const sureness = ({ key, shown }: Recovered): number => {
  if (key.evidence.compromised !== undefined) return edited + 1;
  if (shown !== 'key') return edited;
  if (key.evidence.adopted !== undefined) return 2;
  return isServing(key) ? 0 : 1;
};

/** Ours, and changed by hand since: an audit puts it back. Where the backup does not know that it was ours, it is left alone. */
const isEdited = ({ key, shown, unknown }: Recovered): boolean =>
  shown === 'other' && !unknown && key.evidence.created !== undefined;

/** Hosts may sign with these: their records stand. Those that hosts most surely can sign with first. */
export const candidates = (all: readonly Recovered[]): readonly Recovered[] =>
  all
    .filter((one) => (one.shown === 'key' || isEdited(one)) && !isEnding(one.key) && !withdrawn(one.key))
    .toSorted((a, b) => sureness(a) - sureness(b) || order(a.key.selector) - order(b.key.selector));

/** The day, and which of that day; a name of another form is older than any. */
const order = (selector: string): number => {
  const parsed = parseSelector(selector);
  return parsed === undefined ? 0 : Number(parsed.date) * 10_000 + parsed.n;
};

/** That every name server shows a key's record, now. */
export type Proof = Omit<NonNullable<Turn['proved']>, 'at'>;

const keyTypeOf = ({ key }: Recovered): KeyType => algorithms[key.algorithm].keyType;

/** Of each key type the first that can sign on: proved, or signing already. */
export const signers = (
  among: readonly Recovered[],
  proofs: ReadonlyMap<string, Proof>,
): readonly Recovered[] => {
  const able = among.filter(
    ({ key, available }) => available && (isServing(key) || proofs.has(key.selector)),
  );
  return [...Map.groupBy(able, keyTypeOf).values()].flatMap(([first]) => first ?? []);
};

/** Keys that are to sign rather than any of `sign`, once they are proved: another may be one that some host does not have. */
export const unsettled = (among: readonly Recovered[], sign: readonly Recovered[]): readonly Recovered[] => {
  const chosen = new Map(sign.map((one) => [keyTypeOf(one), sureness(one)]));
  return among.filter((one) => one.available && sureness(one) < (chosen.get(keyTypeOf(one)) ?? edited));
};

const inTurn = (key: Key, of: Turn, facts: Partial<Turn>): Key => {
  const changed = (turn: Turn): Turn => (turn === of ? { ...turn, ...facts } : turn);
  const [first, ...rest] = key.turns;
  return { ...key, turns: [changed(first), ...rest.map(changed)] };
};

/** Another turn where the last is over, else the present one. */
const anew = (key: Key, at: Instant, facts: Partial<Turn>): Key =>
  dutyTurn(key).stopIntended === undefined
    ? inTurn(key, turnOf(key), facts)
    : { ...key, turns: [...key.turns, { begun: { at }, ...facts }] };

interface Moment {
  readonly at: Instant;
  readonly place: Place;
}

const toSign = (key: Key, { at, place }: Moment, proof: Proof | undefined): Key =>
  isServing(key)
    ? key
    : anew(key, at, {
        ...(proof === undefined ? {} : { proved: { at, ...proof } }),
        offered: { at, place },
        standby: { at },
        signIntended: { at, place },
      });

/** Its mail drains from when every host has heard of this. */
const toStop = (key: Key, { at, place }: Moment): Key => {
  const told = { at, place };
  if (isServing(key)) return inTurn(key, dutyTurn(key), { stopIntended: told });
  const turn = dutyTurn(key);
  if (turn.stopIntended !== undefined && turn.stopped === undefined) return key;
  return anew(key, at, { offered: told, signIntended: told, stopIntended: told });
};

/**
 * It has no record, or one that says that it is revoked: hosts stopped long ago, or must now. They may hold it, also where the
 * backup knows it as never sent.
 */
const over = (key: Key, shown: Shown, { at, place }: Moment): Key => {
  const now = { at };
  const revoked: Partial<Evidence> = {
    revocationIntended: now,
    tombstoned: { at, changeId: 'restored' },
    tombstoneInSync: now,
  };
  const gone: Partial<Evidence> = {
    ...revoked,
    revoked: now,
    removalIntended: now,
    deleted: { at, changeId: 'absent' },
    deletionInSync: now,
    // Somebody else's record may stand there by now: nothing of ours is left to remove.
    ...(shown === 'other' ? { removed: now } : {}),
  };
  const stopped = isServing(key)
    ? inTurn(key, dutyTurn(key), { stopIntended: { at, place }, stopped: now })
    : key;
  const held = mayBeHeld(stopped) ? stopped : anew(stopped, at, { offered: { at, place } });
  return { ...held, evidence: { ...(shown === 'tombstone' ? revoked : gone), ...key.evidence } };
};

/** What hosts are told of a key. */
export interface Word {
  readonly key: Key;
  readonly duty: Duty;
}

export interface Restored {
  readonly row: DomainRow;
  readonly words: readonly Word[];
  /** Names that the backup did not know. */
  readonly reserve: readonly string[];
  /** For people. */
  readonly says: readonly string[];
}

/** Selectors of the day that may have been used, by keys of which nothing is left. */
const usedToday = (row: DomainRow, policy: Policy, at: Instant, reason: string): DomainRow['taken'] => {
  const date = calendarDate(at, policy.timeZone);
  return [...new Set(policy.algorithms.map((algorithm) => algorithms[algorithm].suffix))].map((suffix) => {
    const most = [...row.keys, ...row.taken].reduce((n, { selector }) => {
      const parsed = parseSelector(selector);
      return parsed?.date === date && parsed.suffix === suffix ? Math.max(n, parsed.n) : n;
    }, 0);
    return { at, selector: formatSelector({ date, suffix, n: most + usedUnseen }), reason };
  });
};

/** More than a domain's rotations of a day. */
const usedUnseen = 99;

export const restored = (
  row: DomainRow,
  all: readonly Recovered[],
  proofs: ReadonlyMap<string, Proof>,
  options: Moment & { readonly policy: Policy; readonly rotation: string },
): Restored => {
  const { at, policy, rotation } = options;
  const reason = 'the ledger was restored from a backup';
  const standing = candidates(all);
  const sign = signers(standing, proofs);
  const [isSigner, isCandidate] = [new Set(sign), new Set(standing)];
  const pending = pendingRotation(row);
  const pendingNames = new Set(
    pending === undefined ? [] : keysOf(row, pending).map(({ selector }) => selector),
  );
  const overtaken = standing.some(({ key, unknown }) => unknown || pendingNames.has(key.selector));

  const keys = all.map((one): { readonly one: Recovered; readonly next: Key } => {
    const { key, shown } = one;
    if (isSigner.has(one)) return { one, next: toSign(key, options, proofs.get(key.selector)) };
    if (isCandidate.has(one)) return { one, next: toStop(key, options) };
    if (isEnding(key) || withdrawn(key)) return { one, next: key };
    if (key.evidence.stored === undefined && key.evidence.adopted === undefined)
      return { one, next: { ...key, evidence: { ...key.evidence, abandoned: { at, reason } } } };
    return { one, next: over(key, shown, options) };
  });

  const words = keys.flatMap(({ one, next }): Word[] => {
    if (next.evidence.destroyed !== undefined) return [];
    if (isSigner.has(one))
      return isServing(one.key)
        ? []
        : [
            { key: next, duty: 'standby' },
            { key: next, duty: 'signing' },
          ];
    if (isCandidate.has(one) && one.available)
      return next === one.key
        ? []
        : [{ key: next, duty: one.key.evidence.compromised === undefined ? 'standby' : 'none' }];
    // Hosts are told to have none of a key that no snapshot could bring them.
    return mayBeHeld(next) && (next !== one.key || !one.available) ? [{ key: next, duty: 'none' }] : [];
  });

  // A rotation that had published nothing goes on, with other names; one that had is settled by what follows it.
  const rotations = row.rotations.map((each): Rotation => {
    if (each.id !== pending?.id) return each;
    return overtaken
      ? { ...each, aborted: { at, reason, by: 'restored' } }
      : {
          ...each,
          selectors: each.selectors.filter((selector) =>
            standing.some(({ key }) => key.selector === selector),
          ),
        };
  });
  const touched = keys.some(({ one, next }) => one.unknown || (isCandidate.has(one) && next !== one.key));
  const settled: Rotation = {
    id: rotation,
    kind: 'requested',
    by: 'restore',
    reason,
    at,
    algorithms: sign.map(({ key }) => key.algorithm),
    selectors: sign.map(({ key }) => key.selector),
  };
  const next: DomainRow = {
    ...row,
    keys: keys.map((each) => each.next),
    rotations:
      !touched || sign.length === 0
        ? rotations
        : overtaken || pending === undefined
          ? [...rotations, settled]
          : [...rotations.slice(0, -1), settled, ...rotations.slice(-1)],
    troubles: [],
    wakeAt: at,
  };
  return {
    row: { ...next, taken: [...row.taken, ...usedToday(next, policy, at, reason)] },
    words,
    reserve: keys.flatMap(({ one }) => (one.unknown ? [one.key.selector] : [])),
    says: keys.flatMap(({ one, next: key }) => {
      const role = isSigner.has(one) ? 'signs' : isCandidate.has(one) ? 'drains' : undefined;
      return sentence(row.domain, one, key, role, standing.length > sign.length);
    }),
  };
};

/** @param role of a key whose record stands  @param others whether some drain: then what signs on unchanged is said too */
const sentence = (
  domain: string,
  { key, shown, unknown, available }: Recovered,
  next: Key,
  role: 'signs' | 'drains' | undefined,
  others: boolean,
): readonly string[] => {
  const name = `${key.selector} of ${domain}`;
  const whose = `${name}${unknown ? ', which the backup did not know,' : ''}`;
  const byHand =
    role !== undefined && shown === 'other'
      ? '; its record was changed by hand, and an audit puts it back'
      : '';
  if (next === key && !unknown && byHand === '' && !(role === 'signs' && others)) return [];
  if (role === 'signs') return [`${whose} signs on${byHand}`];
  if (role === 'drains')
    return [
      `${whose} drains from now on${byHand}${available ? '' : '; the vault does not have it, so hosts are told to erase it'}`,
    ];
  if (shown === 'other') return [`${name}: another record stands at its name, which is left alone`];
  return [
    `${name} ${next.evidence.abandoned === undefined ? 'is over: its record is gone or revoked' : 'is given up: it has no record'}`,
  ];
};
