// A host's keys roll, whole: a real agent, real TLS, the control plane's real transport and API, with the fleet file deployed
// at whatever moment. Never a push that is refused for its certificate, never a pull that is refused for its key.
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { createHttpsTransport } from '../../adapters/push/https-transport.ts';
import { fleetEntry, loadIdentity, loadOrMakeIdentity, places } from '../../agent/identity.ts';
import { type Agent, startAgent } from '../../agent/start.ts';
import { verifyAck } from '../../contract/acknowledgement.ts';
import type { KeyChange } from '../../contract/manifest.ts';
import type { FleetHost } from '../../core/policy.ts';
import { days, hours, type Instant, instant, milliseconds, seconds } from '../../core/time.ts';
import type { World } from '../../engine/world.ts';
import { fields, makeKey, makeSigner, noon, seal, skew, type TestSigner } from '../tools/sealed.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import { type Simulation, simulate } from '../world/world.ts';

const name = 'mx1.example.com';
const key = makeKey('example.com', '240128e', 'signing');
const transport = createHttpsTransport({ timeoutMs: 5_000 });

let dir: string;
let signer: TestSigner;
let clock: Instant;
let agent: Agent | undefined;
let lines: string[];
let place: number;
/** What waits for hours. */
let hourly: (() => void)[];

beforeEach(async () => {
  [dir, signer, clock, lines, place, hourly] = [temporaryFolder(), await makeSigner(), noon, [], 0, []];
});
afterEach(async () => {
  await agent?.close();
  agent = undefined;
});

const start = async (): Promise<Agent> => {
  await agent?.close();
  agent = await startAgent({
    dir,
    name,
    endpointHost: '127.0.0.1',
    pushPort: 0,
    pushAddress: '127.0.0.1',
    signer: { milter: { listen: { host: '127.0.0.1', port: 0 } } },
    trusted: () => [signer.jwk],
    timer: {
      after(delay, run) {
        if (delay >= hours(1)) hourly.push(run);
        return () => {
          hourly = hourly.filter((one) => one !== run);
        };
      },
    },
    now: () => clock,
    log: (line) => lines.push(line),
  });
  return agent;
};

const present = (): FleetHost => {
  if (agent === undefined) throw new Error('no agent');
  return { ...agent.entry, pool: 'main' };
};

/** As `selkie-agent keys roll` does beside a running agent. @returns the host as the new fleet file has it */
const roll = async (): Promise<FleetHost> => {
  const next = await loadOrMakeIdentity(dir, '127.0.0.1', clock, places.next);
  const host = { endpointHost: '127.0.0.1', pushPort: agent?.ports.push ?? 0 };
  return { name, pool: 'main', ...fleetEntry(next, host) };
};

/** A control plane that has this entry pushes, and believes the acknowledgement by it. */
const push = async (host: FleetHost, ...changes: readonly KeyChange[]) => {
  clock = instant(clock + seconds(1));
  const from = place === 0 ? null : { epoch: 1, n: place };
  place += 1;
  const jwe = await seal(host, signer, changes, fields({ place: { epoch: 1, n: place }, from }, clock));
  const jws = await transport.push(host, jwe);
  return verifyAck(jws, { host: name, signingKey: host.signingKey, now: clock, skew });
};

describe('host keys that roll, at a host that is pushed to', () => {
  it('are taken up by the first bundle that is sealed to them; until then all is as before', async () => {
    await start();
    const old = present();
    await push(old, key);
    const next = await roll();
    expect(next.encryptionKey).not.toBe(old.encryptionKey);
    expect((await push(old)).cursor).toEqual({ epoch: 1, n: 2 });
    expect((await loadIdentity(dir))?.encryptionKey).toBe(old.encryptionKey);

    // Deployed: another certificate is pinned, and other keys.
    expect(await push(next)).toMatchObject({ cursor: { epoch: 1, n: 3 }, complete: true, failed: {} });
    expect((await loadIdentity(dir))?.encryptionKey).toBe(next.encryptionKey);
    expect(await loadIdentity(dir, places.next)).toBeUndefined();
    expect((await push(next)).cursor).toEqual({ epoch: 1, n: 4 });

    // A worker of the old deployment that is still at it.
    expect((await push(old)).cursor).toEqual({ epoch: 1, n: 5 });
    expect((await push(next)).cursor).toEqual({ epoch: 1, n: 6 });
    expect((await loadIdentity(dir))?.encryptionKey).toBe(next.encryptionKey);
    expect(lines.filter((line) => line.startsWith('identity'))).toHaveLength(1);
  });

  it('survive a restart at each stage', async () => {
    await start();
    const old = present();
    await push(old, key);
    const endpoint = (host: FleetHost): FleetHost => ({ ...host, endpoint: present().endpoint ?? '' });
    const next = await roll();
    await start();
    await push(endpoint(old));
    await push(endpoint(next));
    await start();
    await push(endpoint(next));
    await push(endpoint(old));
    expect(present().signingKey).toBe(next.signingKey);
  });

  it('are whole after a crash between the two steps of the switch', async () => {
    await start();
    const old = present();
    await push(old, key);
    const next = await roll();
    await agent?.close();
    renameSync(join(dir, places.present), join(dir, places.old));
    await start();
    expect(present().encryptionKey).toBe(next.encryptionKey);
    const { endpoint = '' } = present();
    await push({ ...next, endpoint });
    await push({ ...old, endpoint });
  });

  it('leave nothing of the old ones after a day', async () => {
    await start();
    const old = present();
    await push(old, key);
    const next = await roll();
    await push(next);
    expect(existsSync(join(dir, places.old))).toBe(true);
    clock = instant(clock + days(1) - hours(1));
    for (const run of hourly.splice(0)) run();
    await vi.waitFor(() => expect(hourly.length).toBe(1));
    expect(existsSync(join(dir, places.old))).toBe(true);
    clock = instant(clock + hours(2));
    for (const run of hourly.splice(0)) run();
    await vi.waitFor(() => expect(lines.at(-1)).toBe('identity: the old keys of this host are erased'));
    expect(readdirSync(dir).filter((one) => one.startsWith('identity'))).toEqual(['identity']);
    await expect(push(old)).rejects.toMatchObject({ code: 'untrusted' });
    place -= 1;
    expect((await push(next)).failed).toEqual({});
  });

  it('can roll again on the same day', async () => {
    await start();
    await push(present(), key);
    const second = await roll();
    await push(second);
    const third = await roll();
    await push(second);
    await push(third);
    await push(second);
    expect((await loadIdentity(dir))?.encryptionKey).toBe(third.encryptionKey);
  });

  it('are not taken up for a bundle that proves nothing', async () => {
    await start();
    const old = present();
    await push(old, key);
    const next = await roll();
    // Whoever reads the fleet file can seal to the new key.
    const stranger = await makeSigner();
    const forged = await seal(next, stranger, [], fields({ place: { epoch: 1, n: 9 } }, clock));
    await expect(transport.push(next, forged)).rejects.toMatchObject({
      message: expect.stringMatching(/does not trust/),
    });
    const stale = await seal(next, signer, [], fields({}, instant(noon - hours(1))));
    await expect(transport.push(next, stale)).rejects.toMatchObject({
      message: expect.stringMatching(/expired/),
    });
    expect((await loadIdentity(dir))?.encryptionKey).toBe(old.encryptionKey);
  });
});

describe('host keys that roll, at a host that only pulls', () => {
  let simulation: Simulation;
  let server: ReturnType<typeof serve> | undefined;
  let host: FleetHost;
  afterEach(() => {
    server?.close();
    simulation.close();
  });

  it('are taken up with the first bundle after the deployment, and no pull in between fails', async () => {
    simulation = await simulate('2024-01-28T12:00:00Z', {}, []);
    const world: World = {
      ...simulation.world,
      get fleet() {
        return { ...simulation.world.fleet, hosts: new Map([[name, host]]) };
      },
    };
    const privateKey = Buffer.from(key.privateKey, 'base64');
    const [secret = ''] = await world.vault.store([{ domain: 'a', selector: 'b', privateKey }]);
    const append = async (duty: 'standby' | 'signing') =>
      world.ledger.commit({
        append: {
          pool: 'mx',
          place: await world.ledger.nextPlace('mx'),
          changes: [
            {
              ...key,
              duty,
              secret,
            },
          ],
        },
      });
    await append('standby');
    const listening = Promise.withResolvers<number>();
    server = serve({ fetch: createApi(world, () => {}).fetch, port: 0, hostname: '127.0.0.1' }, (at) =>
      listening.resolve(at.port),
    );
    const identity = await loadOrMakeIdentity(dir, name, noon);
    const entry = (of: typeof identity): FleetHost => ({
      name,
      pool: 'mx',
      ...fleetEntry(of, { endpointHost: name }),
    });
    host = entry(identity);
    const keys = await world.seals.bundleKeys();
    let run = (): void => {};
    let cycles = 0;
    agent = await startAgent({
      dir,
      name,
      endpointHost: name,
      signer: { milter: { listen: { host: '127.0.0.1', port: 0 } } },
      trusted: () => keys,
      controlPlane: `http://127.0.0.1:${await listening.promise}`,
      pullEvery: milliseconds(7),
      timer: {
        after(delay, next) {
          if (delay < 10) {
            cycles += 1;
            run = next;
          }
          return () => {};
        },
      },
      now: simulation.now,
      log: (line) => lines.push(line),
    });
    const cycle = async () => {
      const before = cycles;
      run();
      await vi.waitFor(() => expect(cycles).toBe(before + 1), { timeout: 5_000 });
    };
    await vi.waitFor(() => expect(cycles).toBe(1), { timeout: 5_000 });
    const cursor = async () => (await world.ledger.host(name))?.cursor?.n;
    expect(await cursor()).toBe(1);

    const next = await loadOrMakeIdentity(dir, name, noon, places.next);
    await cycle();
    host = entry(next); // deployed
    await cycle(); // nothing to say
    expect((await loadIdentity(dir))?.signingKey).toBe(identity.signingKey);
    await append('signing');
    await cycle();
    expect(await cursor()).toBe(2);
    expect((await loadIdentity(dir))?.signingKey).toBe(next.signingKey);
    await cycle();
    expect(lines.filter((line) => line.startsWith('pull'))).toEqual([]);
  });
});
