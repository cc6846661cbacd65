// A host that only pulls, and a snapshot larger than one answer: the control plane's real API over HTTP, the agent's real
// key store on disk. Interrupted where it hurts.
import { randomUUID } from 'node:crypto';
import { serve } from '@hono/node-server';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { createNodeKeys } from '../../adapters/node-keys.ts';
import { createApplier } from '../../agent/apply.ts';
import { createBuiltinDriver } from '../../agent/drivers/builtin.ts';
import { createDuties } from '../../agent/duties.ts';
import { type KeyStore, openKeyStore } from '../../agent/key-store.ts';
import { pullOnce } from '../../agent/pull.ts';
import { createReceiver } from '../../agent/receive.ts';
import { createKeyRing, type KeyRing } from '../../agent/signing/key-ring.ts';
import { openBundle } from '../../contract/bundle.ts';
import type { Manifest } from '../../contract/manifest.ts';
import { signPull } from '../../contract/pull.ts';
import { minutes } from '../../core/time.ts';
import type { DutyChange } from '../../engine/ports.ts';
import type { World } from '../../engine/world.ts';
import { makeHost, makeKey } from '../tools/sealed.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import { type Simulation, simulate } from '../world/world.ts';

const host = makeHost('mx9.example.com');
const pool = 'mx';
/** One key under many names: what matters here is its length. */
const key = makeKey('example.com', 'one', 'standby', 'rsa2048');
/** More than two payloads of RSA-2048 keys, less than three. */
const many = 1_100;

let simulation: Simulation;
let world: World;
let server: ReturnType<typeof serve>;
let url: string;
let store: KeyStore;
let ring: KeyRing;
/** What was given out. */
let given: Manifest[];
/** Before a bundle is applied. */
let before: (manifest: Manifest) => void;
let dir: string;

const change = (selector: string, duty: DutyChange['duty'] = 'signing'): DutyChange => ({
  domain: `${selector}.example.com`,
  selector,
  algorithm: 'rsa2048',
  duty,
  secret: `example.com/${selector === 'doomed' ? 'doomed' : 'one'}`,
  publicKey: key.publicKey,
});

const append = async (...changes: readonly DutyChange[]): Promise<void> => {
  await world.ledger.commit({ append: { pool, place: await world.ledger.nextPlace(pool), changes } });
};

const receiver = async () => {
  store = await openKeyStore(dir, randomUUID);
  ring = createKeyRing();
  const duties = createDuties(store, createBuiltinDriver(ring), () => {});
  await duties.enforce();
  const bundleKeys = await world.seals.bundleKeys();
  const receive = createReceiver({
    host: host.name,
    identities: async () => [{ encryption: host.encryptionPrivate, signing: host.signingPrivate }],
    applier: createApplier({ host: host.name, store, duties, keys: createNodeKeys(), now: simulation.now }),
    trusted: async () => bundleKeys,
    now: simulation.now,
    skew: minutes(5),
  });
  return async (bundle: string) => {
    const { manifest } = await openBundle(bundle, {
      encryptionKey: host.encryptionPrivate,
      host: host.name,
      trusted: bundleKeys,
      now: simulation.now(),
      skew: minutes(5),
    });
    given.push(manifest);
    before(manifest);
    return receive(bundle);
  };
};

const pull = async (): Promise<number> =>
  pullOnce({
    url,
    host: host.name,
    identities: async () => [{ signing: host.signingPrivate }],
    receive: await receiver(),
    standing: () => store.state,
    now: simulation.now,
    id: randomUUID,
  });

const parts = () => given.map(({ snapshot }) => snapshot && `${snapshot.part}/${snapshot.parts}`);

beforeEach(async () => {
  dir = temporaryFolder();
  given = [];
  before = () => {};
  simulation = await simulate('2024-01-28T09:00:00Z', {}, []);
  const { name, encryptionKey, signingKey } = host;
  const fleet = {
    ...simulation.world.fleet,
    hosts: new Map([[name, { name, pool, encryptionKey, signingKey }]]),
  };
  world = { ...simulation.world, fleet };
  const der = Buffer.from(key.privateKey, 'base64');
  await world.vault.store([
    { domain: 'example.com', selector: 'one', privateKey: der },
    { domain: 'example.com', selector: 'doomed', privateKey: der },
  ]);
  const names = Array.from({ length: many }, (_, n) => change(`s${n}`));
  // Last of all, so that it is in the last part.
  await append(...names, change('doomed'));
  const listening = Promise.withResolvers<number>();
  server = serve({ fetch: createApi(world, () => {}).fetch, port: 0, hostname: '127.0.0.1' }, (at) =>
    listening.resolve(at.port),
  );
  url = `http://127.0.0.1:${await listening.promise}`;
});
afterEach(() => {
  server.close();
  simulation.close();
});

const row = async () => world.ledger.host(host.name);

describe('a snapshot of three parts over pulls', () => {
  it('comes part by part, and only the last one makes the host ready', async () => {
    const ready: boolean[] = [];
    before = () => void row().then((one) => ready.push(one?.complete ?? false));
    expect(await pull()).toBe(3);
    expect(parts()).toEqual(['1/3', '2/3', '3/3']);
    expect(ready).toEqual([false, false, false]);
    expect(await row()).toMatchObject({ complete: true, cursor: { epoch: 1, n: 1 }, failed: {} });
    expect(store.state.keys.size).toBe(many + 1);
    expect(await pull()).toBe(0);
  });

  it('goes on where it was cut off, though the log has gone on and a key of it has been destroyed', async () => {
    before = ({ snapshot }) => {
      if (snapshot?.part === 2) throw new Error('the power fails');
    };
    await expect(pull()).rejects.toThrow('the power fails');
    expect(store.state.staged?.received).toEqual([1]);
    expect(ring.signingKeys('s0.example.com')).toEqual([]);
    await append(change('s0', 'none'), change('doomed', 'none'), change('new', 'signing'));
    await world.vault.destroy('example.com/doomed');

    before = () => {};
    given = [];
    // The rest of the snapshot, and then what happened since: `new` came without its key, which is asked for again.
    expect(await pull()).toBeGreaterThanOrEqual(3);
    expect(parts().slice(0, 3)).toEqual(['2/3', '3/3', undefined]);
    expect(given.map(({ place }) => place.n).slice(0, 3)).toEqual([1, 1, 2]);
    expect((await row())?.complete).toBe(true);
    expect((await row())?.cursor).toEqual({ epoch: 1, n: 2 });
    const names = [...store.state.keys.keys()];
    expect(names.length).toBe(many);
    expect(names).not.toContain('doomed.example.com/doomed');
    expect(names).not.toContain('s0.example.com/s0');
    expect(ring.signingKeys('s1.example.com').map(({ selector }) => selector)).toEqual(['s1']);
  });

  it('begins again in a new epoch', async () => {
    before = ({ snapshot }) => {
      if (snapshot?.part === 3) throw new Error('the power fails');
    };
    await expect(pull()).rejects.toThrow();
    await world.ledger.beginRestore();
    await world.ledger.endRestore();
    before = () => {};
    given = [];
    expect(await pull()).toBe(3);
    expect(parts()).toEqual(['1/3', '2/3', '3/3']);
    expect(await row()).toMatchObject({ complete: true, cursor: { epoch: 2, n: 1 } });
  });

  const claims = (staged: object) =>
    signPull(
      {
        iss: host.name,
        aud: 'selkie',
        iat: simulation.now() / 1_000,
        nonce: randomUUID(),
        incarnation: 'incarnation-1',
        cursor: null,
        staged: staged as never,
      },
      host.signingPrivate,
    );
  const ask = async (staged: object) => {
    const response = await fetch(`${url}/v1/hosts/${host.name}/pull`, {
      method: 'POST',
      body: await claims(staged),
    });
    return { status: response.status, bundle: await response.text() };
  };
  const idOfSnapshot = async (): Promise<string> => {
    before = ({ snapshot }) => {
      if (snapshot?.part === 1) throw new Error('the power fails');
    };
    await expect(pull()).rejects.toThrow();
    return given[0]?.snapshot?.id ?? '';
  };

  it('is not complete because a pull says so: the host has to show the cursor', async () => {
    const id = await idOfSnapshot();
    // Said by an earlier life of the host, or replayed: only the third part is missing.
    const { bundle } = await ask({ id, place: { epoch: 1, n: 1 }, parts: 3, received: [1, 2] });
    before = () => {};
    const acknowledgement = await (await receiver())(bundle);
    expect(parts().at(-1)).toBe('3/3');
    const told = await fetch(`${url}/v1/hosts/${host.name}/acknowledgements`, {
      method: 'POST',
      body: acknowledgement,
    });
    expect(told.status).toBe(204);
    expect((await row())?.complete).toBe(false);
    // It has part 3, and gets the others.
    expect(await pull()).toBe(2);
    expect((await row())?.complete).toBe(true);
  });

  it.each([
    ['all parts', (id: string) => ({ id, place: { epoch: 1, n: 1 }, parts: 3, received: [1, 2, 3] })],
    ['another snapshot', () => ({ id: randomUUID(), place: { epoch: 1, n: 1 }, parts: 3, received: [1] })],
    ['a place to come', (id: string) => ({ id, place: { epoch: 1, n: 9 }, parts: 3, received: [9] })],
    ['another number of parts', (id: string) => ({ id, place: { epoch: 1, n: 1 }, parts: 2, received: [1] })],
  ])('is begun anew for a host that says that it has %s', async (_, staged) => {
    const id = await idOfSnapshot();
    const { bundle } = await ask(staged(id));
    before = () => {};
    await (await receiver())(bundle);
    expect(parts().at(-1)).toBe('1/3');
  });

  it.each([{}, { id: 'short', place: null, parts: 0, received: ['one'] }, 7])(
    'refuses nonsense: %j',
    async (staged) => {
      expect((await ask(staged as object)).status).toBe(400);
    },
  );
});
