// Each of rspamd's workers reads the maps for itself, some time after they were written: inotify tells it at once, and it looks
// every `map_watch_interval` × `map_file_watch_multiplier` (30 s by default) anyway. A worker cannot be addressed, so canaries are
// sent, several at once, until every one has been heard of. Talks to rspamd only through `ask`.
import type { CanaryAnswer } from './canary.ts';

export interface WorkersOptions<E> {
  /** Where mail enters; the workers behind each are counted apart. */
  readonly entrances: readonly E[];
  readonly ask: (entrance: E) => Promise<CanaryAnswer>;
  /** Whether this answer shows what is awaited. */
  readonly isCurrent: (answer: CanaryAnswer) => boolean;
  /** Milliseconds since 1970: gives up then. */
  readonly until: number;
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
}

const atOnce = 8;
const between = 50;

const noName =
  'rspamd does not say which worker answered: its configuration lacks selkie.lua, or rspamd was not restarted since (selkie-agent setup shows what belongs there).';

/**
 * Waits until every worker behind every entrance has shown what is awaited since this was called. A worker is named by its kind and
 * index among the workers of this kind, whose count it says itself: so none is forgotten, and one that is restarted has read the
 * maps as they are.
 * @returns undefined, or why not: which workers are missing
 * @throws what `ask` throws
 */
export const everyWorker = async <E>(options: WorkersOptions<E>): Promise<string | undefined> => {
  const { entrances, ask, isCurrent, until, now, pause } = options;
  const behind = async (entrance: E): Promise<string | undefined> => {
    const counts = new Map<string, number>();
    const current = new Set<string>();
    const missing = (): string[] =>
      [...counts].flatMap(([kind, count]) =>
        Array.from({ length: count }, (_, i) => `${kind} ${i}`).filter((name) => !current.has(name)),
      );
    for (;;) {
      const most = Math.max(atOnce, ...[...counts.values()].map((count) => 4 * count));
      const answers = await Promise.all(Array.from({ length: most }, () => ask(entrance)));
      for (const answer of answers) {
        const { worker } = answer;
        if (worker === undefined) return noName;
        counts.set(worker.kind, worker.count);
        if (isCurrent(answer)) current.add(`${worker.kind} ${worker.index}`);
      }
      if (missing().length === 0) return undefined;
      if (now() >= until)
        return `rspamd has not read its maps in all workers yet (${missing().slice(0, 8).join(', ')}); if this stays so, local.d/dkim_signing.conf does not have the lines that selkie-agent setup shows.`;
      await pause(between);
    }
  };
  const reasons = await Promise.all(entrances.map(behind));
  return reasons.find((reason) => reason !== undefined);
};
