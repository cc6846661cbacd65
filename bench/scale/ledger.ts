// The simulation's ledger with an index of what is due, as DynamoDB has one, and with the capacity that its calls would take
// there: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html. Rows are measured one in
// some dozens.

import { dueShards } from '../../core/table.ts';
import type { Instant } from '../../core/time.ts';
import type { Commit } from '../../engine/ports.ts';
import { createMemoryLedger, type MemoryLedger } from '../../test/simulation/ledger.ts';

export interface LedgerCounts {
  commits: number;
  /** Write request units; of a transaction two for each kilobyte. */
  writes: number;
  /** Read request units: consistent ones, one for each four kilobytes. */
  reads: number;
  leases: number;
}

export interface ScaleLedger extends MemoryLedger {
  readonly counts: LedgerCounts;
  /** When the next row is due. */
  nextDue(): number | undefined;
  /** Bytes of what is stored, as JSON. */
  stored(): { readonly domains: number; readonly log: number; readonly hosts: number };
}

interface Due {
  readonly at: number;
  readonly order: number;
  readonly domain: string;
}

const isBefore = (a: Due, b: Due): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** A binary heap, earliest first. */
const heapOf = () => {
  const items: Due[] = [];
  return {
    peek: (): Due | undefined => items[0],
    push: (due: Due): void => {
      let index = items.push(due) - 1;
      while (index > 0) {
        const up = (index - 1) >> 1;
        const parent = items[up];
        if (parent === undefined || !isBefore(due, parent)) break;
        items[index] = parent;
        index = up;
      }
      items[index] = due;
    },
    pop: (): Due | undefined => {
      const [first] = items;
      const last = items.pop();
      if (first === undefined || last === undefined || items.length === 0) return first;
      let index = 0;
      for (;;) {
        let down = 2 * index + 1;
        const [left, right] = [items[down], items[down + 1]];
        if (left === undefined) break;
        let least = left;
        if (right !== undefined && isBefore(right, left)) {
          down += 1;
          least = right;
        }
        if (isBefore(last, least)) break;
        items[index] = least;
        index = down;
      }
      items[index] = last;
      return first;
    },
  };
};

const sampled = 64;

const bytesOf = (rows: Iterable<unknown>): number => {
  let sum = 0;
  for (const row of rows) sum += JSON.stringify(row).length;
  return sum;
};

/** @param busy told how long a call takes its worker, in milliseconds */
export const createScaleLedger = (
  now: () => Instant,
  busy: (milliseconds: number) => void,
  onCommit: (commit: Commit) => void,
): ScaleLedger => {
  const heap = heapOf();
  const counts: LedgerCounts = { commits: 0, writes: 0, reads: 0, leases: 0 };
  let logBytes = 0;
  let [order, rowBytes] = [0, 2_000];
  const kilobytes = (size: number): number => Math.ceil(size / 1_024);

  const memory = createMemoryLedger(now, (commit) => {
    counts.commits += 1;
    for (const row of commit.domains ?? []) {
      order += 1;
      if (row.wakeAt !== undefined) heap.push({ at: row.wakeAt, order, domain: row.domain });
      // Public keys are short here: to each key its real one's length is added, twice: itself and its record.
      if (order % sampled === 0) rowBytes = JSON.stringify(row).length + 2 * 350 * row.keys.length;
      counts.writes += 2 * kilobytes(rowBytes) + 1; // and the index
    }
    counts.writes +=
      2 * ((commit.hosts?.length ?? 0) + (commit.trails?.length ?? 0) + (commit.reserve?.length ?? 0));
    if (commit.append !== undefined) {
      const size = commit.append.changes.length * 720;
      logBytes += size;
      counts.writes += 2 * (kilobytes(size) + 2);
    }
    if (commit.request !== undefined) counts.writes += 2;
    if (commit.audit !== undefined) counts.writes += 2 * commit.audit.length;
    onCommit(commit);
  });

  const isDue = ({ at, domain }: Due): boolean => memory.rows.get(domain)?.wakeAt === at;
  const skipStale = (): void => {
    for (let top = heap.peek(); top !== undefined && !isDue(top); top = heap.peek()) heap.pop();
  };

  return {
    ...memory,
    counts,
    stored: () => ({
      domains: bytesOf(memory.rows.values()),
      log: logBytes,
      hosts: bytesOf(memory.hosts.values()),
    }),
    nextDue: () => {
      skipStale();
      return heap.peek()?.at;
    },
    head: async () => {
      counts.reads += 1;
      busy(4);
      return memory.head();
    },
    domain: async (name) => {
      counts.reads += Math.ceil(rowBytes / 4_096);
      busy(1);
      return memory.domain(name);
    },
    host: async (name) => {
      counts.reads += 1;
      busy(0.1);
      return memory.host(name);
    },
    nextPlace: async (pool) => {
      counts.reads += 2;
      busy(5);
      return memory.nextPlace(pool);
    },
    commit: async (commit) => {
      busy(3);
      return memory.commit(commit);
    },
    due: async (at, limit) => {
      busy(20);
      const found = new Map<string, Due>();
      for (
        let top = heap.peek();
        top !== undefined && top.at <= at && found.size < limit;
        top = heap.peek()
      ) {
        heap.pop();
        if (isDue(top)) found.set(top.domain, top);
      }
      for (const due of found.values()) heap.push(due);
      counts.reads += dueShards * 0.5 + (found.size * 100) / 8_192;
      return [...found.keys()].flatMap((domain) => {
        const row = memory.rows.get(domain);
        return row === undefined ? [] : [{ domain, zone: row.zone }];
      });
    },
    lease: async (...lease) => {
      counts.leases += 1;
      counts.writes += 1;
      busy(5);
      return memory.lease(...lease);
    },
    release: async (...lease) => {
      counts.writes += 1;
      busy(5);
      return memory.release(...lease);
    },
  };
};
