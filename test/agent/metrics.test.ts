// The figures, as Prometheus reads them, and what they cost.
import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { emptyState, type HeldKey, type StoreState } from '../../agent/key-state.ts';
import { metricsAddress, startMetricsServer } from '../../agent/metrics/server.ts';
import { createMetrics, type Metrics } from '../../agent/metrics.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

let clock: number;
let metrics: Metrics;
beforeEach(() => {
  clock = Date.UTC(2024, 0, 28, 12);
  metrics = createMetrics({ now: () => clock, selectors: 3 });
});

/** `name{labels}` → value. */
const figures = async (): Promise<ReadonlyMap<string, number>> =>
  new Map(
    (await metrics.text())
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
const key = (selector: string) => ({ domain: 'example.com', selector });

describe('the messages', () => {
  it('are counted as signed, by selector, with their time', async () => {
    metrics.meter.signed([key('240128'), key('240128e')], 0.002);
    clock += 5_000;
    metrics.meter.signed([key('240128')], 0.04);
    const all = await figures();
    expect(all.get('selkie_messages_signed_total')).toBe(2);
    expect(all.get('selkie_signatures_total{selector="240128"}')).toBe(2);
    expect(all.get('selkie_signatures_total{selector="240128e"}')).toBe(1);
    expect(all.get('selkie_selector_last_use_timestamp_seconds{selector="240128"}')).toBe(clock / 1000);
    expect(all.get('selkie_selector_last_use_timestamp_seconds{selector="240128e"}')).toBe(clock / 1000 - 5);
    expect(all.get('selkie_sign_seconds_count')).toBe(2);
    expect(all.get('selkie_sign_seconds_sum')).toBeCloseTo(0.042);
    expect(all.get('selkie_sign_seconds_bucket{le="0.0025"}')).toBe(1);
    expect(all.get('selkie_sign_seconds_bucket{le="+Inf"}')).toBe(2);
  });

  it('are counted as unsigned and deferred, by reason', async () => {
    metrics.meter.unsigned('foreign');
    metrics.meter.unsigned('foreign');
    metrics.meter.unsigned('no-match');
    metrics.meter.deferred('key-unusable');
    metrics.meter.failedConnection();
    const all = await figures();
    expect(all.get('selkie_messages_unsigned_total{reason="foreign"}')).toBe(2);
    expect(all.get('selkie_messages_unsigned_total{reason="no-match"}')).toBe(1);
    expect(all.get('selkie_messages_deferred_total{reason="key-unusable"}')).toBe(1);
    expect(all.get('selkie_milter_errors_total')).toBe(1);
    expect(all.get('selkie_messages_signed_total')).toBe(0);
  });

  it('of many selectors are as many series as was said, and their sum only grows', async () => {
    for (let n = 0; n < 100; n += 1) metrics.meter.signed([key(`s${n}`)], 0.001);
    const signatures = async () =>
      [...(await figures())].filter(([name]) => name.startsWith('selkie_signatures_total'));
    expect(await signatures()).toEqual([
      ['selkie_signatures_total{selector="s0"}', 1],
      ['selkie_signatures_total{selector="s1"}', 1],
      ['selkie_signatures_total{selector="s2"}', 1],
      ['selkie_signatures_total{selector="_other"}', 97],
    ]);
    // Those that are not in use make room.
    clock += 41 * 24 * 3_600_000;
    expect(await signatures()).toEqual([['selkie_signatures_total{selector="_other"}', 100]]);
    metrics.meter.signed([key('s99')], 0.001);
    expect(await signatures()).toEqual([
      ['selkie_signatures_total{selector="s99"}', 1],
      ['selkie_signatures_total{selector="_other"}', 100],
    ]);
  });

  it('cost less than 2 µs each', () => {
    const { meter } = createMetrics({ now: Date.now });
    const keys = [key('240128'), key('240128e')];
    const rounds = Array.from({ length: 5 }, () => {
      const before = performance.now();
      for (let n = 0; n < 200_000; n += 1) meter.signed(keys, 0.002);
      return (performance.now() - before) / 200;
    });
    expect(Math.min(...rounds)).toBeLessThan(2);
  });
});

describe('the keys', () => {
  const held = (selector: string, file: string, duty: HeldKey['duty'] = 'signing'): HeldKey => ({
    domain: 'example.com',
    selector,
    algorithm: 'ed25519',
    publicKey: '',
    duty,
    file,
  });
  const state = (change: Partial<StoreState> = {}): StoreState => ({ ...emptyState('a'), ...change });

  it('are counted by selector; the oldest has its age; the cursor is shown', async () => {
    const folder = temporaryFolder();
    for (const [file, age] of [
      ['a', 7_000],
      ['b', 3_000],
      ['c', 90_000],
    ] as const) {
      writeFileSync(join(folder, file), '');
      utimesSync(join(folder, file), clock / 1000 - age, clock / 1000 - age);
    }
    const store = { state: state() };
    const duties = { unusable: new Map([['example.com/240128', 'its record is gone']]) };
    metrics.watch({ store, folder, duties });
    expect([...(await figures()).keys()].filter((name) => /cursor|oldest|signing_keys/.test(name))).toEqual(
      [],
    );
    store.state = state({
      cursor: { epoch: 2, n: 17 },
      failed: new Map([
        ['example.com/240128', 'x'],
        ['example.net/240128', 'y'],
      ]),
      keys: new Map([
        ['1', held('240101', 'a')],
        ['2', held('240128', 'b')],
        ['3', held('240128', 'b')],
        // On standby: the age of those that sign is asked for.
        ['4', held('240201', 'c', 'standby')],
      ]),
    });
    const all = await figures();
    expect(all.get('selkie_signing_keys{selector="240101"}')).toBe(1);
    expect(all.get('selkie_signing_keys{selector="240128"}')).toBe(2);
    expect(all.has('selkie_signing_keys{selector="240201"}')).toBe(false);
    expect(all.get('selkie_oldest_signing_key_age_seconds')).toBeCloseTo(7_000, 0);
    expect(all.get('selkie_unusable_keys')).toBe(2);
    expect(all.get('selkie_cursor_epoch')).toBe(2);
    expect(all.get('selkie_cursor_number')).toBe(17);
    store.state = state();
    expect((await figures()).has('selkie_signing_keys{selector="240128"}')).toBe(false);
  });

  it('of 100,000 domains are counted soon', async () => {
    const keys = new Map(
      Array.from({ length: 100_000 }, (_, n) => [`d${n}/s${n % 5_000}`, held(`s${n % 5_000}`, 'none')]),
    );
    metrics.watch({
      store: { state: state({ keys }) },
      folder: '/nonexistent',
      duties: { unusable: new Map() },
    });
    const before = performance.now();
    const all = await figures();
    expect(performance.now() - before).toBeLessThan(1_000);
    expect(all.get('selkie_signing_keys{selector="_other"}')).toBe(100_000 - 3 * 20);
  });
});

describe('the control plane', () => {
  it('is heard from by bundles that hold and by pulls that end well', async () => {
    const silence = async () => (await figures()).get('selkie_control_plane_silence_seconds');
    clock += 60_000;
    expect(await silence()).toBe(60);
    const receive = metrics.countBundles(async (bundle) => {
      if (bundle === 'bad') throw new Error('not signed by a trusted key');
      return 'acknowledgement';
    });
    await expect(receive('bad')).rejects.toThrow('not signed');
    expect(await silence()).toBe(60);
    expect(await receive('good')).toBe('acknowledgement');
    expect(await silence()).toBe(0);
    clock += 5_000;
    await expect(metrics.countContacts(() => Promise.reject(new Error('away')))()).rejects.toThrow('away');
    expect(await silence()).toBe(5);
    await metrics.countContacts(async () => 0)();
    expect(await silence()).toBe(0);
    const all = await figures();
    expect(all.get('selkie_bundles_total{outcome="taken"}')).toBe(1);
    expect(all.get('selkie_bundles_total{outcome="refused"}')).toBe(1);
  });
});

describe('the server', () => {
  const start = async (trouble: string[] = [], text = metrics.text) => {
    const lines: string[] = [];
    const server = await startMetricsServer({
      listen: '127.0.0.1:0',
      text,
      health: async () => ({ trouble }),
      log: (line) => lines.push(line),
    });
    onTestFinished(() => server.close());
    return {
      lines,
      get: (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${server.port}${path}`, init),
    };
  };

  it('shows figures and health', async () => {
    const trouble: string[] = [];
    const { get } = await start(trouble);
    const figures = await get('/metrics');
    expect(figures.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await figures.text()).toContain('# TYPE selkie_messages_signed_total counter');
    const well = await get('/healthz');
    expect([well.status, await well.json()]).toEqual([200, { status: 'ok', trouble: [] }]);
    trouble.push('key example.com/240128: its record is gone');
    const ill = await get('/healthz');
    expect([ill.status, await ill.json()]).toEqual([503, { status: 'failing', trouble }]);
  });

  it.each([
    ['/', { method: 'GET' }, 404],
    ['/metrics/../etc', { method: 'GET' }, 404],
    ['/metrics', { method: 'POST' }, 405],
    ['/metrics', { method: 'HEAD' }, 200],
    ['/metrics?name=x', { method: 'GET' }, 200],
  ])('answers %s %j with %d', async (path, init, status) => {
    const { get } = await start();
    expect((await get(path, init)).status).toBe(status);
  });

  it('says of an error of its own that there is one, in the log what', async () => {
    const { get, lines } = await start([], () => Promise.reject(new Error('broken')));
    const answer = await get('/metrics');
    expect([answer.status, await answer.text()]).toEqual([500, "See the agent's log.\n"]);
    expect(lines).toEqual(['metrics: broken']);
  });

  it('says that its address is in use', async () => {
    const server = await startMetricsServer({
      listen: '127.0.0.1:0',
      text: metrics.text,
      health: async () => ({ trouble: [] }),
      log: () => {},
    });
    onTestFinished(() => server.close());
    await expect(
      startMetricsServer({
        listen: `127.0.0.1:${server.port}`,
        text: metrics.text,
        health: async () => ({ trouble: [] }),
        log: () => {},
      }),
    ).rejects.toMatchObject({
      code: 'invalid',
      field: 'metrics',
      message: expect.stringContaining('in use'),
    });
  });
});

describe('its address', () => {
  it.each([
    ['127.0.0.1:9463', { host: '127.0.0.1', port: 9463 }],
    ['127.8.0.1:9463', { host: '127.8.0.1', port: 9463 }],
    ['[::1]:9463', { host: '::1', port: 9463 }],
    ['localhost:9463', { host: 'localhost', port: 9463 }],
  ])('%s', (text, address) => expect(metricsAddress(text)).toEqual(address));

  it.each(['0.0.0.0:9463', '[::]:9463', '192.0.2.1:9463', 'mx1.example.com:9463', '[::ffff:192.0.2.1]:9463'])(
    '%s can be reached from elsewhere',
    (text) => expect(() => metricsAddress(text)).toThrow(/reached from elsewhere.*127\.0\.0\.1:9463/),
  );

  it.each([
    '9463',
    ':9463',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:99999',
    '127.0.0.1:9463/metrics',
    '::1:9463',
  ])('%s is none', (text) => expect(() => metricsAddress(text)).toThrow(/is no address/));
});
