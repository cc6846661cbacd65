// What the hosts of a domain last said of its keys, and how the control plane stands, as the commands are told.
import { afterEach, expect, it } from 'vitest';
import { hours, minutes } from '../../core/time.ts';
import { requestRotation } from '../../engine/commands.ts';
import { domainHosts } from '../../engine/domain-hosts.ts';
import { fleetHealth } from '../../engine/fleet-health.ts';
import { excludeHost } from '../../engine/hosts.ts';
import { statusOf } from '../../engine/status.ts';
import { openSession } from '../../engine/world.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

let simulation: Simulation;
afterEach(() => simulation.close());

const begin = async (): Promise<void> => {
  simulation = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com', 'mx2.example.com']);
  await simulation.run(hours(1));
};
const look = async () => domainHosts(simulation.world, await openSession(simulation.world), domain);

it('says who signs with what hosts were told to', async () => {
  await begin();
  expect(await look()).toMatchObject({
    domain,
    zone: domain,
    signing: ['240128e'],
    hosts: [
      { host: 'mx1.example.com', ready: true, current: true, failed: {} },
      { host: 'mx2.example.com', ready: true, current: true },
    ],
  });
});

it('a host that missed the switch is not current, then silent, and the rotation is late', async () => {
  await begin();
  simulation.host('mx2.example.com').down = true;
  const { world } = simulation;
  await excludeHost(world, await openSession(world), 'mx2.example.com', 'repair', { by: 'test' });
  await requestRotation(world, await openSession(world), domain, { by: 'test' });
  await simulation.run(hours(2));
  const { signing, hosts } = await look();
  expect(signing).toEqual(['240128e-2']);
  expect(hosts).toMatchObject([
    { host: 'mx1.example.com', current: true },
    { host: 'mx2.example.com', current: false, ready: false, excluded: 'repair' },
  ]);
});

it('tells of a silent host and of what is late', async () => {
  await begin();
  const { world } = simulation;
  expect(await fleetHealth(world)).toMatchObject({ skew: 0, silent: [], forgotten: [], fleet: { hosts: 2 } });
  simulation.host('mx2.example.com').down = true;
  await requestRotation(world, await openSession(world), domain, { by: 'test' });
  await simulation.run(hours(5));
  expect((await fleetHealth(world)).silent).toEqual([
    expect.stringMatching(/^mx2\.example\.com was last heard of 2024-01-28T/),
  ]);
  expect((await look()).hosts[1]).toMatchObject({ silent: expect.stringContaining('was last heard of') });
  expect((await statusOf(world, await openSession(world), domain)).late).toEqual([
    expect.stringMatching(/^240128e-2 was to hold by /),
  ]);
  simulation.host('mx2.example.com').down = false;
  await simulation.run(minutes(90));
  expect(await statusOf(world, await openSession(world), domain)).not.toHaveProperty('late');
});
