// `selkie adopt`: a whole adoption in virtual time, as an operator sees it.
import { afterEach, beforeEach, expect, it } from 'vitest';
import { days, hours, minutes } from '../../core/time.ts';
import { type LocalApi, startLocalApi } from '../tools/local-api.ts';
import { selkie } from '../tools/selkie.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

const publicKey = Buffer.alloc(32, 7).toString('base64');
const name = `mail._domainkey.${domain}`;
let world: Simulation;
let api: LocalApi;

beforeEach(async () => {
  world = await simulate('2024-01-28T09:00:00Z', { algorithms: ['ed25519'] }, ['mx1.example.com']);
  api = await startLocalApi(world.world);
});
afterEach(async () => {
  await api.close();
  world.close();
});

const adopt = async (...args: string[]): Promise<string> => {
  const { status, stdout, stderr } = await selkie('adopt', '--dir', api.dir, ...args);
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
};

it('says how to begin, what it waits for, what is adopted, and when that retires', {
  timeout: 60_000,
}, async () => {
  world.change({ adopted: [{ selector: 'mail', algorithm: 'ed25519', publicKey }] });
  await world.run(minutes(5));
  expect(await adopt()).toMatch(/^example\.com {2}waits\n {2}- adopt: .*there is no TXT record/);
  world.dns.put(name, { ttl: hours(6), values: [`v=DKIM1; k=ed25519; p=${publicKey}`] });
  await world.run(minutes(60));
  expect(await adopt(domain)).toMatch(
    /^example\.com {2}adopted\n {2}mail {2}adopted 2024-01-28, now active\n {2}retired by the rotation of 2024-0[12]-\d\d\n$/,
  );
  expect(JSON.parse(await adopt('--json')).adoptions).toMatchObject([
    { domain, state: 'adopted', keys: [{ selector: 'mail', state: 'active' }], says: [] },
  ]);
  await world.run(days(10));
  expect(await adopt()).toMatch(
    /mail {2}adopted 2024-01-28, now draining\n {2}- mail signed with mail drains until 2024-02-/,
  );
});

it('where nothing is adopted, it says how that is done', async () => {
  await world.run(minutes(60));
  expect(await adopt()).toContain('No domain adopts a key. To begin:');
  world.change({ adopted: [{ selector: 'mail', algorithm: 'ed25519', publicKey }] });
  await world.run(minutes(5));
  expect(await adopt()).toMatch(/^example\.com {2}ignored\n {2}- fleet\.yaml names mail as adopted, but/);
});
