// Private keys of many domains: made, stored in one call, and each read back. A vault that keeps many keys in one secret
// fills it with those of one call.
//
// One domain's failure does not hold up the others: where the call fails, each key that is in the vault all the same goes on.

import { hasCode, SelkieError } from '../core/errors.ts';
import { type Action, stepOf } from '../core/key/actions.ts';
import { keyOf, withEvidence, withoutTrouble } from '../core/key/row.ts';
import { fail } from './change-records.ts';
import { inParallel } from './parallel.ts';
import type { NewSecret } from './ports.ts';
import { theKey, type Work } from './work.ts';
import type { World } from './world.ts';

export type StoreAction = Extract<Action, { do: 'store' }>;

export const isStoreAction = (action: Action): action is StoreAction => action.do === 'store';

/** One key that a domain is to have. */
export interface KeyWanted {
  readonly work: Work;
  readonly action: StoreAction;
}

interface Made extends KeyWanted {
  readonly key: NewSecret;
}

/** RSA keys made at once: the threads that Node has for it. */
const makers = 4;
/** Keys read back at once. */
const width = 8;

/** Tells a domain's failure to its row. A conflict is another worker's progress. */
const failing = async ({ work, action }: KeyWanted, error: unknown): Promise<void> => {
  try {
    await fail(work, action, error);
  } catch (again) {
    if (!hasCode(again, 'conflict')) throw again;
  }
};

const made = (world: World, wanted: readonly KeyWanted[]): Promise<readonly (Made | undefined)[]> =>
  inParallel(makers, wanted, async (wish) => {
    const { work, action } = wish;
    try {
      const { privateKey } = await world.keys.generate(theKey(work.row, action.selector).algorithm);
      return { ...wish, key: { domain: work.row.domain, selector: action.selector, privateKey } };
    } catch (error) {
      await failing(wish, error);
      return undefined;
    }
  });

/** Each key's reference, or why it has none. */
const stored = async (
  { vault }: World,
  all: readonly Made[],
): Promise<readonly (string | { readonly error: unknown })[]> => {
  try {
    return await vault.store(all.map(({ key }) => key));
  } catch (error) {
    if (all.length === 1) return [{ error }];
    return inParallel(width, all, async ({ key }) => {
      try {
        const there = await vault.find(key.domain, key.selector);
        if (there !== undefined) return there;
        // What may pass is tried again with the others, later: by itself, it would be a secret of its own.
        if (error instanceof SelkieError && error.retry === 'later') return { error };
        const [secret] = await vault.store([key]);
        return secret ?? { error };
      } catch (alone) {
        return { error: alone };
      }
    });
  }
};

/** Another worker stored the same key and its row was written first: ours is nobody's. */
const giveUp = async (world: World, work: Work, selector: string, secret: string): Promise<void> => {
  await work.reload();
  const key = keyOf(work.row, selector);
  const isLost =
    key === undefined ||
    key.evidence.destroyed !== undefined ||
    (key.evidence.stored !== undefined && key.evidence.stored.secret !== secret);
  if (isLost) await world.vault.destroy(secret);
};

/** Read back: the record is derived from what the vault holds, whoever put it there. */
const readBack = async (world: World, { work, action }: KeyWanted, secret: string): Promise<void> => {
  const { keys, vault } = world;
  const { selector } = action;
  const { algorithm } = theKey(work.row, selector);
  const found = await vault.read(secret);
  const { publicKey, fingerprint } = keys.publicOf(found);
  if (!keys.matches(found, algorithm, publicKey))
    throw new SelkieError(
      'unavailable',
      `the key that the vault holds for ${selector} of ${work.row.domain} does not sign`,
    );
  try {
    const row = withoutTrouble(work.row, stepOf(action));
    await work.save(
      withEvidence(row, selector, { stored: { at: work.now(), secret, fingerprint, publicKey } }),
    );
  } catch (error) {
    if (hasCode(error, 'conflict')) await giveUp(world, work, selector, secret);
    throw error;
  }
  work.report('step', `private key of ${selector} stored and read back (${algorithm})`, selector);
};

/** @throws unavailable, throttled: where the ledger does not answer; all else is told to the domain's row */
export const storeKeys = async (world: World, wanted: readonly KeyWanted[]): Promise<void> => {
  const all = (await made(world, wanted)).filter((one) => one !== undefined);
  if (all.length === 0) return;
  const secrets = await stored(world, all);
  const results = all.map((one, index) => ({ one, secret: secrets[index] }));
  // A domain's rows are written one after the other.
  const domains = [...Map.groupBy(results, ({ one }) => one.work).values()];
  await inParallel(width, domains, async (keys) => {
    for (const { one, secret } of keys)
      try {
        if (typeof secret !== 'string')
          throw secret?.error ?? new SelkieError('unavailable', 'the vault gave no reference');
        await readBack(world, one, secret);
      } catch (error) {
        await failing(one, error);
      }
  });
};
