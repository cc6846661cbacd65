// The judge: tests the ten invariants from the outside, after every event that could break one, by what name servers
// show, what hosts sign with, what the vault holds and what was written where. It never asks the engine what state a key is
// in. What it forgives is in forgiven.ts.

import { parseKeyRecord } from '../../core/dkim/key-record.ts';
import { keyRecordName } from '../../core/names.ts';
import {
  type Duration,
  formatDuration,
  formatInstant,
  type Instant,
  longest,
  milliseconds,
  minutes,
} from '../../core/time.ts';
import type { DisclosedKey, TxtSet } from '../../engine/ports.ts';
import { answerOf, type DnsWatch, type NameServer, type SimulatedZone, type Standing } from './dns.ts';
import type { Invariant } from './forgiven.ts';
import type { HostWatch, MailHost, Ring, RingKey } from './hosts.ts';

export interface Violation {
  readonly at: Instant;
  readonly invariant: Invariant;
  readonly says: string;
}

/** What the judge knows of a domain from its operators. */
export interface DomainFacts {
  readonly domain: string;
  readonly zone: SimulatedZone;
  readonly pool: string;
  /** The shortest that the policy ever said; a change of policy may shorten a drain under way. */
  downstreamQueue: Duration;
  drainMargin: Duration;
  /** Since when it leaves, or an operator chose unsigned: it may be without a key until every host signs with a newer one. */
  excusedSince: Instant | undefined;
  /** Caches may deny a successor that was published before then. */
  hurriedUntil: number;
}

/** What the judge knows of a record name. */
interface NameFacts {
  readonly domain: string;
  readonly selector: string;
  /** Selkie made a record there that it has not removed. */
  owned: boolean;
  /** Its private half is on hosts, as it was before Selkie came, and never in the vault. */
  adopted: boolean;
  /** Every key that Selkie ever published there. */
  readonly published: Set<string>;
  publishedAt: Instant | undefined;
  ttl: Duration;
  compromised: Instant | undefined;
  /** Somebody's hand was on it, and its traces are not yet gone. */
  editedUntil: number;
  /** Since Selkie last wrote there, no server showed anything of it. */
  gone: boolean;
  /** When somebody else last wrote there. */
  handAt: Instant | undefined;
  /** Its private half was published. */
  disclosed: boolean;
  /** A ledger that came back from a backup knows the key, and not that hosts signed with it. */
  forgotten: boolean;
  /** When a host that counts last signed with it; undefined: never. */
  lastSigned: Instant | undefined;
  /** The longest that mail may lie in the queues of hosts that stopped signing with it. */
  queues: Duration;
  /** Since when a server shows the tombstone. */
  readonly tombstone: Map<NameServer, Instant>;
}

interface HostFacts {
  /** In the fleet, not excluded, not fenced. */
  counts: boolean;
  astray: boolean;
  heard: boolean;
}

export interface Checker extends DnsWatch, HostWatch {
  readonly violations: readonly Violation[];
  readonly figures: {
    signed: number;
    verified: number;
    tempfailed: number;
    forgiven: number;
    checks: number;
  };
  violate(invariant: Invariant, says: string): void;
  domains: Map<string, DomainFacts>;
  /** An operator hands a key over whose record stands already: it is Selkie's to keep and to end. */
  handedOver(key: RingKey, ttl: Duration): void;
  /**
   * The ledger came back from a backup.
   * @param knows whether it knows that the key may have signed, and that its record was ever Selkie's
   */
  restored(
    domain: string,
    selector: string,
    knows: { readonly signed: boolean; readonly ours: boolean },
  ): void;
  /** Whether what this host does counts: from now on. */
  count(host: MailHost, counts: boolean): void;
  astray(host: MailHost, astray: boolean): void;
  /** The control plane has heard where it stands, though it has not caught up: from now on it must wait for it. */
  heard(host: MailHost): void;
  countsAt(host: MailHost): boolean;
  compromised(domain: string, selector: string): void;
  edited(name: string, until: number): void;
  /** When Selkie first published it. */
  publishedAt(key: { readonly domain: string; readonly selector: string }): Instant | undefined;
  /** Its traces are gone. */
  heal(name: string): void;
  /** Selkie made a record there that it has not removed. */
  owns(name: string): boolean;
  /** Its private half is published. @param publicKey of what was published */
  disclosed(key: DisclosedKey, publicKey: string): void;
  destroyed(domain: string, selector: string, hosts: Iterable<MailHost>): void;
  /** What a verifier found for a signature made by `host` at `signed` with a key. */
  verified(
    key: RingKey,
    signed: Instant,
    counted: boolean,
    found: TxtSet | undefined | 'failed',
    who: string,
    cached: boolean,
  ): void;
  /** How long mail signed with this key must verify. */
  promised(key: { readonly domain: string; readonly selector: string }): Duration;
  publishedSelectors(domain: string): number;
}

/** The key in a record that a verifier would use; undefined: none, revoked, or several records. */
const keyIn = (set: TxtSet | undefined): string | undefined => {
  const value = set?.values[0];
  if (value === undefined || set?.values.length !== 1) return undefined;
  let key = parsed.get(value);
  if (key === undefined) {
    try {
      key = parseKeyRecord(value).publicKey;
    } catch {
      key = '';
    }
    if (parsed.size > 5_000) parsed.clear();
    parsed.set(value, key);
  }
  return key === '' ? undefined : key;
};
const parsed = new Map<string, string>();

/** Longer than a worker takes from its last look at a record to what it does next, calls that are slow included. */
const inTheAct: Duration = minutes(15);

const isTombstone = (set: TxtSet | undefined): boolean =>
  set?.values.length === 1 && /^v=DKIM1; k=(rsa|ed25519); p=$/.test(set.values[0] ?? '');

export const createChecker = (world: {
  readonly now: () => Instant;
  readonly hosts: () => Iterable<MailHost>;
  /** The public half of what the vault holds under a name. */
  readonly vaulted: (domain: string, selector: string) => string | undefined;
  /** Whether the policy of a domain says that retired keys are published, or said so until lately. */
  readonly discloses: (domain: string) => boolean;
  /** Whether it said so all the time, and the domain never left the fleet. */
  readonly alwaysDiscloses: (domain: string) => boolean;
  readonly onViolation: () => void;
  readonly trace?: (says: string) => void;
  /** A host signs a first or a last message. */
  readonly post: (host: MailHost, key: RingKey) => void;
}): Checker => {
  const { now } = world;
  const violations: Violation[] = [];
  const names = new Map<string, NameFacts>();
  const hostFacts = new Map<MailHost, HostFacts>();
  const domains = new Map<string, DomainFacts>();
  const figures = { signed: 0, verified: 0, tempfailed: 0, forgiven: 0, checks: 0 };

  const violate = (invariant: Invariant, says: string): void => {
    violations.push({ at: now(), invariant, says });
    world.trace?.(`VIOLATION of invariant ${invariant}: ${says}`);
    world.onViolation();
  };

  const factsAt = (name: string): NameFacts | undefined => {
    const known = names.get(name);
    if (known !== undefined) return known;
    const cut = name.indexOf('._domainkey.');
    if (cut < 0) return undefined;
    const facts: NameFacts = {
      domain: name.slice(cut + '._domainkey.'.length),
      selector: name.slice(0, cut),
      owned: false,
      adopted: false,
      published: new Set(),
      publishedAt: undefined,
      ttl: milliseconds(0),
      compromised: undefined,
      editedUntil: 0,
      gone: false,
      handAt: undefined,
      disclosed: false,
      forgotten: false,
      lastSigned: undefined,
      queues: milliseconds(0),
      tombstone: new Map(),
    };
    names.set(name, facts);
    return facts;
  };
  /** Whether a server shows a key there that Selkie published. */
  const showsOurs = (zone: SimulatedZone, server: NameServer, name: string): boolean => {
    const key = keyIn(answerOf(zone, server, name));
    return key !== undefined && names.get(name)?.published.has(key) === true;
  };
  const factsOf = (key: { readonly domain: string; readonly selector: string }): NameFacts | undefined =>
    factsAt(keyRecordName(key.selector, key.domain));

  const hostFact = (host: MailHost): HostFacts => {
    const known = hostFacts.get(host) ?? { counts: true, astray: false, heard: false };
    hostFacts.set(host, known);
    return known;
  };
  const isJudged = (host: MailHost): boolean => {
    const { counts, astray } = hostFact(host);
    return counts && !astray;
  };

  const promised = (facts: NameFacts): Duration => {
    const domain = domains.get(facts.domain);
    if (domain === undefined) return milliseconds(0);
    let queue = longest(domain.downstreamQueue, facts.queues);
    for (const host of signers(`${facts.domain}/${facts.selector}`))
      queue = longest(queue, host.queueLifetime ?? queue);
    return milliseconds(queue + domain.drainMargin);
  };

  /** Whether a host that counts may sign with it at this instant, whether or not it has power. */
  const signers = (name: string): readonly MailHost[] => {
    const found: MailHost[] = [];
    for (const host of world.hosts()) if (isJudged(host) && host.ring.has(name)) found.push(host);
    return found;
  };

  const noteSigning = (host: MailHost): void => {
    if (!host.powered || !isJudged(host)) return;
    for (const key of host.ring.values()) {
      const facts = factsOf(key);
      if (facts !== undefined) facts.lastSigned = now();
    }
  };

  const lastSigned = (facts: NameFacts): Instant | undefined =>
    signers(`${facts.domain}/${facts.selector}`).some((host) => host.powered) ? now() : facts.lastSigned;

  const checker: Checker = {
    violations,
    figures,
    domains,
    violate,
    promised: (key) => {
      const facts = factsOf(key);
      return facts === undefined ? milliseconds(0) : promised(facts);
    },

    written: (zone, name, before, after, ours) => {
      const facts = factsAt(name);
      if (facts === undefined) return;
      if (!ours) facts.handAt = now();
      if (!ours) return;
      figures.checks += 1;
      const [was, is] = [keyIn(before?.set), keyIn(after)];
      if (before !== undefined && !before.ours && !facts.owned)
        violate(
          4,
          `${name} in ${zone.zone.name} is somebody else's record, and was ${after === undefined ? 'deleted' : 'changed'}`,
        );
      if (is !== undefined) {
        facts.published.add(is);
        facts.publishedAt ??= now();
        facts.ttl = after?.ttl ?? facts.ttl;
        if (facts.published.size > 1) violate(4, `${name} was published with a second key`);
        const kept = world.vaulted(facts.domain, facts.selector);
        if (kept !== is && !facts.adopted)
          violate(
            5,
            `${name} is published, and the vault ${kept === undefined ? 'has no key for it' : 'holds another key'}`,
          );
      }
      facts.owned = after !== undefined;
      facts.gone = false;
      if (was !== undefined && is === undefined) {
        const [first] = [...world.hosts()].filter((host) => {
          const { counts, astray, heard } = hostFact(host);
          return counts && (!astray || heard) && host.ring.has(`${facts.domain}/${facts.selector}`);
        });
        if (first !== undefined && domains.get(facts.domain)?.excusedSince === undefined)
          violate(6, `${name} is revoked while ${first.name} may sign with it`);
      }
    },

    shown: (zone, server, name, before, after) => {
      const facts = factsAt(name);
      if (facts === undefined) return;
      figures.checks += 1;
      facts.gone ||= keyIn(after) === undefined && !zone.servers.some((each) => showsOurs(zone, each, name));
      const [was, is] = [keyIn(before), keyIn(after)];
      if (isTombstone(after) && !facts.tombstone.has(server)) facts.tombstone.set(server, now());
      if (isTombstone(before) && !isTombstone(after)) {
        const since = facts.tombstone.get(server) ?? now();
        if (facts.lastSigned !== undefined && now() - since < facts.ttl && facts.editedUntil <= now())
          violate(
            1,
            `${server.name} showed the tombstone of ${name} for less than its TTL, ${formatDuration(facts.ttl)}`,
          );
      }
      if (was === undefined || was === is || !facts.published.has(was)) return;
      if (!isTombstone(after) && facts.lastSigned !== undefined && facts.editedUntil <= now())
        violate(
          1,
          `${server.name} no longer shows ${name}, with which mail was signed, and never showed its tombstone`,
        );
      if (facts.compromised !== undefined || facts.editedUntil > now()) {
        figures.forgiven += 1;
        return;
      }
      const last = lastSigned(facts);
      if (last === undefined) return;
      const protectedUntil = last + promised(facts) + facts.ttl;
      if (now() < protectedUntil)
        violate(
          1,
          `${server.name} no longer shows the key of ${name}, with which mail was signed at ${formatInstant(last)}: it was to stand until ${new Date(protectedUntil).toISOString()}`,
        );
    },

    handedOver: (key, ttl) => {
      const facts = factsOf(key);
      if (facts === undefined) return;
      facts.published.add(key.publicKey);
      Object.assign(facts, { owned: true, adopted: true, publishedAt: now(), ttl });
    },

    restored: (domain, selector, { signed, ours }) => {
      const own = names.get(keyRecordName(selector, domain));
      if (own === undefined) return;
      own.forgotten ||= !signed;
      // Of hosts that left since the backup, it cannot know how long their queues are.
      own.queues = milliseconds(0);
      // What somebody changed meanwhile, it then takes for another's.
      own.gone ||= own.editedUntil > now() && !ours;
    },

    changing: (host) => {
      noteSigning(host);
    },

    changed: (host, before, by) => {
      figures.checks += 1;
      const after = host.ring;
      for (const [name, key] of after) if (!before.has(name)) began(host, key);
      for (const [name, key] of before)
        if (!after.has(name)) {
          ended(host, key);
          if (host.powered) world.post(host, key);
        }
      if (by === 'disk') return;
      const served = (ring: Ring): ReadonlySet<string> =>
        new Set([...ring.values()].map(({ domain }) => domain));
      const [had, has] = [served(before), served(after)];
      for (const domain of had)
        if (!has.has(domain) && isJudged(host) && domains.get(domain)?.excusedSince === undefined)
          violate(3, `${host.name} has no key left to sign for ${domain}`);
      if (host.powered) for (const [name, key] of after) if (!before.has(name)) world.post(host, key);
    },

    count: (host, counts) => {
      noteSigning(host);
      hostFact(host).counts = counts;
    },
    astray: (host, astray) => {
      noteSigning(host);
      Object.assign(hostFact(host), { astray, heard: false });
    },
    heard: (host) => {
      hostFact(host).heard = true;
    },
    countsAt: isJudged,

    compromised: (domain, selector) => {
      const facts = factsOf({ domain, selector });
      if (facts !== undefined) facts.compromised ??= now();
    },
    edited: (name, until) => {
      const facts = factsAt(name);
      if (facts !== undefined) facts.editedUntil = Math.max(facts.editedUntil, until);
    },
    publishedAt: (key) => factsOf(key)?.publishedAt,
    heal: (name) => {
      const facts = names.get(name);
      if (facts !== undefined) facts.editedUntil = 0;
    },
    owns: (name) => names.get(name)?.owned === true,

    disclosed: ({ domain, selector }, publicKey) => {
      figures.checks += 1;
      const zone = domains.get(domain)?.zone;
      const name = keyRecordName(selector, domain);
      const facts = factsAt(name);
      if (zone === undefined || facts === undefined) return;
      facts.disclosed = true;
      if (!world.discloses(domain))
        violate(9, `the key of ${name} is published, and the policy does not say so`);
      if (facts.adopted) violate(9, `the key of ${name} is published, which was adopted`);
      if (!facts.published.has(publicKey)) violate(9, `another key than that of ${name} is published for it`);
      // Nobody can see what a hand writes between the last look and the publication.
      const justPutBack = facts.handAt !== undefined && facts.gone && now() < facts.handAt + inTheAct;
      const shows = zone.servers.find((server) => showsOurs(zone, server, name));
      const standing = zone.standing.get(name);
      if (standing?.ours === true) violate(9, `the key of ${name} is published while its record stands`);
      else if (shows !== undefined || facts.published.has(keyIn(standing?.set) ?? '')) {
        if (justPutBack) figures.forgiven += 1;
        else violate(9, `the key of ${name} is published while ${shows?.name ?? 'the provider'} has it`);
      }
      for (const host of world.hosts())
        if (isJudged(host) && host.holds(domain, selector))
          violate(9, `the key of ${name} is published while ${host.name} holds a copy`);
    },

    destroyed: (domain, selector, hosts) => {
      figures.checks += 1;
      const own = names.get(keyRecordName(selector, domain));
      const isDue = own?.lastSigned !== undefined && !own.adopted && !own.forgotten;
      if (isDue && !own.disclosed && world.alwaysDiscloses(domain))
        violate(
          9,
          `the key of ${keyRecordName(selector, domain)} is destroyed, and was never published as the policy says`,
        );
      const zone = domains.get(domain)?.zone;
      const name = keyRecordName(selector, domain);
      const standing: Standing | undefined = zone?.standing.get(name);
      if (standing?.ours === true) violate(5, `the key of ${name} was destroyed while its record stands`);
      const shows = zone?.servers.find((server) => showsOurs(zone, server, name));
      // Somebody put it there after it was gone: the name was Selkie's until then (invariant 4).
      const putBack = standing?.ours === false && names.get(name)?.gone === true;
      if (shows !== undefined && putBack) figures.forgiven += 1;
      else if (shows !== undefined && (names.get(name)?.editedUntil ?? 0) <= now())
        violate(5, `the key of ${name} was destroyed while ${shows.name} shows it`);
      for (const host of hosts)
        if (isJudged(host) && host.holds(domain, selector))
          violate(5, `the key of ${name} was destroyed while ${host.name} holds a copy`);
    },

    verified: (key, signed, counted, found, who, cached) => {
      if (found === 'failed') {
        figures.tempfailed += 1;
        return;
      }
      figures.verified += 1;
      if (keyIn(found) === key.publicKey) return;
      const facts = factsOf(key);
      const domain = domains.get(key.domain);
      const isForgiven =
        !counted ||
        facts === undefined ||
        facts.compromised !== undefined ||
        facts.editedUntil > now() ||
        (cached && domain !== undefined && domain.hurriedUntil > signed);
      if (isForgiven) {
        figures.forgiven += 1;
        return;
      }
      violate(
        1,
        `a message signed at ${formatInstant(signed)} with ${key.selector} of ${key.domain} does not verify at ${who}: ${
          found === undefined
            ? 'there is no record'
            : isTombstone(found)
              ? 'the key is revoked'
              : 'another record stands there'
        }`,
      );
    },

    publishedSelectors: (domain) =>
      [...names.values()].filter((facts) => facts.domain === domain && facts.published.size > 0).length,
  };

  const ended = (host: MailHost, key: RingKey): void => {
    const facts = factsOf(key);
    if (facts !== undefined && isJudged(host))
      facts.queues = longest(facts.queues, host.queueLifetime ?? facts.queues);
  };

  const began = (host: MailHost, key: RingKey): void => {
    const facts = factsOf(key);
    const domain = domains.get(key.domain);
    if (facts === undefined || domain === undefined || !isJudged(host)) return;
    if (facts.editedUntil > now()) return;
    const name = keyRecordName(key.selector, key.domain);
    for (const server of domain.zone.servers)
      if (keyIn(answerOf(domain.zone, server, name)) !== key.publicKey) {
        violate(2, `${host.name} begins to sign with ${name}, which ${server.name} does not show`);
        return;
      }
  };

  return checker;
};
