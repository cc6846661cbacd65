// Watches an AWS account and its mail hosts from outside, in the order in which things take effect, and says what must never
// be (the numbers are the invariants of docs/lifecycle.md). It reads requests, the hosts' key stores and signed messages;
// it never asks the product.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { DomainRow, Rotation } from '../../core/key/evidence.ts';
import { keyRecordName } from '../../core/names.ts';
import type { Policy } from '../../core/policy.ts';
import { add, formatInstant, type Instant } from '../../core/time.ts';
import type { HostRow, LogEntry } from '../../engine/ports.ts';
import type { ListedSet } from '../fakes/route53-changes.ts';
import { type Asked, jsonOf } from './aws-request.ts';
import type { Records, Watcher } from './strict-account.ts';

export interface WatchOptions {
  readonly now: () => Instant;
  readonly policy: Policy;
  readonly domains: readonly string[];
  /** `<prefix>/<domain>/<selector>` is a secret's name. */
  readonly secretPrefix: string;
  /** Host → the index of its key store. */
  readonly stores: ReadonlyMap<string, string>;
  /** What each name server shows at this moment. */
  readonly views: () => readonly Records[];
  /** One line for each violation, when it is seen. */
  readonly log: (line: string) => void;
}

export interface Watch extends Watcher {
  readonly violations: readonly string[];
  violate(says: string): void;
  /** A host signed a message. */
  signed(domain: string, selector: string): void;
  /** What any part of the product printed. */
  printed(line: string): void;
  isCompromised(domain: string, selector: string): boolean;
  /** The newest rows that the ledger took. */
  readonly domains: ReadonlyMap<string, DomainRow>;
  readonly hosts: ReadonlyMap<string, HostRow>;
  /** Every rotation that any row ever bore. */
  readonly rotations: ReadonlyMap<string, Rotation & { readonly domain: string }>;
  /** Secret's name → whether it is scheduled for deletion. */
  readonly secrets: ReadonlyMap<string, { readonly deleted: boolean }>;
  /** Keys that were destroyed: whole lives. */
  readonly lives: ReadonlySet<string>;
  isReady(host: string): boolean;
  dutyOf(host: string, domain: string, selector: string): string | undefined;
}

/** PKCS #8 of RSA-2048 and Ed25519 in base64, and every PEM of a private key. */
const privateKeys = /MII[A-Za-z0-9+/_-]{3}IBADANBgkqhkiG9w0BAQEFAASC|MC4CAQAwBQYDK2VwBCIEI|PRIVATE KEY/;

/** The value of a set, its strings joined. */
const textOf = (set: ListedSet | undefined): string | undefined =>
  set === undefined
    ? undefined
    : set.values
        .map((value) => [...value.matchAll(/"([^"]*)"/g)].map(([, text]) => text).join(''))
        .join('\n');

const publicPart = (value: string | undefined): string =>
  /(?:^|;)\s*p=([^;]*)/.exec(value ?? '')?.[1]?.trim() ?? '';

/** `p=` of the record for a private key: RFC 6376 §3.6.1, RFC 8463 §4.2. */
const publicOf = (pkcs8: Buffer): string => {
  const key = createPublicKey(createPrivateKey({ key: pkcs8, type: 'pkcs8', format: 'der' }));
  const der = key.export({ type: 'spki', format: 'der' });
  return (key.asymmetricKeyType === 'rsa' ? der : der.subarray(-32)).toString('base64');
};

/** As DynamoDB's JSON writes an item; the ledger has strings and numbers only. */
export type Item = Readonly<Record<string, { readonly S?: string; readonly N?: string }>>;

/** What a write of the ledger puts. */
const putsOf = ({ operation, body }: Asked): readonly Item[] => {
  if (operation !== 'TransactWriteItems') return [];
  const items = jsonOf(body).TransactItems as readonly { readonly Put?: { readonly Item: Item } }[];
  return items.flatMap(({ Put }) => (Put === undefined ? [] : [Put.Item]));
};

/** Facts that may be taken back while nothing rests on them: the change whose id was lost. */
const retractable = new Set(['created', 'tombstoned', 'deleted']);

export const createWatch = ({
  now,
  policy,
  domains,
  secretPrefix,
  stores,
  views,
  log,
}: WatchOptions): Watch => {
  const violations: string[] = [];
  const violate = (says: string): void => {
    violations.push(`${formatInstant(now())} ${says}`);
    log(`VIOLATION ${says}`);
  };
  const rows = new Map<string, DomainRow>();
  const hosts = new Map<string, HostRow>();
  const rotations = new Map<string, Rotation & { readonly domain: string }>();
  const secrets = new Map<string, { readonly publicKey: string; readonly deleted: boolean }>();
  const lives = new Set<string>();
  const keyTails = new Set<string>();
  const everShown = new Map<string, string>();
  /** Names of key records whose keys hosts were told to sign with, or did. */
  const maySign = new Set<string>();
  const lastSigned = new Map<string, Instant>();
  const entombed = new Map<string, Instant>();
  let current: ReadonlyMap<string, string> = new Map();

  const nameParts = (name: string): { readonly domain: string; readonly selector: string } | undefined => {
    const domain = domains.find((each) => name.endsWith(`._domainkey.${each}`));
    return domain === undefined
      ? undefined
      : { domain, selector: name.slice(0, -`._domainkey.${domain}`.length) };
  };
  const secretOf = (domain: string, selector: string): string => `${secretPrefix}/${domain}/${selector}`;
  const keyOf = (domain: string, selector: string) =>
    rows.get(domain)?.keys.find((key) => key.selector === selector);
  const isCompromised = (domain: string, selector: string): boolean =>
    keyOf(domain, selector)?.evidence.compromised !== undefined;
  const isReady = (host: string): boolean => {
    const row = hosts.get(host);
    return row?.complete === true && row.fenced === undefined && row.excluded === undefined;
  };
  const dutyOf = (host: string, domain: string, selector: string): string | undefined => {
    const index = JSON.parse(readFileSync(stores.get(host) ?? '', 'utf8')) as {
      readonly keys: Readonly<Record<string, readonly [string, string]>>;
    };
    return index.keys[`${domain}/${selector}`]?.[1];
  };
  const choseUnsigned = (domain: string): boolean =>
    rows.get(domain)?.rotations.some((r) => r.unsigned === true) ?? false;

  /** A key record is about to be withdrawn, by a tombstone or without one. */
  const withdrawing = (name: string, domain: string, selector: string): void => {
    if (isCompromised(domain, selector)) {
      const signer = [...stores.keys()].find(
        (host) => isReady(host) && dutyOf(host, domain, selector) === 'signing',
      );
      if (signer !== undefined && !choseUnsigned(domain))
        violate(`6: ${name} is revoked while the ready host ${signer} may sign with it`);
      return;
    }
    const signed = lastSigned.get(name);
    const until =
      signed === undefined ? undefined : add(signed, policy.downstreamQueue, policy.ttl, policy.drainMargin);
    if (until !== undefined && now() < until)
      violate(
        `1: ${name} is withdrawn before ${formatInstant(until)}; mail was signed with it at ${formatInstant(signed ?? now())}`,
      );
    for (const host of stores.keys())
      if (isReady(host) && dutyOf(host, domain, selector) === 'signing')
        violate(`6: ${name} is withdrawn while the ready host ${host} signs with it`);
  };

  const changedName = (name: string, old: ListedSet | undefined, next: ListedSet | undefined): void => {
    const parts = nameParts(name);
    if (parts === undefined) {
      violate(`4: a record that is no key record is changed: ${name}`);
      return;
    }
    const { domain, selector } = parts;
    const [before, after] = [publicPart(textOf(old)), publicPart(textOf(next))];
    if (next !== undefined && after !== '') {
      const shown = everShown.get(name);
      if (shown !== undefined && shown !== after) violate(`4: ${name} shows a second key`);
      everShown.set(name, after);
      const secret = secrets.get(secretOf(domain, selector));
      if (secret === undefined || secret.deleted)
        violate(`5: ${name} is created, and the vault has no secret of it`);
      else if (secret.publicKey !== after) violate(`5: ${name} shows another key than the vault holds`);
    }
    if (before !== '' && after !== before) withdrawing(name, domain, selector);
    if (next !== undefined && after === '') entombed.set(name, now());
    if (old !== undefined && next === undefined && maySign.has(name)) {
      const since = entombed.get(name);
      if (since === undefined) violate(`1: ${name} is removed without a tombstone`);
      else if (now() < add(since, policy.ttl))
        violate(`1: the tombstone of ${name} stood for less than its TTL`);
    }
  };

  const changing: Watch['changing'] = (_zone, changes, before, after) => {
    for (const { action, set } of changes) {
      if (action !== 'CREATE' && action !== 'DELETE') violate(`4: ${action} of ${set.name}`);
      if (set.type !== 'TXT') violate(`4: a change of ${set.type} at ${set.name}`);
    }
    // The same key again, for a new change id: only while nobody signs. A tombstone may come again at any time.
    for (const name of new Set(changes.map(({ set }) => set.name.replace(/\.$/, '')))) {
      const [old, next] = [textOf(before.get(name)), textOf(after.get(name))];
      if (maySign.has(name) && publicPart(old) !== '' && old === next)
        violate(`1: ${name} is deleted and created again though hosts may sign with it`);
    }
    for (const name of new Set([...before.keys(), ...after.keys()])) {
      const [old, next] = [before.get(name), after.get(name)];
      if (old !== next) changedName(name, old, next);
    }
    current = new Map([
      ...[...current].filter(([name]) => !before.has(name)),
      ...[...after].map(([name, set]) => [name, publicPart(textOf(set))] as const),
    ]);
  };

  const tookDomain = (next: DomainRow): void => {
    const before = rows.get(next.domain);
    if (next.version !== (before?.version ?? 0) + 1)
      violate(`7: the row of ${next.domain} goes from version ${before?.version ?? 0} to ${next.version}`);
    for (const key of before?.keys ?? []) {
      const later = next.keys.find(({ selector }) => selector === key.selector);
      if (later === undefined) {
        // A row remembers some of the keys that are gone: the write that says so may already leave it out.
        if (secrets.get(secretOf(next.domain, key.selector))?.deleted === false)
          violate(`7: ${key.selector} of ${next.domain} is forgotten, and its secret is not destroyed`);
        if (key.evidence.stored !== undefined) lives.add(`${next.domain}/${key.selector}`);
        continue;
      }
      const facts = later.evidence as unknown as Readonly<Record<string, unknown>>;
      for (const [fact, value] of Object.entries(key.evidence))
        if (!retractable.has(fact) && JSON.stringify(facts[fact]) !== JSON.stringify(value))
          violate(`7: the fact "${fact}" of ${key.selector} of ${next.domain} is changed`);
    }
    for (const key of next.keys)
      if (key.evidence.destroyed !== undefined) lives.add(`${next.domain}/${key.selector}`);
    for (const rotation of next.rotations) rotations.set(rotation.id, { ...rotation, domain: next.domain });
    rows.set(next.domain, next);
  };

  /** From here on hosts may sign: the whole world must see the record. */
  const tookEntry = (entry: LogEntry): void => {
    for (const { domain, selector, duty, publicKey } of entry.changes) {
      if (duty !== 'signing') continue;
      const name = keyRecordName(selector, domain);
      maySign.add(name);
      const shown = [current.get(name), ...views().map((view) => publicPart(textOf(view.get(name))))];
      if (shown.some((value) => value !== publicKey))
        violate(
          `2: hosts are told to sign with ${name}, and ${shown.filter((v) => v !== publicKey).length} of ${shown.length} places do not show it`,
        );
    }
  };

  const tookSecret = (asked: Asked): void => {
    const { Name, SecretId, SecretBinary } = jsonOf(asked.body);
    if (asked.operation === 'CreateSecret' && typeof Name === 'string' && typeof SecretBinary === 'string') {
      keyTails.add(SecretBinary.replace(/=+$/, '').slice(-40));
      secrets.set(Name, { publicKey: publicOf(Buffer.from(SecretBinary, 'base64')), deleted: false });
    }
    if (asked.operation !== 'DeleteSecret' || typeof SecretId !== 'string') return;
    const known = secrets.get(SecretId);
    if (known !== undefined) secrets.set(SecretId, { ...known, deleted: true });
    const [selector = '', domain = ''] = SecretId.split('/').toReversed();
    const name = keyRecordName(selector, domain);
    if (current.has(name)) violate(`5: the secret of ${name} is destroyed while its record stands`);
    for (const host of stores.keys())
      if (isReady(host) && dutyOf(host, domain, selector) !== undefined)
        violate(`5: the secret of ${name} is destroyed while ${host} holds the key`);
  };

  const answered: Watch['answered'] = (asked) => {
    if (asked.service === 'secretsmanager') return tookSecret(asked);
    if (privateKeys.test(asked.body.toString('latin1')))
      violate(`9: a private key goes to ${asked.service} ${asked.operation}`);
    for (const item of putsOf(asked)) {
      const [pk = '', body] = [item.pk?.S, item.body?.S];
      if (body === undefined) continue;
      if (pk === 'domain') tookDomain(JSON.parse(body));
      else if (pk === 'host') {
        const row: HostRow = JSON.parse(body);
        hosts.set(row.name, row);
      } else if (pk.startsWith('pool#')) tookEntry(JSON.parse(body));
    }
  };

  return {
    violations,
    violate,
    answered,
    changing,
    signed: (domain, selector) => {
      const name = keyRecordName(selector, domain);
      maySign.add(name);
      lastSigned.set(name, now());
    },
    printed: (line) => {
      const found = privateKeys.test(line) || [...keyTails].some((tail) => line.includes(tail));
      if (found) violate('9: a private key is printed');
    },
    isCompromised,
    domains: rows,
    hosts,
    rotations,
    secrets,
    lives,
    isReady,
    dutyOf,
  };
};
