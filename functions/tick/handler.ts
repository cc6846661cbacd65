// Each minute: puts what is due on the queue. EventBridge Scheduler calls it.
import { tick } from '../../engine/tick.ts';
import { lazily, metered, wire } from '../wire.ts';

const world = lazily(() => wire(process.env));

export const handler = async (): Promise<void> => metered(world(), () => tick(world()));
