// The agent's figures for Prometheus. The milter counts into plain numbers, less than a microsecond a message; labels and
// text are made when somebody asks. Listens to nobody: metrics/server.ts does.
import { Histogram, Registry } from 'prom-client';
import type { Duties } from './duties.ts';
import type { KeyStore } from './key-store.ts';
import type { Meter, UnsignedReason } from './meter.ts';
import { type Instruments, instruments } from './metrics/instruments.ts';
import { createSelectorUses, type SelectorUses } from './metrics/selector-uses.ts';
import { createSigningKeys } from './metrics/signing-keys.ts';

/** What the figures of the keys are taken from. */
export interface MeteredKeys {
  readonly store: Pick<KeyStore, 'state'>;
  /** Of the store's key files. */
  readonly folder: string;
  readonly duties: Pick<Duties, 'unusable'>;
}

export interface Metrics {
  /** For the milter. */
  readonly meter: Meter;
  /** From now on the keys are shown too. Once. */
  watch(keys: MeteredKeys): void;
  /** The same receiver; what it takes and refuses is counted, and taking a bundle is hearing from the control plane. */
  countBundles<T>(receive: (bundle: string) => Promise<T>): (bundle: string) => Promise<T>;
  /** The same pull cycle; when one ends well, the control plane was heard from. */
  countContacts<T>(cycle: () => Promise<T>): () => Promise<T>;
  /** Prometheus' text format 0.0.4. */
  text(): Promise<string>;
}

export interface MetricsOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly driver?: string;
  /** How many log lines were lost so far. */
  readonly lostLines?: () => number;
  /** How many selectors have figures of their own; 500 unless told otherwise, further ones are counted as `_other`. */
  readonly selectors?: number;
}

/** Counts by reason. */
const tally = () => {
  const counts = new Map<UnsignedReason, number>();
  return { counts, add: (reason: UnsignedReason) => void counts.set(reason, (counts.get(reason) ?? 0) + 1) };
};

const meterMessages = (
  show: Instruments,
  latency: Histogram,
  uses: SelectorUses,
  now: () => number,
): Meter => {
  let signed = 0;
  let failed = 0;
  const [unsigned, deferred] = [tally(), tally()];
  show.counter('selkie_messages_signed_total', 'Messages that got their signatures.', () => signed);
  show.counters('selkie_signatures_total', 'Signatures, by selector.', 'selector', () =>
    uses.at(now()).map(([selector, { count }]) => [selector, count]),
  );
  show.gauges(
    'selkie_selector_last_use_timestamp_seconds',
    'When a message was last signed with this selector.',
    'selector',
    () => uses.at(now()).map(([selector, { last }]) => [selector, last / 1000]),
  );
  show.counters(
    'selkie_messages_unsigned_total',
    'Messages that went on as they were, by reason.',
    'reason',
    () => unsigned.counts,
  );
  show.counters(
    'selkie_messages_deferred_total',
    'Messages that were put off (4xx), by reason.',
    'reason',
    () => deferred.counts,
  );
  show.counter('selkie_milter_errors_total', 'Milter connections that ended by an error.', () => failed);
  return {
    signed(keys, seconds) {
      signed += 1;
      const at = now();
      for (const { selector } of keys) uses.add(selector, at);
      latency.observe(seconds);
    },
    unsigned: unsigned.add,
    deferred: deferred.add,
    failedConnection() {
      failed += 1;
    },
  };
};

const showProcess = (show: Instruments, started: number): void => {
  show.gauge('process_resident_memory_bytes', 'Resident memory size in bytes.', () =>
    process.memoryUsage.rss(),
  );
  show.gauge('process_start_time_seconds', 'Start time since 1970 in seconds.', () => started / 1000);
  show.counter('process_cpu_seconds_total', 'User and system CPU time in seconds.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
};

export const createMetrics = (options: MetricsOptions): Metrics => {
  const { now, driver = 'builtin', lostLines = () => 0, selectors = 500 } = options;
  const registry = new Registry();
  const show = instruments(registry);
  const started = now();
  const since = (time: number): number => Math.max(0, (now() - time) / 1000);
  const bundles = { taken: 0, refused: 0 };
  let heard = started;

  const latency = new Histogram({
    name: 'selkie_sign_seconds',
    help: 'From the end of a message to its signatures.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [registry],
  });
  const meter = meterMessages(show, latency, createSelectorUses(selectors), now);
  show.counters('selkie_bundles_total', 'Bundles that came, by what became of them.', 'outcome', () =>
    Object.entries(bundles),
  );
  show.gauge(
    'selkie_control_plane_silence_seconds',
    'Since the control plane was last heard from; since the start where it was not yet.',
    () => since(heard),
  );
  show.counter('selkie_log_lines_lost_total', 'Log lines that found no room: it is read too slowly.', () =>
    lostLines(),
  );
  show.gauges('selkie_agent_info', 'What signs on this host.', 'driver', () => [[driver, 1]]);
  showProcess(show, started);

  return {
    meter,
    watch({ store, folder, duties }) {
      const keys = createSigningKeys(folder, selectors);
      show.gauges('selkie_signing_keys', 'Keys that sign on this host, by selector.', 'selector', () =>
        keys.counts(store.state),
      );
      show.gauge(
        'selkie_oldest_signing_key_age_seconds',
        'Since the oldest signing key came to this host, which is shortly before it began to sign.',
        async () => {
          const came = await keys.oldest(store.state);
          return came === undefined ? undefined : since(came);
        },
      );
      show.gauge(
        'selkie_unusable_keys',
        'Keys that are not as the control plane wants them; the log says why.',
        () => new Set([...duties.unusable.keys(), ...store.state.failed.keys()]).size,
      );
      const place = "Where this host stands in its pool's log; absent before its first snapshot.";
      show.gauge('selkie_cursor_epoch', place, () => store.state.cursor?.epoch);
      show.gauge('selkie_cursor_number', place, () => store.state.cursor?.n);
    },
    countBundles: (receive) => async (bundle) => {
      try {
        const answer = await receive(bundle);
        bundles.taken += 1;
        heard = now();
        return answer;
      } catch (error) {
        bundles.refused += 1;
        throw error;
      }
    },
    countContacts: (cycle) => async () => {
      const result = await cycle();
      heard = now();
      return result;
    },
    text: () => registry.metrics(),
  };
};
