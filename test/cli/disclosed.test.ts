// `selkie disclosed` through the real API: a list, one key as openssl wants it, and what there is to say where there is none.
import { createPrivateKey } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { days, hours } from '../../core/time.ts';
import { requestRotation } from '../../engine/commands.ts';
import { openSession } from '../../engine/world.ts';
import { describeWith } from '../tools/machine.ts';
import { type Ran, selkieIn } from '../tools/selkie.ts';
import { type Gateway, operator, region, startGateway } from '../tools/signed-gateway.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

describeWith(['botocore'], 'selkie disclosed', () => {
  let world: Simulation;
  let gateway: Gateway;
  beforeAll(async () => {
    world = await simulate('2024-01-28T09:00:00Z', { disclose: 'after-removal' }, ['mx1.example.com']);
    await world.run(hours(2));
    gateway = await startGateway(createApi(world.world, () => {}));
  });
  afterAll(async () => {
    await gateway.stop();
    world.close();
  });
  const selkie = (...args: string[]): Promise<Ran> =>
    selkieIn({ ...process.env, ...operator, AWS_REGION: region }, 'disclosed', ...args, '--api', gateway.url);

  it('says that none is, then which are', { timeout: 60_000 }, async () => {
    const none = await selkie(domain);
    expect(none).toMatchObject({ status: 0, stderr: '' });
    expect(none.stdout).toContain(`no key of ${domain} is published`);

    await requestRotation(world.world, await openSession(world.world), domain, {});
    await world.run(days(17));
    expect((await selkie(domain)).stdout).toBe('240128e      ed25519  record gone since 2024-02-11 12:46Z\n');
    const json = JSON.parse((await selkie(domain, '--json')).stdout);
    expect(json).toMatchObject({ domain, keys: [{ selector: '240128e', algorithm: 'ed25519' }] });

    const one = await selkie(domain, '240128e');
    expect(one.status).toBe(0);
    expect(one.stdout).toBe(json.keys[0].privateKey);
    expect(createPrivateKey(one.stdout).asymmetricKeyType).toBe('ed25519');

    const other = await selkie(domain, '240128');
    expect([other.status, other.stdout]).toEqual([1, '']);
    expect(other.stderr).toContain('240128 is not published: see selkie disclosed example.com');
    expect((await selkie('other.example')).status).toBe(1);
  });
});
