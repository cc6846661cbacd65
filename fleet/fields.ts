// The kinds of values in the fleet file, each with its check, its words for what is wrong, and what an editor shows.
// Zod and node:crypto; no I/O. An error says what is wrong and the mend, without the place: read.ts adds that.

import { X509Certificate } from 'node:crypto';
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { z } from 'zod';
import { type Duration, days, formatDuration, parseDuration, seconds } from '../core/time.ts';
import { dnsName } from './name.ts';
import { didYouMean } from './suggest.ts';

const isoPattern = '^P(\\d+W)?(\\d+D)?(T(\\d+H)?(\\d+M)?(\\d+(\\.\\d{1,3})?S)?)?$';

/** Why a text is no duration of fixed length: ISO 8601 §5.5.2. */
const durationFault = (text: string): string => {
  if (/^P[^T]*[MY]/.test(text)) return 'has years or months, which vary in length; write days, such as P90D';
  const spoken = /^(\d+)\s*(s|m|min|h|d|w)[a-z]*$/i.exec(text);
  if (spoken !== null) {
    const [, n = '', unit = ''] = spoken;
    const letter = unit.slice(0, 1).toUpperCase();
    return `is not an ISO 8601 duration; write ${'DW'.includes(letter) ? 'P' : 'PT'}${n}${letter}`;
  }
  if (/^p/.test(text))
    return `is not an ISO 8601 duration: its letters are capitals, such as ${text.toUpperCase()}`;
  return 'is not an ISO 8601 duration, such as P90D (days), PT1H (hours) or PT15M (minutes)';
};

interface Bounds {
  readonly least: Duration;
  readonly most: Duration;
  /** The number is written into DNS, where a TTL is whole seconds: RFC 2181 §8. */
  readonly wholeSeconds?: true;
}

const checkDuration = (text: string, bounds: Bounds, context: z.core.$RefinementCtx): Duration => {
  const fail = (message: string): Duration => {
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  };
  const length = parseDuration(text);
  if (length === undefined) return fail(durationFault(text));
  if (length < bounds.least) return fail(`is too short; ${formatDuration(bounds.least)} is the least`);
  if (length > bounds.most) return fail(`is too long; ${formatDuration(bounds.most)} is the most`);
  if (bounds.wholeSeconds && length % seconds(1) !== 0) return fail('is not a whole number of seconds');
  return length;
};

export const durationField = (bounds: Bounds, description: string, examples: string[]) =>
  z
    .string()
    .meta({ description, examples, pattern: isoPattern })
    .transform((text, context) => checkDuration(text, bounds, context));

/** What `on-demand` reads as. */
export const onDemand = 'on-demand';

export const rotateEveryField = z
  .string()
  .meta({
    description:
      "How often the domain gets a new key: an ISO 8601 duration of at least a day, such as P90D, or 'on-demand' for never by itself. Default P90D.",
    examples: ['P90D', 'P30D', onDemand],
    pattern: `^${onDemand}$|${isoPattern}`,
  })
  .transform((text, context): Duration | typeof onDemand =>
    text === onDemand ? onDemand : checkDuration(text, { least: days(1), most: days(3_650) }, context),
  );

const knownZones = new Set<string>(['UTC']);
const isTimeZone = (text: string): boolean => {
  if (knownZones.has(text)) return true;
  if (/^[+-]/.test(text)) return false;
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: text });
    knownZones.add(text);
    return true;
  } catch {
    return false;
  }
};

export const timeZoneField = z
  .string()
  .meta({
    description: 'The IANA time zone in whose calendar selectors (YYMMDD) are named. Default UTC.',
    examples: ['UTC', 'Asia/Tokyo', 'Europe/Berlin'],
  })
  .superRefine((text, context) => {
    if (!isTimeZone(text))
      context.addIssue({
        code: 'custom',
        message: `is not an IANA time zone, such as Asia/Tokyo${didYouMean(text, Intl.supportedValuesOf('timeZone'))}`,
      });
  });

/** `n=` goes into the record as it is: printable ASCII but for `;` and `=` (RFC 6376 §2.11, §3.2). */
export const noteField = z
  .string()
  .max(200, 'is longer than 200 characters; every answer of the name servers carries it')
  .regex(
    /^[!-:<>-~]([ -:<>-~]*[!-:<>-~])?$/,
    "may have printable ASCII without ';' and '=', and no space at its ends",
  )
  .describe('`n=`: a note for people who read the record. It costs bytes in every answer.');

/** 32 raw bytes: RFC 8037 §2. */
export const publicKeyField = (description: string) =>
  z
    .string({
      error: (found) =>
        found.input === undefined
          ? 'is missing: run `selkie-agent enrol` on the host, which prints this entry'
          : undefined,
    })
    .refine(
      (text) =>
        /^[A-Za-z0-9_-]{43}$/.test(text) && Buffer.from(text, 'base64url').toString('base64url') === text,
      'is not a public key of 32 bytes in base64url (43 characters); copy what `selkie-agent enrol` printed',
    )
    .meta({ description, pattern: '^[A-Za-z0-9_-]{43}$' });

const isCertificate = (text: string): boolean => {
  if (!/^-----BEGIN CERTIFICATE-----\r?\n/.test(text) || text.includes('PRIVATE KEY')) return false;
  try {
    new X509Certificate(text);
    return true;
  } catch {
    return false;
  }
};

export const certificateField = z
  .string()
  .refine(
    isCertificate,
    'is not a certificate in PEM; copy what `selkie-agent enrol` printed, from -----BEGIN CERTIFICATE----- on, under `certificate: |`',
  )
  .describe('The certificate that the endpoint shows, in PEM: pinned. Needed where there is an endpoint.');

export const endpointField = z
  .string()
  .superRefine((text, context) => {
    const fail = (message: string) => context.addIssue({ code: 'custom', message });
    const url = URL.parse(text);
    if (url === null) fail('is not a URL, such as https://mx1.example.jp:8463');
    else if (url.protocol !== 'https:') fail('is not an https URL, such as https://mx1.example.jp:8463');
    else if (url.username !== '' || url.password !== '')
      fail('has credentials; hosts know bundles by their signature');
    else if (url.search !== '' || url.hash !== '' || url.pathname !== '/')
      fail(`has more than a host and a port; write ${url.origin}`);
  })
  .meta({
    description:
      'Where the agent listens for pushed keys, https://host:port. Leave it out where the host can only be reached by its own pulls.',
    pattern: '^https://',
    examples: ['https://mx1.example.jp:8463'],
  });

const isPort = (text: string): boolean => /^[1-9]\d{0,4}$/.test(text) && Number(text) < 65_536;

const isNameServer = (text: string): boolean => {
  const bracketed = /^\[([^\]]+)\]:(.*)$/.exec(text);
  if (bracketed !== null) return isIPv6(bracketed[1] ?? '') && isPort(bracketed[2] ?? '');
  if (isIP(text) !== 0) return true;
  const [address = '', port] = text.split(':');
  if (port !== undefined) return isIPv4(address) && isPort(port);
  return 'name' in dnsName(text);
};

export const nameServerField = z
  .string()
  .refine(
    isNameServer,
    'is not a name server; write a host name, an address, or address:port (IPv6 in brackets where a port follows)',
  );
