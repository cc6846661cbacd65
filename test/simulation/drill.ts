// The drill of a restored ledger: whoever works on it is stopped, and what was under way runs out; then the backup is put in
// its place, brought up to the world, and work goes on.

import { type Duration, milliseconds, minutes } from '../../core/time.ts';
import { restoreLedger } from '../../engine/restore.ts';
import type { WorldParts } from './parts.ts';

/**
 * Longer than any call that was under way may still have its effect, and than caches may deny a record that was published just
 * before: docs/operations.md says both.
 */
const stillness = ({ scenario: { zones } }: WorldParts): Duration =>
  milliseconds(
    minutes(30) + Math.max(...zones.map(({ negativeTtl, wildcard }) => Math.max(negativeTtl, wildcard ?? 0))),
  );

export const drill = (parts: WorldParts): void => {
  const { crew, loop, ledger, trace } = parts;
  const stopped = loop.now() + stillness(parts);
  const still = (until: number): void => {
    crew.crashAll();
    for (const worker of crew.workers) worker.downUntil = until;
  };
  still(Number.POSITIVE_INFINITY);
  const attempt = (): void => {
    const apply = { by: 'operator', why: 'the drill' };
    restoreLedger(parts.still(), { apply, stillFor: milliseconds(0) }).then(
      ({ says, failed, done }) => {
        for (const line of [...says, ...failed]) trace?.(`restored: ${line}`);
        if (!done) {
          loop.begin(loop.now() + minutes(10), attempt);
          return;
        }
        still(loop.now());
        parts.forgotten();
        crew.stir();
      },
      (error: unknown) => parts.failed(error, 'the drill'),
    );
  };
  loop.begin(stopped, () => {
    ledger.restore();
    trace?.('the ledger is restored');
    attempt();
  });
};
