// What would come of an order, before it is given: the forecast says what then happens, asks for nothing, and refuses what the
// order itself would.
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { days, hours, minutes } from '../../core/time.ts';
import { declareCompromised, requestRotation, rollBack } from '../../engine/commands.ts';
import { forecast, type Supposed } from '../../engine/forecast.ts';
import { statusOf } from '../../engine/status.ts';
import { openSession } from '../../engine/world.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

let s: Simulation;
beforeEach(async () => {
  s = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com', 'mx2.example.com']);
  await s.run(hours(2));
});
afterEach(() => s.close());

const session = () => openSession(s.world);
const foreseen = async (supposed?: Supposed, horizon = 30): Promise<string[]> =>
  (await forecast(s.world, await session(), domain, horizon, supposed)).events.map(({ does }) => does);
const version = async () => (await s.world.ledger.domain(domain))?.version;
const statesOf = async () =>
  Object.fromEntries(
    (await statusOf(s.world, await session(), domain)).keys.map(({ selector, state }) => [selector, state]),
  );

it('shows a rotation, which then goes as it was shown', async () => {
  const before = await version();
  expect(await foreseen({ order: 'rotate' })).toEqual([
    'the record of 240128e-2 is published',
    'hosts switch; 240128e drains',
    '240128e is revoked',
    'the record of 240128e is removed',
    'nothing is left of 240128e',
  ]);
  expect(await version()).toBe(before);
  await requestRotation(s.world, await session(), domain, {});
  await s.run(hours(1));
  expect(await statesOf()).toEqual({ '240128e': 'draining', '240128e-2': 'active' });
  await s.run(days(30));
  expect(await statesOf()).toEqual({ '240128e-2': 'active' });
});

it('shows a rollback, an emergency and a key that goes unsigned at once', async () => {
  await requestRotation(s.world, await session(), domain, {});
  await s.run(hours(1));
  expect((await foreseen({ order: 'rollback' }))[0]).toBe('hosts switch; 240128e-2 drains');
  expect((await foreseen({ order: 'emergency' })).slice(0, 3)).toEqual([
    'the record of 240128e-3 is published',
    'hosts switch; 240128e-2 stops',
    '240128e-2 is revoked',
  ]);
  expect(await foreseen({ order: 'compromise', selector: '240128e-2', unsigned: true })).toContain(
    'hosts stop signing with 240128e-2',
  );
  // One that drains is revoked at once, without a successor.
  const draining = await foreseen({ order: 'compromise', selector: '240128e' });
  expect(draining[0]).toBe('240128e is revoked');
  expect(draining.some((does) => does.startsWith('hosts switch'))).toBe(false);
  await declareCompromised(s.world, await session(), domain, '240128e', {});
  await s.run(minutes(30));
  expect(await statesOf()).toEqual({ '240128e': 'revoked', '240128e-2': 'active' });
});

it('refuses what the order would refuse', async () => {
  await expect(foreseen({ order: 'rollback' })).rejects.toThrow('has no earlier key set to go back to');
  await expect(rollBack(s.world, await session(), domain, {})).rejects.toThrow('has no earlier key set');
  await expect(foreseen({ order: 'abort' })).rejects.toThrow('no rotation of example.com is under way');
  await expect(foreseen({ order: 'compromise', selector: 'nope' })).rejects.toThrow('is not a key');
});

it('is asked for by the query, whose every word is judged', async () => {
  const api = createApi(s.world, () => {});
  const ask = async (query: string) => {
    const response = await api.request(`/v1/domains/${domain}/forecast${query}`);
    return [response.status, await response.json()];
  };
  expect(await ask('?days=30&order=rotate')).toEqual([
    200,
    expect.objectContaining({
      events: expect.arrayContaining([expect.objectContaining({ selector: '240128e-2' })]),
    }),
  ]);
  for (const [query, field] of [
    ['?order=sideways', 'order'],
    ['?selector=240128e', 'order'],
    ['?order=compromise', 'selector'],
    ['?order=rotate&selector=240128e', 'selector'],
    ['?order=rotate&unsigned=true', 'unsigned'],
    ['?order=emergency&unsigned=perhaps', 'unsigned'],
  ])
    expect(await ask(query ?? '')).toEqual([400, expect.objectContaining({ field })]);
  expect((await ask('?order=rollback'))[0]).toBe(409);
});

it('answers who looks again that nothing is new', async () => {
  const api = createApi(s.world, () => {});
  const first = await api.request('/v1/domains');
  const headers = { 'if-none-match': first.headers.get('etag') ?? '' };
  expect((await api.request('/v1/domains', { headers })).status).toBe(304);
  await requestRotation(s.world, await session(), domain, {});
  expect((await api.request('/v1/domains', { headers })).status).toBe(200);
});
