// A thread of the simulation: runs the seeds that it is sent, and sends back what they were like.

import { parentPort } from 'node:worker_threads';
import { runSeeds } from './summary.ts';

// Nobody reads where a simulated failure was thrown.
Error.stackTraceLimit = 0;

/** What a thread is sent. */
export interface Batch {
  readonly seeds: readonly number[];
  readonly stopAtFirst: boolean;
}

parentPort?.on('message', ({ seeds, stopAtFirst }: Batch) => {
  runSeeds(seeds, { stopAtFirst }).then(
    (tally) => parentPort?.postMessage(tally),
    (error: unknown) => {
      throw error;
    },
  );
});
