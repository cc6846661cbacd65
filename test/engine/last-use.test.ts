// Of the uses that a host reports, those are kept from which a drain may count, and no others.
import { describe, expect, it } from 'vitest';
import type { Acknowledgement } from '../../contract/acknowledgement.ts';
import { add, type Instant, minutes, seconds } from '../../core/time.ts';
import { usesThatCount } from '../../engine/last-use.ts';
import type { HostRow } from '../../engine/ports.ts';
import type { World } from '../../engine/world.ts';
import { key, row, t } from '../core/key/made.ts';
import { createMemoryLedger } from '../simulation/ledger.ts';

const now = add(t, minutes(60));
const stopped = 'example.com/240126e';
const pending = 'example.com/240127e';

/** A ledger in which one key stopped at `t`, another is told to, and entries 1 to 3 were told. */
const begin = async () => {
  const ledger = createMemoryLedger(() => now);
  let reads = 0;
  await ledger.commit({ domains: [row([key('240126e', 'stopped'), key('240127e', 'stopIntended')])] });
  for (const [index, name] of ['240125e', '240126e', '240127e'].entries())
    await ledger.commit({
      append: {
        pool: 'mx',
        place: { epoch: 1, n: index + 1 },
        changes: [
          { domain: 'example.com', selector: name, algorithm: 'ed25519', duty: 'none', publicKey: 'AAAA' },
        ],
      },
    });
  const counted = {
    ...ledger,
    domain: (name: string) => {
      reads += 1;
      return ledger.domain(name);
    },
  };
  const world = { ledger: counted } as unknown as World;
  return { world, reads: () => reads };
};

const host = (n: number, more: Partial<HostRow> = {}): HostRow => ({
  name: 'mx1',
  pool: 'mx',
  version: 1,
  incarnation: 'store',
  cursor: { epoch: 1, n },
  complete: true,
  failed: {},
  lastUse: {},
  lastSeen: add(t, minutes(30)),
  ...more,
});

const says = (n: number, lastUse: Readonly<Record<string, Instant>>, more: Partial<Acknowledgement> = {}) =>
  ({
    iss: 'mx1',
    iat: 0,
    nonce: 'n',
    cursor: { epoch: 1, n },
    incarnation: 'store',
    complete: true,
    failed: {},
    lastUse,
    ...more,
  }) satisfies Acknowledgement;

const late = add(t, minutes(10));

describe('of a use that a host reports', () => {
  const judge = async (from: HostRow, ack: Acknowledgement) => {
    const { world, reads } = await begin();
    return { kept: await usesThatCount(world, from, ack, now, minutes(5)), reads: reads() };
  };

  it('is kept what came after the key was stopped: the host was set aside meanwhile', async () => {
    expect((await judge(host(1), says(3, { [stopped]: late }))).kept).toEqual({ [stopped]: late });
  });

  it('is not kept what came before: the drain counts from the stop', async () => {
    const { kept } = await judge(host(1), says(3, { [stopped]: add(t, seconds(0)) }));
    expect(kept).toEqual({});
  });

  it('is not kept what a key is not yet stopped for, or what is no key', async () => {
    const { kept } = await judge(host(1), says(3, { [pending]: late, 'example.com/x': late, 'a/b': late }));
    expect(kept).toEqual({});
  });

  it('nothing is looked up that it said before', async () => {
    const { kept, reads } = await judge(host(3), says(3, { [stopped]: late }));
    expect(kept).toEqual({});
    expect(reads).toBe(0);
  });

  it('is judged again what is later than its last answer, by a clock that may be off', async () => {
    const use = add(t, minutes(26));
    expect((await judge(host(3), says(3, { [stopped]: use }))).kept).toEqual({ [stopped]: use });
  });

  it.each<[string, HostRow, Partial<Acknowledgement>]>([
    ['another key store', host(3), { incarnation: 'wiped' }],
    ['a cursor that went back', host(3), { cursor: { epoch: 1, n: 1 } }],
    ['another epoch', host(3), { cursor: { epoch: 2, n: 9 } }],
    ['a host that was not complete', host(3, { complete: false }), {}],
  ])('all is judged of %s', async (_, from, more) => {
    expect((await judge(from, says(3, { [stopped]: late }, more))).kept).toEqual({ [stopped]: late });
  });

  it('is heard no later than it was said', async () => {
    const { kept } = await judge(host(1), says(3, { [stopped]: add(now, minutes(4)) }));
    expect(kept).toEqual({ [stopped]: now });
  });
});
