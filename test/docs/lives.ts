// The lives that docs/lifecycle.md is checked against: a first key and its successor, with each order that an operator
// may give right after each write of the domain's row; a provider that forgets changes; a record of somebody else.

import { hasCode } from '../../core/errors.ts';
import { keyRecordName } from '../../core/names.ts';
import type { Policy } from '../../core/policy.ts';
import { days, hours } from '../../core/time.ts';
import { requestRotation, rollBack } from '../../engine/commands.ts';
import type { RotationOrder } from '../../engine/orders.ts';
import { openSession } from '../../engine/world.ts';
import { domain } from '../world/world.ts';
import { type AfterWrite, type RecordedLife, record } from './recorded-life.ts';

type Order = (life: RecordedLife) => Promise<unknown>;

const rotate =
  (order: RotationOrder): Order =>
  async ({ world }) =>
    requestRotation(world, await openSession(world), domain, order);

const orders = {
  'roll back': async ({ world }) => rollBack(world, await openSession(world), domain, {}),
  unsigned: rotate({ kind: 'emergency', unsigned: true }),
  'emergency of the first key': async (life) => {
    const first = (await life.world.ledger.domain(domain))?.keys[0]?.selector ?? 'none';
    return rotate({ kind: 'emergency', compromised: first })(life);
  },
  leave: async (life) => life.change({ leaving: true }),
} satisfies Record<string, Order>;

export type OrderName = keyof typeof orders;
export const orderNames = Object.keys(orders) as OrderName[];

/** An order that does not fit the moment is refused: that is an answer too. */
const given = async (answer: Promise<unknown>): Promise<void> => {
  await answer.catch((error: unknown) => {
    if (!hasCode(error, 'conflict', 'not-found')) throw error;
  });
};

/** A first key, an hour later a successor on request, and time until nothing is left of the first. */
const live = async (
  afterWrite: AfterWrite,
  prepare: (life: RecordedLife) => void = () => {},
  policy: Partial<Policy> = {},
): Promise<RecordedLife> => {
  const life = await record(policy, ['mx1.example.com'], afterWrite);
  prepare(life);
  await life.run(hours(1));
  await given(rotate({})(life));
  await life.run(days(40));
  return life;
};

/** A domain whose policy publishes its retired keys. */
export const disclosing = (): Promise<RecordedLife> =>
  live(
    async () => {},
    () => {},
    { disclose: 'after-removal' },
  );

/** With `order` right after write number `at`; none where `at` is 0. */
export const interrupted = (order: OrderName, at: number): Promise<RecordedLife> =>
  live(async (life, write) => {
    if (write === at) await given(orders[order](life));
  });

/** The successor is active, the first key is called back, and `later` writes after that the successor again. */
export const regretted = (later: number): Promise<RecordedLife> => {
  let called: number | undefined;
  return live(async (life, write, { keys: [, successor] }) => {
    const regrets =
      called === undefined ? successor?.turns[0].active !== undefined : write === called + later;
    if (!regrets) return;
    called ??= write + 1; // the order's own write
    await given(orders['roll back'](life));
  });
};

/**
 * A domain that begins with an adopted key, its successor an hour later, and `order` right after write number `at`; none where
 * `at` is 0.
 */
export const adoptedLife = async (order: OrderName, at: number): Promise<RecordedLife> =>
  live(
    async (life, write) => {
      if (write === at) await given(orders[order](life));
    },
    (life) => {
      const publicKey = Buffer.alloc(32, 1).toString('base64');
      life.dns.put(keyRecordName('mail', domain), {
        ttl: hours(1),
        values: [`v=DKIM1; k=ed25519; p=${publicKey}`],
      });
      life.change({ adopted: [{ selector: 'mail', algorithm: 'ed25519', publicKey }] });
    },
  );

/** Each change that the provider accepts is forgotten once. */
export const forgotten = (): Promise<RecordedLife> =>
  live(
    async () => {},
    ({ dns }) => {
      const { status } = dns;
      dns.status = async (zone, id) => (Number(id.slice(1)) % 2 === 1 ? 'unknown' : status(zone, id));
    },
  );

/** Somebody else writes a record at the first selector when it is reserved already. */
export const trespassed = (): Promise<RecordedLife> => {
  let done = false;
  return live(async ({ dns }, _write, { keys: [key] }) => {
    if (done || key?.evidence.stored === undefined) return;
    done = true;
    dns.put(keyRecordName(key.selector, domain), { ttl: hours(1), values: ['v=DKIM1; p=theirs'] });
  });
};
