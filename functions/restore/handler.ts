// Brings a ledger up that a backup was restored to. Nothing starts it but an operator: `selkie restore` invokes it, with the
// operator's own credentials. A call does a few minutes' work, and says where the next goes on.

import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { noteReplaced } from '../../adapters/aws/ledger.ts';
import { parseRestoreOrder } from '../../contract/restore.ts';
import { hasCode } from '../../core/errors.ts';
import { minutes } from '../../core/time.ts';
import { type RestoreReport, restoreLedger } from '../../engine/restore.ts';
import { say } from '../say.ts';
import { lazily, metered, wire } from '../wire.ts';

/** A call of Lambda, of the SDK's tries and of Route 53's own way ends long before. */
const stillFor = minutes(30);
/** Whoever waits for an answer over HTTP waits for five minutes. */
const within = minutes(3);
/** An answer holds 6 MB; what it leaves out is in the log. */
const mostSaid = 500;

const world = lazily(() => wire(process.env));

/** Whoever still works on the ledger before this one stops. Where its table is gone, nobody does. */
const stopTheOther = async (): Promise<void> => {
  const { SELKIE_TABLE_REPLACED: table = '', SELKIE_TABLE: by = '' } = process.env;
  if (table === '') return;
  try {
    await noteReplaced({ client: new DynamoDBClient({ maxAttempts: 4 }), table }, by);
  } catch (error) {
    if (!hasCode(error, 'not-found')) throw error;
  }
};

export type Restored = RestoreReport & {
  /** How many lines `says` and `failed` had. */
  readonly said: { readonly says: number; readonly failed: number };
};

export const handler = async (event: unknown): Promise<Restored> => {
  const order = parseRestoreOrder(event);
  return metered(world(), async () => {
    if (order.apply !== undefined) await stopTheOther();
    const report = await restoreLedger(world(), { ...order, stillFor, within });
    const { by, why } = order.apply ?? {};
    say({
      level: 'step',
      says: 'restore',
      by,
      why,
      epoch: report.epoch,
      domains: report.domains,
      done: report.done,
    });
    const { says, failed } = report;
    return {
      ...report,
      says: says.slice(0, mostSaid),
      failed: failed.slice(0, mostSaid),
      said: { says: says.length, failed: failed.length },
    };
  });
};
