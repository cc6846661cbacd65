// Bundle keys follow one another: the set on disk, then whole, between the control plane's API and a real key store.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { createHttpsTransport } from '../../adapters/push/https-transport.ts';
import { type Agent, startAgent } from '../../agent/start.ts';
import { distrust, succeed, thumbprints, trust, trustedKeys } from '../../agent/trust.ts';
import { openBundle } from '../../contract/bundle.ts';
import { createSeals, type Seals, type SuccessionOptions } from '../../contract/seals.ts';
import type { FleetHost } from '../../core/policy.ts';
import { milliseconds, seconds } from '../../core/time.ts';
import { reconcileHost } from '../../engine/reconcile-host.ts';
import type { World } from '../../engine/world.ts';
import { fields, makeHost, makeSigner, noon, seal, skew, type TestSigner } from '../tools/sealed.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import { type Simulation, simulate } from '../world/world.ts';

const kidOf = async (signer: TestSigner): Promise<string> => (await signer.publicKey()).kid;

let [old, next, third]: TestSigner[] = [];
let kids: Readonly<Record<'old' | 'next' | 'third', string>>;
let dir: string;
beforeEach(async () => {
  [old, next, third] = await Promise.all([makeSigner(), makeSigner(), makeSigner()]);
  kids = { old: await kidOf(one(old)), next: await kidOf(one(next)), third: await kidOf(one(third)) };
  dir = temporaryFolder();
  await trust(dir, [one(old).jwk]);
});
const one = (signer: TestSigner | undefined): TestSigner => {
  if (signer === undefined) throw new Error('no signer');
  return signer;
};
const trusts = async () => thumbprints(await trustedKeys(dir));

describe('the set of bundle keys', () => {
  it('grows and shrinks by what a manifest says; again is the same', async () => {
    for (let i = 0; i < 2; i += 1) {
      await succeed(dir, { add: [publicOf(one(next))] });
      expect(await trusts()).toEqual([kids.old, kids.next]);
    }
    for (let i = 0; i < 2; i += 1) {
      await succeed(dir, { retire: [kids.old] });
      expect(await trusts()).toEqual([kids.next]);
    }
    await succeed(dir, { add: [publicOf(one(third))], retire: [kids.third, kids.old] });
    expect(await trusts()).toEqual([kids.next]);
  });

  it('is never empty, whoever says so', async () => {
    await expect(succeed(dir, { retire: [kids.old] })).rejects.toMatchObject({ code: 'invalid' });
    await expect(distrust(dir, kids.old)).rejects.toMatchObject({
      code: 'unsafe',
      message: expect.stringMatching(/--add/),
    });
    await expect(distrust(dir, kids.next)).rejects.toMatchObject({ code: 'not-found' });
    expect(await trusts()).toEqual([kids.old]);
  });

  it('takes no key that is none', async () => {
    const nowhere = { ...publicOf(one(next)), y: 'A'.repeat(43) };
    await expect(succeed(dir, { add: [nowhere] })).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/curve/),
    });
    await expect(trust(dir, [nowhere])).rejects.toMatchObject({ code: 'invalid' });
    expect(await trusts()).toEqual([kids.old]);
  });

  it('is whole after many changes at once, and holds nothing but public halves', async () => {
    await Promise.all([
      trust(dir, [one(next).jwk]),
      succeed(dir, { add: [publicOf(one(third))] }),
      trust(dir, [one(next).jwk]),
      succeed(dir, { retire: [kids.old] }),
    ]);
    expect((await trusts()).toSorted()).toEqual([kids.next, kids.third].toSorted());
    expect(readFileSync(join(dir, 'trusted.json'), 'utf8')).not.toContain('"d"');
  });

  it('that is damaged is said, with its file', async () => {
    writeFileSync(join(dir, 'trusted.json'), '{"keys":[]}');
    await expect(trustedKeys(dir)).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/trusted\.json/),
    });
  });
});

const publicOf = ({ jwk }: TestSigner) => ({
  kty: 'EC' as const,
  crv: 'P-256' as const,
  x: jwk.x ?? '',
  y: jwk.y ?? '',
});

describe('a manifest', () => {
  const host = makeHost();
  const open = (jwe: string, ...trusted: readonly TestSigner[]) =>
    openBundle(jwe, {
      encryptionKey: host.encryptionPrivate,
      host: host.name,
      trusted: trusted.map(({ jwk }) => jwk),
      now: noon,
      skew,
    });
  const sealed = (signer: TestSigner, succession: SuccessionOptions) =>
    createSeals(signer, succession).seal({ host, manifest: fields(), payload: { changes: [] } });

  it('names the keys that are announced and retired, and none where there are none', async () => {
    const [a, b, c] = [one(old), one(next), one(third)];
    const said = async (succession: SuccessionOptions) =>
      (await open(await sealed(a, succession), a)).manifest.trust;
    expect(await said({})).toBeUndefined();
    expect(await said({ announce: [b], retire: [kids.third] })).toEqual({
      add: [publicOf(b)],
      retire: [kids.third],
    });
    // Left over from the step before, or contradicting itself.
    expect(await said({ announce: [a], retire: [kids.old] })).toBeUndefined();
    expect(await said({ announce: [c], retire: [kids.third] })).toEqual({ retire: [kids.third] });
    expect((await createSeals(a, { announce: [b, a] }).bundleKeys()).map(({ kid }) => kid)).toEqual([
      kids.old,
      kids.next,
    ]);
  });

  it('cannot retire the key that signed it', async () => {
    const jwe = await seal(host, one(old), [], { ...fields(), trust: { retire: [kids.old] } });
    await expect(open(jwe, one(old), one(next))).rejects.toMatchObject({
      code: 'untrusted',
      message: expect.stringMatching(/retires/),
    });
  });

  it('stays within what the signer signs, with as many keys as it may name', async () => {
    const announce = await Promise.all(Array.from({ length: 8 }, () => makeSigner()));
    const retire = Array.from({ length: 8 }, (_, i) => `${i}`.repeat(43));
    const { manifest } = await open(await sealed(one(old), { announce, retire }), one(old));
    expect(manifest.trust?.add).toHaveLength(8);
  });
});

describe('succession', () => {
  let simulation: Simulation;
  let world: World;
  let seals: Seals;
  let host: FleetHost;
  let agent: Agent | undefined;
  let server: ReturnType<typeof serve> | undefined;
  let lines: string[] = [];
  afterEach(async () => {
    await agent?.close();
    server?.close();
    simulation.close();
    [agent, server] = [undefined, undefined];
  });

  const name = 'mx1.example.com';
  const begin = async (pulls: boolean): Promise<{ deliver(): Promise<void> }> => {
    simulation = await simulate('2024-01-28T12:00:00Z', {}, []);
    lines = [];
    seals = createSeals(one(old));
    world = {
      ...simulation.world,
      transport: createHttpsTransport({ timeoutMs: 5_000 }),
      get seals() {
        return seals;
      },
      get fleet() {
        return { ...simulation.world.fleet, hosts: new Map([[name, host]]) };
      },
    };
    const listening = Promise.withResolvers<number>();
    server = serve({ fetch: createApi(world, () => {}).fetch, port: 0, hostname: '127.0.0.1' }, (at) =>
      listening.resolve(at.port),
    );
    const port = await listening.promise;
    let [run, cycles] = [() => {}, 0];
    agent = await startAgent({
      dir,
      name,
      endpointHost: '127.0.0.1',
      ...(pulls ? { controlPlane: `http://127.0.0.1:${port}` } : { pushPort: 0, pushAddress: '127.0.0.1' }),
      signer: { milter: { listen: { host: '127.0.0.1', port: 0 } } },
      trusted: () => trustedKeys(dir),
      succeed: (succession) => succeed(dir, succession),
      pullEvery: milliseconds(7),
      timer: {
        after(delay, again) {
          if (delay < 10) [run, cycles] = [again, cycles + 1];
          return () => {};
        },
      },
      now: simulation.now,
      log: (line) => lines.push(line),
    });
    host = { ...agent.entry, pool: 'mx' };
    if (pulls) await vi.waitFor(() => expect(cycles).toBe(1), { timeout: 5_000 });
    return {
      deliver: async () => {
        if (!pulls) {
          // A silent host is asked where it stands after an hour.
          await simulation.run(seconds(3_600));
          return reconcileHost(world, { kind: 'host', host: name });
        }
        const before = cycles;
        run();
        await vi.waitFor(() => expect(cycles).toBe(before + 1), { timeout: 5_000 });
      },
    };
  };
  const row = async () => world.ledger.host(name);

  it.each([
    ['pulls', true],
    ['is pushed to', false],
  ])(
    'goes through its three deployments at a host that only %s, though nothing else is to be said',
    async (_, pulls) => {
      const { deliver } = await begin(pulls);
      await deliver();
      expect(await row()).toMatchObject({ complete: true, trusts: [kids.old] });

      seals = createSeals(one(old), { announce: [one(next)] });
      await deliver();
      expect((await row())?.trusts).toEqual([kids.old, kids.next]);
      const at = (await row())?.version;
      if (pulls) {
        await deliver(); // it knows: nothing more is said
        expect((await row())?.version).toBe(at);
      }

      seals = createSeals(one(next), { announce: [one(old)] });
      await deliver();
      expect((await row())?.trusts).toEqual([kids.old, kids.next]);

      seals = createSeals(one(next), { retire: [kids.old] });
      await deliver();
      expect((await row())?.trusts).toEqual([kids.next]);
      expect(await trusts()).toEqual([kids.next]);

      // Back to the old key: the host refuses.
      seals = createSeals(one(old), { announce: [one(third)] });
      await deliver();
      expect(await trusts()).toEqual([kids.next]);
      if (pulls)
        expect(lines.join('\n')).toMatch(/pull: The manifest is signed with a bundle key that this host/);
      else expect((await row())?.trouble?.message).toMatch(/does not trust/);
    },
  );

  it('is not wound back by a manifest of before', async () => {
    const { deliver } = await begin(false);
    await deliver();
    const transport = world.transport;
    const seen: string[] = [];
    const push: typeof transport.push = (to, jwe) => {
      seen.push(jwe);
      return transport.push(to, jwe);
    };
    world = { ...world, transport: { push } };
    Object.defineProperty(world, 'seals', { get: () => seals });
    const send = async () => {
      await simulation.run(seconds(3_600));
      await reconcileHost(world, { kind: 'host', host: name });
    };
    seals = createSeals(one(old), { announce: [one(next), one(third)] });
    await send();
    seals = createSeals(one(next), { retire: [kids.third] });
    await send();
    expect(await trusts()).toEqual([kids.old, kids.next]);
    await expect(transport.push(host, seen[0] ?? '')).rejects.toMatchObject({ code: 'host.refused' });
    expect(await trusts()).toEqual([kids.old, kids.next]);
  });

  it('is taken up by a running agent that an administrator helps by hand', async () => {
    const { deliver } = await begin(false);
    await deliver();
    seals = createSeals(one(next)); // the old key was lost
    await deliver();
    expect((await row())?.trouble?.message).toMatch(/does not trust/);
    await trust(dir, [one(next).jwk]);
    await distrust(dir, kids.old);
    await deliver();
    expect((await row())?.trusts).toEqual([kids.next]);
  });
});
