// What people do at the names of SPF and DMARC records, by hand: a verification string of another service, a record of their own,
// an edit of Selkie's, its removal.

import { minutes } from '../../core/time.ts';
import type { TxtSet } from '../../engine/ports.ts';
import type { WorldParts } from './parts.ts';
import { ofKind, recordNameOf } from './policy-judge.ts';
import { stream } from './random.ts';
import type { Item } from './scenario.ts';

const textOf = (kind: 'spf' | 'dmarc', index: number): string =>
  kind === 'spf'
    ? `v=spf1 ip4:10.2.${index >> 8}.${index & 255} ?all`
    : `v=DMARC1; p=none; ruf=mailto:by-hand-${index}@elsewhere.example`;

export const handOnPolicy = (
  parts: WorldParts,
  { domain, kind, how, for: length }: Extract<Item, { do: 'hand-policy' }>,
  index: number,
): void => {
  const { checker, dns, later, policyJudge: judge } = parts;
  const zone = checker.domains.get(domain)?.zone;
  if (zone === undefined) return;
  const name = recordNameOf(kind, domain);
  const standing = (): TxtSet | undefined => zone.standing.get(name)?.set;
  const put = (values: readonly string[]): void =>
    dns.put(zone, name, values.length === 0 ? undefined : { ttl: standing()?.ttl ?? minutes(5), values });
  const values = standing()?.values ?? [];
  const own = ofKind(kind, standing()).filter((value) => judge.isOurs(name, value));
  /** An administrator looks at the zone, at times before the hand has mended anything. */
  const audit = (): void => {
    const chance = stream(parts.scenario.seed, `audit of policies ${index}`);
    if (chance.chance(0.6))
      later(chance.int(0, length), () => parts.crew.send([{ kind: 'audit', zone: zone.zone.name }], 0));
  };
  const takeOut = (text: string): void => {
    const left = (standing()?.values ?? []).filter((value) => value !== text);
    if (left.length !== (standing()?.values ?? []).length) put(left);
  };
  const text = textOf(kind, index);
  switch (how) {
    case 'beside': {
      const string = `verification=${index}`;
      judge.puts(name, string);
      put([...values, string]);
      return;
    }
    case 'foreign': {
      judge.puts(name, text);
      put([...values, text]);
      later(length, () => {
        judge.takes(name, text);
        takeOut(text);
      });
      audit();
      return;
    }
    case 'edit':
      if (own.length === 0) return;
      put([...values.filter((value) => !own.includes(value)), text]);
      later(length, () => takeOut(text));
      audit();
      return;
    case 'remove':
      if (own.length === 0) return;
      put(values.filter((value) => !own.includes(value)));
      audit();
      return;
  }
};
