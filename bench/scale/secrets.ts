// A strict Secrets Manager and KMS in virtual time, and the vault of many keys in a secret upon them: the rates of each call,
// 64 KB a secret, secrets that are written once and deleted after their last key, and a KMS call behind each that carries a
// value. Sources: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html,
// https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html (of the regions with the lowest quotas).
//
// Keys are symbols here: shards are cut as if each were a real one of RSA-2048.

import { shardsOf } from '../../adapters/aws/shard-form.ts';
import { SelkieError } from '../../core/errors.ts';
import { type Duration, milliseconds } from '../../core/time.ts';
import type { NewSecret, Vault } from '../../engine/ports.ts';
import { bucket } from './bucket.ts';

const perSecond = { create: 50, delete: 50, get: 10_000, symmetric: 10_000, ecc: 1_000 } as const;
type Call = keyof typeof perSecond;

/** PKCS#8 of an RSA-2048 key, at most. */
const realKey = new Uint8Array(1_219);
/** Milliseconds. */
const takes = { create: 80, delete: 40, get: 3, sign: 8 } as const;

export interface SecretCounts {
  createSecret: number;
  getSecretValue: number;
  deleteSecret: number;
  /** KMS: Decrypt and GenerateDataKey that Secrets Manager makes in our name, and Sign. */
  kms: number;
  throttled: number;
  /** Secrets that stand, and the most that ever did. */
  standing: number;
  most: number;
}

export interface ScaleSecrets {
  readonly vault: Vault;
  readonly counts: SecretCounts;
  /** A secret that stands from the beginning, with these keys. */
  put(keys: readonly NewSecret[]): readonly string[];
  /** A manifest is signed by the KMS key: ECC_NIST_P256. @throws throttled */
  sign(): number;
}

export const createScaleSecrets = ({
  now,
  sleep,
  busy,
}: {
  readonly now: () => number;
  /** Time that a call takes its worker. */
  readonly sleep: (length: Duration) => Promise<void>;
  /** The same for calls so short that they pass in one piece, in milliseconds. */
  readonly busy: (milliseconds: number) => void;
}): ScaleSecrets => {
  const buckets = Object.fromEntries(
    Object.entries(perSecond).map(([call, rate]) => [call, bucket({ perSecond: rate, burst: rate }, now)]),
  ) as Record<Call, (cost: number) => boolean>;
  const counts: SecretCounts = {
    createSecret: 0,
    getSecretValue: 0,
    deleteSecret: 0,
    kms: 0,
    throttled: 0,
    standing: 0,
    most: 0,
  };
  /** Of each key its secret, and of each secret the keys that it holds still. */
  const secretOf = new Map<string, { readonly id: number; readonly privateKey: Uint8Array }>();
  const held = new Map<number, Set<string>>();
  let ids = 0;

  const spend = (...calls: readonly Call[]): void => {
    for (const call of calls)
      if (!buckets[call](1)) {
        counts.throttled += 1;
        throw new SelkieError('throttled', `Rate exceeded: ${call}`);
      }
  };
  const nameOf = ({ domain, selector }: Pick<NewSecret, 'domain' | 'selector'>): string =>
    `${domain}/${selector}`;
  const write = (keys: readonly NewSecret[]): readonly string[] => {
    ids += 1;
    held.set(ids, new Set(keys.map(nameOf)));
    for (const key of keys) secretOf.set(nameOf(key), { id: ids, privateKey: key.privateKey });
    counts.standing += 1;
    counts.most = Math.max(counts.most, counts.standing);
    return keys.map(nameOf);
  };
  /** As they would be cut were they real. */
  const cut = (keys: readonly NewSecret[]): readonly (readonly NewSecret[])[] => {
    let from = 0;
    return shardsOf(keys.map((key) => ({ ...key, privateKey: realKey }))).map(({ length }) => {
      from += length;
      return keys.slice(from - length, from);
    });
  };

  return {
    counts,
    put: (keys) => cut(keys).flatMap(write),
    sign: () => {
      spend('ecc');
      counts.kms += 1;
      return takes.sign;
    },
    vault: {
      store: async (keys) => {
        for (const shard of cut(keys.filter((key) => !secretOf.has(nameOf(key))))) {
          spend('create', 'symmetric');
          counts.createSecret += 1;
          counts.kms += 1;
          await sleep(milliseconds(takes.create));
          write(shard);
        }
        return keys.map(nameOf);
      },
      read: async (name) => {
        spend('get', 'symmetric');
        counts.getSecretValue += 1;
        counts.kms += 1;
        busy(takes.get);
        const found = secretOf.get(name);
        if (found === undefined) throw new SelkieError('not-found', `${name} is gone`);
        return found.privateKey;
      },
      find: async (domain, selector) => {
        const name = nameOf({ domain, selector });
        return secretOf.has(name) ? name : undefined;
      },
      destroy: async (name) => {
        const found = secretOf.get(name);
        if (found === undefined) return;
        const left = held.get(found.id);
        if (left?.size === 1) {
          spend('delete');
          counts.deleteSecret += 1;
          counts.standing -= 1;
          await sleep(milliseconds(takes.delete));
          held.delete(found.id);
        }
        left?.delete(name);
        secretOf.delete(name);
      },
      list: async () => ({ secrets: [] }),
    },
  };
};
