// A key record as text for wherever the zone is kept. Pure but for YAML's printer.
import { stringify } from 'yaml';
import { printKeyRecord } from '../core/dkim/key-record.ts';
import { printStrings, printValue, splitValue } from '../core/dkim/txt.ts';
import { isWithin } from '../core/names.ts';
import { type Duration, seconds } from '../core/time.ts';

export interface ShownRecord {
  readonly domain: string;
  readonly selector: string;
  /** The zone that it lies in, and its name there. */
  readonly zone: string;
  readonly name: string;
  readonly ttl: Duration;
  readonly value: string;
}

/** As it is written within its zone. */
const hostOf = ({ name, zone }: ShownRecord): string =>
  isWithin(name, zone) && name !== zone ? name.slice(0, -zone.length - 1) : name;

const ttlOf = ({ ttl }: ShownRecord): number => ttl / seconds(1);

/** In quotes for HCL, where `${` and `%{` begin a template: https://developer.hashicorp.com/terraform/language/expressions/strings */
const hcl = (text: string): string =>
  `"${text.replaceAll(/["\\]/g, '\\$&').replaceAll(/([$%])\{/g, '$1$1{')}"`;

const panel = (record: ShownRecord): string => {
  const strings = splitValue(record.value);
  return [
    `name   ${hostOf(record)}`,
    `       (in full ${record.name}; the panel may add .${record.zone} itself)`,
    'type   TXT',
    `TTL    ${ttlOf(record)}, or less where the panel has no such choice`,
    'value',
    record.value,
    ...(strings.length === 1
      ? []
      : ['or, where the panel wants strings of at most 255 characters:', printStrings(strings, 'zone')]),
  ].join('\n');
};

/** The DNS provider of HashiCorp (RFC 2136); others have the same fields under names of their own. */
const terraform = (record: ShownRecord): string =>
  [
    `resource "dns_txt_record_set" "${`selkie_${record.selector}_${record.domain}`.replaceAll(/[^a-z0-9_]/g, '_')}" {`,
    `  zone = ${hcl(`${record.zone}.`)}`,
    `  name = ${hcl(hostOf(record))}`,
    `  ttl  = ${ttlOf(record)}`,
    `  txt  = [${hcl(record.value)}]`,
    '}',
  ].join('\n');

const printers = {
  /** The joined value itself. */
  value: ({ value }) => value,
  /** A line of a zone file, with its whole name: it means the same under any $ORIGIN. */
  zone: (record) => `${record.name}. ${ttlOf(record)} IN TXT ( ${printValue(record.value, 'zone')} )`,
  /** The text of Route 53's value field. */
  route53: ({ value }) => printValue(value, 'route53'),
  /** octoDNS wants semicolons escaped, and cuts values itself. */
  octodns: (record) =>
    stringify(
      {
        [hostOf(record)]: { ttl: ttlOf(record), type: 'TXT', value: record.value.replaceAll(';', '\\;') },
      },
      { lineWidth: 0 },
    ),
  /** As opendkim-genkey writes SELECTOR.txt: for the zone of the domain itself. */
  opendkim: (record) => printKeyRecord(record, 'zone'),
  /** For a person with a panel. */
  panel,
  terraform,
} satisfies Readonly<Record<string, (record: ShownRecord) => string>>;

export type ShownFormat = keyof typeof printers;

export const shownFormats = Object.keys(printers) as readonly ShownFormat[];

export const showRecord = (record: ShownRecord, format: ShownFormat): string =>
  printers[format](record).trimEnd();
