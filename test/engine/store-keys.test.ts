// Keys of a round are stored in one call: what becomes of the others where some cannot be, and of a copy that lost.
import { afterEach, describe, expect, test } from 'vitest';
import { SelkieError } from '../../core/errors.ts';
import { hours } from '../../core/time.ts';
import type { NewSecret, Vault } from '../../engine/ports.ts';
import { workOn } from '../../engine/tick.ts';
import type { World } from '../../engine/world.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

const start = '2024-01-28T09:00:00Z';
let open: Simulation | undefined;
afterEach(() => {
  open?.close();
  open = undefined;
});

/** A vault that gives each call copies of its own, as one may to workers that store at the same moment. */
const copyingVault = (before: (keys: readonly NewSecret[]) => Promise<void>) => {
  const secrets = new Map<string, Uint8Array>();
  const stores: (readonly string[])[] = [];
  const nameOf = ({ domain: owner, selector }: Omit<NewSecret, 'privateKey'>): string =>
    `${owner}/${selector}`;
  const put = (key: NewSecret): string => {
    const secret = `${secrets.size}#${nameOf(key)}`;
    secrets.set(secret, key.privateKey);
    return secret;
  };
  const vault: Vault = {
    store: async (keys) => {
      stores.push(keys.map(nameOf));
      await before(keys);
      return keys.map(put);
    },
    read: async (secret) => {
      const found = secrets.get(secret);
      if (found === undefined) throw new SelkieError('not-found', `${secret} is gone`);
      return found;
    },
    find: async (owner, selector) =>
      [...secrets.keys()].find((secret) => secret.endsWith(`#${nameOf({ domain: owner, selector })}`)),
    destroy: async (secret) => void secrets.delete(secret),
    list: async () => ({ secrets: [] }),
  };
  return { vault, secrets, stores, put };
};

const keysOf = async ({ world }: Simulation) => (await world.ledger.domain(domain))?.keys ?? [];

describe('keys of a round', () => {
  test('are stored in one call, whichever algorithms', async () => {
    const { vault, stores } = copyingVault(async () => {});
    open = await simulate(start, { algorithms: ['rsa2048', 'ed25519'] }, [], vault);
    await open.run(hours(1));
    expect(stores).toEqual([[`${domain}/240128`, `${domain}/240128e`]]);
    expect((await keysOf(open)).map(({ evidence }) => evidence.stored?.secret)).toEqual([
      `0#${domain}/240128`,
      `1#${domain}/240128e`,
    ]);
  });

  test('of two workers that store at once one key is used, and the other copy is destroyed', async () => {
    let arrived = 0;
    const both = Promise.withResolvers<void>();
    const { vault, secrets } = copyingVault(async () => {
      arrived += 1;
      // As if it had died here: the selector is reserved, and nothing is stored.
      if (arrived === 1) throw new SelkieError('conflict', 'the first worker dies');
      if (arrived === 3) both.resolve();
      await both.promise;
    });
    open = await simulate(start, {}, [], vault);
    // Leases save work; correctness never rests on them.
    const { ledger } = open.world;
    const world: World = { ...open.world, ledger: { ...ledger, lease: async () => true } };
    await workOn(world, { kind: 'fleet' });
    const unit = { kind: 'cohort' as const, domains: [domain] };
    await workOn(world, unit);
    expect(secrets.size).toBe(0);
    await Promise.all([workOn(world, unit), workOn(world, unit)]);
    expect(arrived).toBe(3);
    const [key, ...others] = await keysOf(open);
    expect(others).toEqual([]);
    expect([...secrets.keys()]).toEqual([key?.evidence.stored?.secret]);
  });

  test('that are in the vault go on, though the call failed for another', async () => {
    const { vault, secrets, stores, put } = copyingVault(async (keys) => {
      const [first, ...rest] = keys;
      if (rest.length === 0 || first === undefined) return;
      put(first);
      throw new SelkieError('exists', 'the second name waits for its deletion');
    });
    open = await simulate(start, { algorithms: ['rsa2048', 'ed25519'] }, [], vault);
    await open.run(hours(1));
    // The second is tried by itself, since no later time would mend it.
    expect(stores).toEqual([[`${domain}/240128`, `${domain}/240128e`], [`${domain}/240128e`]]);
    expect((await keysOf(open)).every(({ evidence }) => evidence.created !== undefined)).toBe(true);
    expect(secrets.size).toBe(2);
  });

  test('that the vault throttles are tried again together, not each by itself', async () => {
    let failures = 1;
    const { vault, stores } = copyingVault(async () => {
      if (failures-- > 0) throw new SelkieError('throttled', 'too many secrets at once');
    });
    open = await simulate(start, { algorithms: ['rsa2048', 'ed25519'] }, [], vault);
    await open.run(hours(1));
    const together = [`${domain}/240128`, `${domain}/240128e`];
    expect(stores).toEqual([together, together]);
    const keys = await keysOf(open);
    expect(keys.map(({ evidence }) => evidence.created !== undefined)).toEqual([true, true]);
    expect((await open.world.ledger.domain(domain))?.troubles).toEqual([]);
  });
});
