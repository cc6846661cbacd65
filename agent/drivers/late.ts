// A driver that cannot be made yet, since its folder cannot be written to (a read-only disk, a full one): the agent starts all
// the same, the signer goes on with what it has, and each call of the driver tries to make it again.
import type { KeyType } from '../../core/algorithm.ts';
import { describe } from '../../core/errors.ts';
import { isUnwritable } from '../files.ts';
import type { Log } from '../log.ts';
import type { Driver } from './driver.ts';

/** @throws whatever `create` throws for another reason: the configuration is wrong, say */
export const orLater = async (
  create: () => Promise<Driver>,
  { keyTypes, log }: { readonly keyTypes: readonly KeyType[]; readonly log: Log },
): Promise<Driver> => {
  let made: Driver | undefined;
  try {
    made = await create();
  } catch (error) {
    if (!isUnwritable(error)) throw error;
    log(`signer: its keys are left as they are for now: ${describe(error)}`);
  }
  return {
    keyTypes,
    async apply(wanted) {
      made ??= await create();
      return made.apply(wanted);
    },
    close: async () => made?.close(),
  };
};
