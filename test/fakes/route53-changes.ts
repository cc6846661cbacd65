// Record sets and changes of the strict Route 53: read from XML, judged, done, printed. Pure.
import { faultOfTxt, listedName } from './route53-values.ts';
import { all, type Element, escapeXml, one, textOf } from './xml.ts';

export interface ListedSet {
  readonly name: string;
  readonly type: string;
  readonly ttl?: number;
  /** As they were written, quoting included. */
  readonly values: readonly string[];
  readonly setIdentifier?: string;
  readonly alias?: { readonly zone: string; readonly name: string };
}

const sameSet = (a: ListedSet, b: ListedSet): boolean =>
  a.ttl === b.ttl &&
  a.setIdentifier === b.setIdentifier &&
  a.alias?.name === b.alias?.name &&
  JSON.stringify(a.values.toSorted()) === JSON.stringify(b.values.toSorted());

export interface AskedChange {
  readonly action: string;
  readonly set: ListedSet;
}

export const readChange = (change: Element): AskedChange => {
  const set = one(change, 'ResourceRecordSet');
  const [ttl, setIdentifier, alias] = [
    textOf(set, 'TTL'),
    textOf(set, 'SetIdentifier'),
    one(set, 'AliasTarget'),
  ];
  return {
    action: textOf(change, 'Action') ?? '',
    set: {
      name: listedName(
        (textOf(set, 'Name') ?? '').replaceAll(/\\(\d{3})/g, (_, o: string) =>
          String.fromCharCode(Number.parseInt(o, 8)),
        ),
      ),
      type: textOf(set, 'Type') ?? '',
      values: all(one(set, 'ResourceRecords'), 'ResourceRecord').map((r) => textOf(r, 'Value') ?? ''),
      ...(ttl === undefined ? {} : { ttl: Number(ttl) }),
      ...(setIdentifier === undefined ? {} : { setIdentifier }),
      ...(alias === undefined
        ? {}
        : { alias: { zone: textOf(alias, 'HostedZoneId') ?? '', name: textOf(alias, 'DNSName') ?? '' } }),
    },
  };
};

/** What is wrong with a change before it is held against the zone. */
export const faultOf = (zone: string, { action, set }: AskedChange): string | undefined => {
  if (set.name !== zone && !set.name.endsWith(`.${zone}`))
    return `RRSet with DNS name ${set.name} is not permitted in zone ${zone}`;
  if (action === 'DELETE') return undefined;
  if (set.values.length === 0 || set.ttl === undefined)
    return `Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords]] for ${set.name}`;
  if (new Set(set.values).size < set.values.length) return `Duplicate Resource Record: '${set.values[0]}'`;
  return set.values.map(faultOfTxt).find((fault) => fault !== undefined);
};

/** Changes `sets` in the order asked. @returns what does not fit */
export const applyAll = (sets: ListedSet[], changes: readonly AskedChange[]): string[] => {
  const faults: string[] = [];
  for (const { action, set } of changes) {
    const sameName = (other: ListedSet) => other.name === set.name && other.type === set.type;
    const at = sets.findIndex((other) => sameName(other) && other.setIdentifier === set.setIdentifier);
    const there = sets[at];
    const what = `[name='${set.name}', type='${set.type}']`;
    if (action === 'CREATE') {
      if (sets.some(sameName))
        faults.push(`Tried to create resource record set ${what} but it already exists`);
      else sets.push(set);
    } else if (action === 'UPSERT') {
      if (there !== undefined) sets.splice(at, 1);
      sets.push(set);
    } else if (there === undefined) {
      faults.push(`Tried to delete resource record set ${what} but it was not found`);
    } else if (!sameSet(there, set)) {
      faults.push(
        `Tried to delete resource record set ${what} but the values provided do not match the current values`,
      );
    } else sets.splice(at, 1);
  }
  return faults;
};

export const printSet = (set: ListedSet): string =>
  [
    `<ResourceRecordSet><Name>${escapeXml(set.name)}</Name><Type>${set.type}</Type>`,
    set.setIdentifier === undefined
      ? ''
      : `<SetIdentifier>${escapeXml(set.setIdentifier)}</SetIdentifier><Weight>1</Weight>`,
    set.ttl === undefined ? '' : `<TTL>${set.ttl}</TTL>`,
    set.values.length === 0
      ? ''
      : `<ResourceRecords>${set.values.map((v) => `<ResourceRecord><Value>${escapeXml(v)}</Value></ResourceRecord>`).join('')}</ResourceRecords>`,
    set.alias === undefined
      ? ''
      : `<AliasTarget><HostedZoneId>${set.alias.zone}</HostedZoneId><DNSName>${escapeXml(set.alias.name)}</DNSName><EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget>`,
    '</ResourceRecordSet>',
  ].join('');
