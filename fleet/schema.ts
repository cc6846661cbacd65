// The shape of fleet.yaml: which fields there are, what each may hold, and the words that an editor shows for it
// (docs/fleet.schema.json is written from here by write-schema.ts). Zod; no I/O. What one field means for another
// (a domain's zone, a host's pool) is resolve.ts.

import { z } from 'zod';
import { type AlgorithmFacts, algorithms, isAlgorithm, isMade, type KeyType } from '../core/algorithm.ts';
import { isDnsName, lowerName } from '../core/names.ts';
import type { AdoptedKey } from '../core/policy.ts';
import { days, hours, milliseconds, minutes } from '../core/time.ts';
import { readAdoptedKey } from './adopted-key.ts';
import { dmarcField } from './dmarc-field.ts';
import {
  certificateField,
  durationField,
  endpointField,
  nameServerField,
  noteField,
  publicKeyField,
  rotateEveryField,
  timeZoneField,
} from './fields.ts';
import { addressesField, spfField } from './spf-field.ts';
import { didYouMean } from './suggest.ts';

const algorithmNames = Object.keys(algorithms).filter(isAlgorithm).filter(isMade);

const algorithm = z.enum(algorithmNames, {
  error: (found) =>
    `is not an algorithm; choose from ${algorithmNames.join(', ')}${
      typeof found.input === 'string' ? didYouMean(found.input, algorithmNames) : ''
    }`,
});

const algorithmList = z
  .array(algorithm)
  .min(1, 'is empty; name at least one algorithm, such as [rsa2048]')
  .superRefine((list, context) => {
    const byType = Map.groupBy(list, (name): AlgorithmFacts['keyType'] => algorithms[name].keyType);
    for (const [keyType, same] of byType)
      if (same.length > 1)
        context.addIssue({
          code: 'custom',
          message: `has ${same.join(' and ')}: at most one ${keyType} key signs for a domain; remove one`,
        });
  })
  .describe(
    'The keys that sign, all of them on every message: at most one RSA and one Ed25519 (RFC 8463). Default [rsa2048].',
  );

const record = z
  .strictObject({
    hashes: z
      .literal('sha256', "may only be 'sha256'")
      .optional()
      .describe('`h=sha256`: receivers accept no other hash (RFC 6376 §3.6.1).'),
    service: z
      .literal('email', "may only be 'email'")
      .optional()
      .describe('`s=email`: the key serves e-mail only (RFC 6376 §3.6.1).'),
    strict: z
      .boolean()
      .optional()
      .describe('`t=s`: addresses of sub-domains may not be signed with it; `i=` must be exactly `d=`.'),
    note: noteField.optional(),
  })
  .describe('Further tags of the key record: RFC 6376 §3.6.1.');

const nothing = milliseconds(0);

const policyFields = {
  rotateEvery: rotateEveryField.optional(),
  algorithms: algorithmList.optional(),
  record: record.optional(),
  ttl: durationField(
    { least: minutes(1), most: days(1), wholeSeconds: true },
    'TTL of the key record, PT1M to P1D. Default PT1H.',
    ['PT1H', 'PT5M'],
  ).optional(),
  downstreamQueue: durationField(
    { least: nothing, most: days(60) },
    'How long mail may lie in queues that none of these hosts reports, such as a relay behind them. A retired key stays published at least so long. Default P5D.',
    ['P5D'],
  ).optional(),
  drainMargin: durationField(
    { least: nothing, most: days(60) },
    'What is added to every drain: receivers that verify late. Default P2D.',
    ['P2D'],
  ).optional(),
  reportedDrain: durationField(
    { least: nothing, most: days(60) },
    'How much longer a drain may last because DMARC aggregate reports still show the retired key; PT0S: they change nothing. Default P14D.',
    ['P14D', 'PT0S'],
  ).optional(),
  hold: durationField(
    { least: minutes(1), most: days(365) },
    'How long a revoked key says so (an empty p=) before its record is deleted; at least the TTL. Default P7D.',
    ['P7D'],
  ).optional(),
  timeZone: timeZoneField.optional(),
  skewBound: durationField(
    { least: nothing, most: hours(1) },
    'What every wait adds for clocks that differ. Default PT5M.',
    ['PT5M'],
  ).optional(),
  fenceAfter: durationField(
    { least: minutes(1), most: days(7) },
    'In an emergency: how long a host may be silent before the others go on without it. Default PT10M.',
    ['PT10M'],
  ).optional(),
  disclose: z
    .enum(['never', 'after-removal'], "may be 'never' or 'after-removal'")
    .optional()
    .describe(
      "'after-removal': the private half of a retired key is published once its record is gone from every name server, so that what was signed with it proves nothing any more. Default never.",
    ),
};

const recordFields = { spf: spfField.optional(), dmarc: dmarcField.optional() };

export const defaultsEntry = z
  .strictObject({ ...policyFields, ...recordFields })
  .describe('The policy of every domain that says nothing else.');

const adoptedKey = z
  .strictObject({
    selector: z
      .string()
      .transform(lowerName)
      .refine((text) => isDnsName(text), 'is not a selector, such as mail')
      .describe('Its selector, s=.'),
    record: z
      .string()
      .transform(lowerName)
      .refine((text) => isDnsName(text), 'is not a DNS name, such as mail.example.com.keys.example.net')
      .optional()
      .describe(
        "Where its CNAME leads, of a domain with `cname`. Default: as that says. The record is taken over, so no other domain's CNAME may lead there.",
      ),
    publicKey: z
      .string({
        error: (found) =>
          found.input === undefined
            ? 'is missing: run `selkie-agent adopt` on a host that has the key, which prints this entry'
            : undefined,
      })
      .transform((text, context) => {
        const publicKey = text.replaceAll(/\s/g, '');
        const read = readAdoptedKey(publicKey);
        if ('algorithm' in read) return { publicKey, algorithm: read.algorithm };
        context.addIssue({ code: 'custom', message: read.wrong });
        return z.NEVER;
      })
      .describe('Its public half: what the record says behind p=, base64.'),
  })
  .transform(
    ({ selector, record, publicKey: { publicKey, algorithm } }): AdoptedKey => ({
      selector,
      algorithm,
      publicKey,
      ...(record === undefined ? {} : { record }),
    }),
  )
  .describe('A key that signs already. `selkie-agent adopt` prints it.');

const adoptedKeys = z
  .array(adoptedKey)
  .superRefine((list, context) => {
    for (const [keyType, same] of Map.groupBy(list, (key): KeyType => algorithms[key.algorithm].keyType))
      if (same.length > 1)
        context.addIssue({
          code: 'custom',
          message: `has ${same.map(({ selector }) => selector).join(' and ')}: at most one ${keyType} key signs for a domain; name the one that most hosts have`,
        });
  })
  .describe(
    'Keys that it signs with before Selkie has any for it, at most one RSA and one Ed25519: they are taken over with their records as they stand, and the first rotation retires them. No effect once the domain has keys.',
  );

export const domainEntry = z
  .strictObject({
    zone: z
      .string()
      .optional()
      .describe('The zone of `zones` that its key records go into. Default: the deepest that holds them.'),
    pool: z.string().optional().describe('The hosts that sign for it. Default: the only pool.'),
    state: z
      .enum(['active', 'leaving'], "may be 'active' or 'leaving'")
      .optional()
      .describe(
        "'leaving': its keys drain, are revoked and removed. Wait for that before you take the domain out of this file.",
      ),
    cname: z
      .string()
      .optional()
      .describe(
        "Where the domain's own zone is somebody else's: the key records lie in a zone of this file, at 240128._domainkey.<domain>.<cname>, and the domain's zone leads there, by one DNAME at _domainkey.<domain>, or by a CNAME for each selector. Such as keys.example.net.",
      ),
    adopted: adoptedKeys.optional(),
    ...recordFields,
    ...policyFields,
  })
  .describe('A domain that mail is signed for (d=). Nothing behind the colon: all by the defaults.');

export const zoneEntry = z
  .strictObject({
    provider: z
      .enum(['route53', 'manual'], "may be 'route53' or 'manual'")
      .optional()
      .describe(
        "'manual': no program can change the zone. Selkie says what to paste into its panel (selkie paste), waits until every name server shows it, and goes on. Default route53.",
      ),
    id: z
      .string()
      .regex(/^Z[A-Z0-9]{1,31}$/, 'is not a hosted zone id, such as Z0123456789ABC')
      .optional()
      .describe("Route 53's hosted zone id, such as Z0123456789ABC. Not of a manual zone."),
    role: z
      .strictObject({
        arn: z
          .string()
          .regex(
            /^arn:aws(-[a-z]+)*:iam::\d{12}:role\/[\w+=,.@/-]+$/,
            'is not the ARN of a role, such as arn:aws:iam::123456789012:role/selkie-zones',
          )
          .describe('The role to assume.'),
        externalId: z
          .string()
          .regex(/^[\w+=,.@:/-]{2,1224}$/, 'is not an external id (2 to 1,224 letters, digits and +=,.@:/-_)')
          .optional()
          .describe("The external id that the role's trust policy asks for."),
      })
      .optional()
      .describe('Where the zone is in another AWS account: the role there that may change it.'),
    nameServers: z
      .array(nameServerField)
      .min(1, 'is empty; leave it out to ask the servers that the parent zone names')
      .optional()
      .describe(
        "The zone's authoritative servers, where they are not those that the parent zone delegates to.",
      ),
  })
  .superRefine(({ provider, id, role }, context) => {
    const blame = (field: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [field], message });
    if (provider !== 'manual' && id === undefined)
      blame(
        'id',
        'is missing: write the hosted zone id that Route 53 shows, such as Z0123456789ABC; or provider: manual, where no program can change the zone',
      );
    if (provider !== 'manual') return;
    if (id !== undefined) blame('id', 'is of Route 53, and the provider is manual; leave one of them out');
    if (role !== undefined) blame('role', 'is of AWS, and the provider is manual; leave it out');
  })
  .describe(
    'A zone that key records are written into: a hosted zone of Route 53, or one that people change.',
  );

/** Names of pools and the like are labels: they stand in the ledger's keys. */
export const poolName = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
    'may have small letters, digits and hyphens, such as outbound',
  );

export const hostEntry = z
  .strictObject({
    pool: z.string().optional().describe('The pool that it belongs to. Default: the only pool.'),
    endpoint: endpointField.optional(),
    encryptionKey: publicKeyField(
      "The host's X25519 public key: keys are sealed to it. 32 bytes, base64url.",
    ),
    signingKey: publicKeyField(
      "The host's Ed25519 public key: its answers are signed by it. 32 bytes, base64url.",
    ),
    certificate: certificateField.optional(),
    addresses: addressesField.optional(),
    keyTypes: z
      .array(z.enum(['rsa', 'ed25519'], "may have 'rsa' and 'ed25519'"))
      .min(1, 'is empty; leave it out where the host signs with every key type')
      .optional()
      .describe(
        'The key types that its signer can sign with: [rsa] where OpenDKIM signs. Others are not sent to it. Default: all.',
      ),
  })
  .superRefine((host, context) => {
    if (host.endpoint !== undefined && host.certificate === undefined)
      context.addIssue({
        code: 'custom',
        path: ['endpoint'],
        message: 'has no certificate beside it; copy the one that `selkie-agent enrol` printed',
      });
  })
  .describe('A mail host. `selkie-agent enrol` prints its entry.');

export const vaultEntry = z
  .strictObject({
    layout: z
      .enum(['per-key', 'sharded'], "may be 'per-key' or 'sharded'")
      .optional()
      .describe(
        "How private keys lie in Secrets Manager, which costs by the secret. 'per-key': one secret for each, for some hundred domains. 'sharded': about 38 RSA-2048 keys in each. After a change, each key stays where it is until it is rotated. Default per-key.",
      ),
    replicas: z
      .array(
        z
          .string()
          .regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'is not a region of AWS, such as eu-central-1')
          .describe('A region, such as eu-central-1.'),
      )
      .superRefine((list, context) => {
        const twice = list.find((region, index) => list.indexOf(region) !== index);
        if (twice !== undefined)
          context.addIssue({ code: 'custom', message: `has ${twice} twice; remove one` });
      })
      .optional()
      .describe(
        'Regions that each new secret is copied to, so that keys outlive the loss of the region of the stack. Not that region itself. Default none.',
      ),
  })
  .describe('Where private keys are kept, on AWS.');

/** The whole file, for editors; read.ts checks each entry by itself, so that one mistake hides no other. */
export const fleetFile = z
  .strictObject({
    defaults: defaultsEntry.nullable().optional(),
    domains: z.record(z.string(), domainEntry.nullable()).describe('The domains that mail is signed for.'),
    zones: z.record(z.string(), zoneEntry).describe('The hosted zones that key records are written into.'),
    pools: z
      .union([z.array(poolName).min(1), z.record(poolName, z.strictObject({}).nullable())])
      .describe('Names of pools: groups of mail hosts that sign the same domains.'),
    hosts: z.record(z.string(), hostEntry).nullable().optional().describe('The mail hosts.'),
    vault: vaultEntry.nullable().optional(),
  })
  .meta({ title: 'Selkie fleet', description: 'Which domains, zones, pools and mail hosts there are.' });

export type PolicyFields = Omit<z.output<typeof defaultsEntry>, 'spf' | 'dmarc'>;
