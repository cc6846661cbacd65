// What an operator chooses beside the fleet, from CDK's context: `-c name=value` for one deployment, or `context` of
// cdk.json for all. Pure. What must hold from one deployment to the next belongs into cdk.json: docs/aws.md.

import { SelkieError } from '../core/errors.ts';
import { isDomainName } from '../core/names.ts';

/** Which of the bundle keys does what. Keys are numbered from 1, and none of them leaves the stack. */
export interface BundleKeys {
  /** The number of the key that signs. */
  readonly signing: number;
  /** The number of the key that hosts are told to trust besides. */
  readonly next?: number;
  /** Thumbprints (RFC 7638) of keys that hosts are to trust no more. */
  readonly retired: readonly string[];
  /** Key 1 is this one, which the stack did not make: a replica in another region. */
  readonly first?: string;
}

/** Which of the keys that encrypt secrets does so; those before it still decrypt. Numbered as bundle keys are. */
export interface VaultKeys {
  readonly current: number;
  /** As of bundle keys. */
  readonly first?: string;
}

export interface Settings {
  /** Path of the fleet file. */
  readonly fleet: string;
  readonly stackName: string;
  /** For tags; `production` where none is told. */
  readonly stage: string;
  /** Ledger, keys and logs go with the stack. */
  readonly ephemeral: boolean;
  /** The KMS keys may be replicated to other regions. */
  readonly multiRegion: boolean;
  readonly alarmEmail?: string;
  readonly bundleKeys: BundleKeys;
  readonly vaultKeys: VaultKeys;
  /** The table that a backup was restored to. */
  readonly ledgerTable?: string;
  /** An empty ledger stands in for one that is lost. */
  readonly ledgerLost: boolean;
  /** How much of Route 53's quota of an account may be spent: 0.1 to 1. */
  readonly quotaShare?: number;
  /** Requests in a second that AWS grants the accounts, where that was raised. */
  readonly quotaRequests?: number;
  /** Receives DMARC aggregate reports by mail; absent: none comes by mail. */
  readonly reports?: string;
  /** Why a fleet that would be refused is to be installed all the same: for one deployment, never in cdk.json. */
  readonly force?: string;
}

export const firstBundleKey: BundleKeys = { signing: 1, retired: [] };
export const firstVaultKey: VaultKeys = { current: 1 };

const bad = (name: string, value: unknown, wants: string): SelkieError =>
  new SelkieError('invalid', `-c ${name}=${String(value)}: ${wants}.`, { field: name });

const text = (name: string, value: unknown): string | undefined => {
  if (value === undefined || value === '') return undefined;
  if (typeof value === 'string') return value;
  throw bad(name, value, 'it is a text');
};

const flag = (name: string, value: unknown): boolean => {
  if (value === undefined || value === false || value === 'false') return false;
  if (value === true || value === 'true') return true;
  throw bad(name, value, 'it is true or false');
};

const share = (name: string, value: unknown): number | undefined => {
  if (value === undefined || value === '') return undefined;
  const number = Number(value);
  if (!(number >= 0.1 && number <= 1)) throw bad(name, value, 'a share from 0.1 to 1, such as 0.8');
  return number;
};

const rate = (name: string, value: unknown): number | undefined => {
  if (value === undefined || value === '') return undefined;
  const number = Number(value);
  if (!(number >= 1 && number <= 10_000))
    throw bad(name, value, 'requests in a second, as AWS granted them, such as 50');
  return number;
};

const keyNumber = (name: string, value: unknown): number | undefined => {
  if (value === undefined || value === '') return undefined;
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1 || number > 99)
    throw bad(name, value, 'keys are numbered 1, 2, 3 …');
  return number;
};

const keyArn = (name: string, value: unknown): { first?: string } => {
  const arn = text(name, value);
  if (arn === undefined) return {};
  if (!/^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[\w-]+$/.test(arn))
    throw bad(name, value, 'it is the ARN of a KMS key, such as an output of the stack selkie-keys');
  return { first: arn };
};

const tableName = (name: string, value: unknown): string | undefined => {
  const table = text(name, value);
  if (table !== undefined && !/^[\w.-]{3,255}$/.test(table))
    throw bad(name, value, 'it is the name of a DynamoDB table, such as selkie-restored-1');
  return table;
};

const bundleKeys = (get: (name: string) => unknown): BundleKeys => {
  const signing = keyNumber('bundleKey', get('bundleKey')) ?? 1;
  const next = keyNumber('bundleKeyNext', get('bundleKeyNext'));
  const retired = (text('bundleKeysRetired', get('bundleKeysRetired')) ?? '')
    .split(',')
    .flatMap((one) => (one.trim() === '' ? [] : [one.trim()]));
  if (next !== undefined && next !== signing + 1)
    throw bad(
      'bundleKeyNext',
      next,
      `key ${signing} signs, so the next is ${signing + 1}; when it signs (-c bundleKey=${signing + 1}), leave bundleKeyNext out`,
    );
  for (const one of retired)
    if (!/^[\w-]{43}$/.test(one))
      throw bad(
        'bundleKeysRetired',
        one,
        'it takes thumbprints (43 characters of base64url), with commas between; GET /v1/bundle-keys shows them as kid',
      );
  return {
    signing,
    ...(next === undefined ? {} : { next }),
    retired,
    ...keyArn('bundleKeyArn', get('bundleKeyArn')),
  };
};

/** A stack's name, so that names that CloudFormation makes from it still show which function's role it is. */
const stackForm = /^[A-Za-z][A-Za-z0-9-]{0,30}$/;

/** @throws invalid: a setting that is not of its form, or would destroy what nobody marked as a test */
export const readSettings = (get: (name: string) => unknown): Settings => {
  const stage = text('stage', get('stage'));
  if (stage !== undefined && !/^[a-z][a-z0-9-]{0,19}$/.test(stage))
    throw bad('stage', stage, 'small letters, digits and hyphens, at most 20, such as test');
  const stackName = text('stack', get('stack')) ?? (stage === undefined ? 'selkie' : `selkie-${stage}`);
  if (!stackForm.test(stackName))
    throw bad('stack', stackName, 'letters, digits and hyphens, at most 31, such as selkie');
  const ephemeral = flag('ephemeral', get('ephemeral'));
  if (ephemeral && stage === undefined)
    throw bad(
      'ephemeral',
      true,
      'ledger and keys would go with the stack; name a stage for that: -c stage=test',
    );
  const force = text('force', get('force'));
  if (force !== undefined && force.trim().length < 3)
    throw bad('force', force, 'say why, for the record: -c force="example.jp was sold"');
  const reports = text('reports', get('reports'));
  if (reports !== undefined && !isDomainName(reports))
    throw bad('reports', reports, 'a domain that receives nothing but reports, such as reports.example.jp');
  const quotaShare = share('quotaShare', get('quotaShare'));
  const quotaRequests = rate('quotaRequests', get('quotaRequests'));
  const alarmEmail = text('alarmEmail', get('alarmEmail'));
  const ledgerTable = tableName('ledgerTable', get('ledgerTable'));
  return {
    fleet: text('fleet', get('fleet')) ?? 'fleet.yaml',
    stackName,
    stage: stage ?? 'production',
    ephemeral,
    multiRegion: flag('multiRegion', get('multiRegion')),
    ...(alarmEmail === undefined ? {} : { alarmEmail }),
    bundleKeys: bundleKeys(get),
    vaultKeys: {
      current: keyNumber('vaultKey', get('vaultKey')) ?? 1,
      ...keyArn('vaultKeyArn', get('vaultKeyArn')),
    },
    ...(ledgerTable === undefined ? {} : { ledgerTable }),
    ledgerLost: flag('ledgerLost', get('ledgerLost')),
    ...(quotaShare === undefined ? {} : { quotaShare }),
    ...(quotaRequests === undefined ? {} : { quotaRequests }),
    ...(reports === undefined ? {} : { reports }),
    ...(force === undefined ? {} : { force }),
  };
};
