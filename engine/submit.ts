// Makes changes of a zone, those of many domains in as few requests as fit. A batch that is refused is halved until the change
// that does not fit stands alone, so that it never holds up the others.

import { hasCode } from '../core/errors.ts';
import type { FleetZone } from '../core/policy.ts';
import type { Change } from './ports.ts';
import type { World } from './world.ts';

/** A change that is to be made, and what follows for whoever wants it; neither throws but for what ends the whole unit. */
export interface Wish {
  readonly change: Change;
  accepted(changeId: string): Promise<void>;
  refused(error: unknown): Promise<void>;
}

const submit = async (world: World, zone: FleetZone, batch: readonly Wish[]): Promise<void> => {
  let changeId: string;
  try {
    changeId = await world.writer.submit(
      zone,
      batch.map(({ change }) => change),
    );
  } catch (error) {
    if (hasCode(error, 'rejected') && batch.length > 1) {
      const half = Math.ceil(batch.length / 2);
      await submit(world, zone, batch.slice(0, half));
      return submit(world, zone, batch.slice(half));
    }
    for (const wish of batch) await wish.refused(error);
    return;
  }
  for (const wish of batch) await wish.accepted(changeId);
};

/** One request in flight. */
export const submitAll = async (world: World, zone: FleetZone, wishes: readonly Wish[]): Promise<void> => {
  let rest = wishes;
  while (rest.length > 0) {
    const count = Math.max(1, world.writer.fits(rest.map(({ change }) => change)));
    await submit(world, zone, rest.slice(0, count));
    rest = rest.slice(count);
  }
};
