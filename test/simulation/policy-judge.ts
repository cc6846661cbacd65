// The judge of SPF and DMARC records (invariants 4 and 8), from outside: by what is written at the provider and what name servers
// show. Another's value is never taken out, Selkie never makes a second record of a kind, and in the end what is wanted is shown,
// and nothing else that Selkie ever wrote.

import type { FleetDomain } from '../../core/policy.ts';
import type { TxtSet } from '../../engine/ports.ts';
import { answerOf, type SimulatedZone } from './dns.ts';
import type { Invariant } from './forgiven.ts';

export type RecordKind = 'spf' | 'dmarc';

const kinds = { spf: /^v=spf1( |$)/i, dmarc: /^v=DMARC1\s*(;|$)/i } as const;

export const ofKind = (kind: RecordKind, set: TxtSet | undefined): readonly string[] =>
  (set?.values ?? []).filter((value) => kinds[kind].test(value));

export const recordNameOf = (kind: RecordKind, domain: string): string =>
  kind === 'spf' ? domain : `_dmarc.${domain}`;

interface NameFacts {
  /** Every value that Selkie wrote there. */
  readonly ours: Set<string>;
  /** Values that are nobody's but somebody else's. */
  readonly theirs: Set<string>;
  /** By what was written last by Selkie: the name is its own, whatever hands do there since. */
  owned: boolean;
}

export interface PolicyJudge {
  written(name: string, before: TxtSet | undefined, after: TxtSet | undefined, ours: boolean): void;
  /** A hand writes a value that is not Selkie's to take out. */
  puts(name: string, value: string): void;
  /** The hand takes it out itself. */
  takes(name: string, value: string): void;
  isOurs(name: string, value: string): boolean;
  /** @param entry of the newest fleet; undefined: the domain has left it */
  atTheEnd(domain: string, zone: SimulatedZone, entry: FleetDomain | undefined): void;
}

export const createPolicyJudge = (
  violate: (invariant: Invariant, says: string) => void,
  checked: () => void,
): PolicyJudge => {
  const names = new Map<string, NameFacts>();
  const at = (name: string): NameFacts => {
    const known = names.get(name) ?? { ours: new Set(), theirs: new Set(), owned: false };
    names.set(name, known);
    return known;
  };
  return {
    written: (name, before, after, ours) => {
      if (name.includes('._domainkey.')) return;
      checked();
      const facts = at(name);
      if (!ours) {
        // Selkie's is gone, and one other of its kind stands in its place: that is an edit of it (docs/adr/0011).
        for (const kind of ['spf', 'dmarc'] as const) {
          const [other, ...more] = ofKind(kind, after);
          if (facts.owned && other !== undefined && more.length === 0 && !facts.ours.has(other))
            facts.theirs.delete(other);
        }
        return;
      }
      const [was, is] = [before?.values ?? [], after?.values ?? []];
      const [gone] = was.filter((value) => facts.theirs.has(value) && !is.includes(value));
      if (gone !== undefined) violate(4, `"${gone}" at ${name} is somebody else's, and was taken out`);
      const added = is.filter((value) => !was.includes(value));
      for (const kind of ['spf', 'dmarc'] as const)
        if (ofKind(kind, after).length > 1 && added.some((value) => kinds[kind].test(value)))
          violate(4, `a second ${kind} record is made at ${name}: ${ofKind(kind, after).join(' | ')}`);
      for (const value of added) facts.ours.add(value);
      facts.owned = is.some((value) => facts.ours.has(value));
    },
    puts: (name, value) => void at(name).theirs.add(value),
    takes: (name, value) => void at(name).theirs.delete(value),
    isOurs: (name, value) => names.get(name)?.ours.has(value) === true,
    atTheEnd: (domain, zone, entry) => {
      for (const kind of ['spf', 'dmarc'] as const) {
        const name = recordNameOf(kind, domain);
        const facts = names.get(name);
        const wanted = entry === undefined || entry.leaving ? undefined : entry[kind]?.value;
        for (const server of zone.servers) {
          checked();
          const shown = ofKind(kind, answerOf(zone, server, name));
          if (wanted !== undefined && shown.join() !== wanted)
            violate(8, `${server.name} shows ${shown.join(' | ') || 'nothing'} at ${name}, not ${wanted}`);
          const left = shown.find((value) => value !== wanted && facts?.ours.has(value) === true);
          if (wanted === undefined && left !== undefined)
            violate(8, `${server.name} still shows ${left} at ${name}, which nobody wants`);
        }
        const standing = zone.standing.get(name)?.set.values ?? [];
        const lost = [...(facts?.theirs ?? [])].find((value) => !standing.includes(value));
        if (lost !== undefined) violate(4, `"${lost}" at ${name} is somebody else's, and is lost`);
      }
    },
  };
};
