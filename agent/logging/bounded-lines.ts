// Lines on their way to a reader who may be slow: what waits is bounded, what finds no room is counted and said. Nobody who
// writes a line waits for it. No I/O of its own: a destination writes.

/** Where lines go. */
export interface Destination {
  /** Takes whole lines; calls back once, when they are written or lost, and more may come. */
  write(lines: string, done: () => void): void;
  close(): Promise<void>;
}

export interface BoundedLines {
  /** @param line with its end */
  push(line: string): void;
  /** Lines that found no room, since the start. */
  readonly dropped: number;
  /** What waits is written first, within two seconds. Again is the same. */
  close(): Promise<void>;
}

/** Characters that may wait: about 10,000 lines, or some seconds of a host at its limit. */
const longestWait = 1 << 20;
/** Characters in one write. */
const longestWrite = 1 << 16;
const closeWithin = 2_000;

/** @param lost the line, with its end, that says how many lines are missing at its place */
export const createBoundedLines = (
  destination: Destination,
  lost: (count: number) => string,
  limit: number = longestWait,
): BoundedLines => {
  let waiting: string[] = [];
  let length = 0;
  let missing = 0;
  let dropped = 0;
  let busy = false;
  let scheduled = false;
  let closing: Promise<void> | undefined;
  let idle = (): void => {};

  const batch = (): string => {
    let end = 0;
    let size = 0;
    for (; end < waiting.length && size < longestWrite; end += 1) size += waiting[end]?.length ?? 0;
    const lines = waiting.slice(0, end);
    waiting = waiting.slice(end);
    length -= size;
    // Behind the last line that found room.
    if (missing > 0 && waiting.length === 0) {
      lines.push(lost(missing));
      missing = 0;
    }
    return lines.join('');
  };
  const flush = (): void => {
    scheduled = false;
    if (busy) return;
    if (waiting.length === 0 && missing === 0) {
      idle();
      return;
    }
    busy = true;
    destination.write(batch(), () => {
      busy = false;
      flush();
    });
  };

  return {
    get dropped() {
      return dropped;
    },
    push(line) {
      // As long as lines are missing, none comes in front of the line that says so.
      if (missing > 0 || length + line.length > limit) {
        missing += 1;
        dropped += 1;
        return;
      }
      waiting.push(line);
      length += line.length;
      // Lines of the same moment go in one write.
      if (!busy && !scheduled) {
        scheduled = true;
        setImmediate(flush);
      }
    },
    close() {
      closing ??= (async () => {
        let timeout: NodeJS.Timeout | undefined;
        await new Promise<void>((resolve) => {
          idle = resolve;
          timeout = setTimeout(resolve, closeWithin);
          flush();
        });
        clearTimeout(timeout);
        await destination.close();
      })();
      return closing;
    },
  };
};
