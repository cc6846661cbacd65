// Each minute: puts what is due on the queue. Once a day, with `{ "audit": true }`: has everything audited. EventBridge
// Scheduler calls it.
import { orderAudit } from '../../engine/drift.ts';
import { tick } from '../../engine/tick.ts';
import { lazily, metered, wire } from '../wire.ts';

const world = lazily(() => wire(process.env));

const isAudit = (event: unknown): boolean =>
  typeof event === 'object' && event !== null && 'audit' in event && event.audit === true;

export const handler = async (event?: unknown): Promise<void> =>
  metered(world(), async () => {
    if (isAudit(event)) await orderAudit(world());
    else await tick(world());
  });
