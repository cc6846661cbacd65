// Which policy records the fleet file wants of a domain, and where each lies. Pure.

import { authorization, authorizationName } from '../dmarc/organization.ts';
import { isDmarc, readDmarc, reportHost } from '../dmarc/record.ts';
import type { FleetDomain } from '../policy.ts';
import { isSpf } from '../spf/record.ts';
import type { PolicyKind, RecordId } from './evidence.ts';

export interface WantedRecord extends RecordId {
  readonly value: string;
  /** One that is not ours is taken over. */
  readonly adopt: boolean;
  /** Of `report`: the domain of the mailbox. */
  readonly host?: string;
}

/** Whether a TXT value is of this kind: so a set has at most one of them. */
export const isOfKind = (kind: PolicyKind, value: string): boolean =>
  kind === 'spf' ? isSpf(value) : isDmarc(value);

/** The deepest zone that holds a name: asked by labels, since a fleet may have many zones. */
export const zoneHolding = (name: string, zones: { has(zone: string): boolean }): string | undefined => {
  const labels = name.split('.');
  return labels.map((_, index) => labels.slice(index).join('.')).find((zone) => zones.has(zone));
};

export const dmarcName = (domain: string): string => `_dmarc.${domain}`;

/** The domains, besides the domain itself, of the mailboxes that its reports go to. */
export const reportHosts = (domain: string, dmarc: string): readonly string[] => {
  const { rua = [], ruf = [] } = readDmarc(dmarc).record;
  const hosts = [...rua, ...ruf].flatMap((uri) => reportHost(uri) ?? []);
  return [...new Set(hosts)].filter((host) => host !== domain);
};

type Entry = Pick<FleetDomain, 'domain' | 'spf' | 'dmarc'>;

const at = (kind: PolicyKind, name: string, zones: { has(zone: string): boolean }): RecordId => {
  const zone = zoneHolding(name, zones);
  return { kind, name, ...(zone === undefined ? {} : { zone }) };
};

export const wantedRecords = (
  { domain, spf, dmarc }: Entry,
  zones: { has(zone: string): boolean },
): readonly WantedRecord[] => [
  ...(spf === undefined
    ? []
    : [{ ...at('spf', domain, zones), value: spf.value, adopt: spf.adopt === true }]),
  ...(dmarc === undefined
    ? []
    : [
        { ...at('dmarc', dmarcName(domain), zones), value: dmarc.value, adopt: dmarc.adopt === true },
        ...reportHosts(domain, dmarc.value).map((host) => ({
          ...at('report', authorizationName(domain, host), zones),
          value: authorization,
          adopt: false,
          host,
        })),
      ]),
];
