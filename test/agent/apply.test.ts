import { randomUUID, sign, verify } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { createNodeKeys } from '../../adapters/node-keys.ts';
import { type Applier, createApplier, type Report } from '../../agent/apply.ts';
import { createBuiltinDriver } from '../../agent/drivers/builtin.ts';
import { createDuties, type Duties } from '../../agent/duties.ts';
import { type KeyStore, openKeyStore } from '../../agent/key-store.ts';
import { createKeyRing, type KeyRing } from '../../agent/signing/key-ring.ts';
import type { KeyChange, Manifest } from '../../contract/manifest.ts';
import { add, days, instant, seconds } from '../../core/time.ts';
import { makeKey, noon, publicOf, turned } from '../tools/sealed.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

const host = 'mx1.example.com';
const domain = 'example.com';
const [first, second, third] = [makeKey(domain, 'one'), makeKey(domain, 'two'), makeKey(domain, 'three')];
const rsa = makeKey(domain, 'old', 'standby', 'rsa2048');
const other = makeKey('other.example', 'one');

let dir: string;
let store: KeyStore;
let ring: KeyRing;
let applier: Applier;
let duties: Duties;
/** Grows with each manifest, so that each is newer than the last. */
let clock = noon;

const open = async (report?: () => Report) => {
  store = await openKeyStore(dir, randomUUID);
  ring = createKeyRing();
  duties = createDuties(store, createBuiltinDriver(ring), () => {});
  await duties.enforce();
  applier = createApplier({
    host,
    store,
    duties,
    keys: createNodeKeys(),
    now: () => noon,
    ...(report === undefined ? {} : { report }),
  });
};

beforeEach(async () => {
  dir = temporaryFolder();
  await open();
});

const manifest = (from: number | null, n: number, more: Partial<Manifest> = {}): Manifest => {
  clock = add(clock, seconds(1));
  return {
    aud: host,
    place: { epoch: 1, n },
    from: from === null ? null : { epoch: 1, n: from },
    nonce: randomUUID(),
    iat: clock / 1000,
    exp: clock / 1000 + 60,
    sha256: '',
    ...more,
  };
};

const apply = (said: Manifest, ...changes: readonly KeyChange[]) =>
  applier.apply({ manifest: said, payload: { changes } });

const files = () => readdirSync(join(dir, 'keys')).length;
const selectors = (name = domain) => ring.signingKeys(name).map((key) => key.selector);

describe('a snapshot', () => {
  it('puts keys on standby, signs with none of them, and says where it stands', async () => {
    const said = manifest(null, 3);
    expect(await apply(said, first, other)).toEqual({
      iss: host,
      iat: noon / 1000,
      nonce: said.nonce,
      cursor: { epoch: 1, n: 3 },
      incarnation: store.state.incarnation,
      complete: true,
      failed: {},
    });
    expect(selectors()).toEqual([]);
    expect(files()).toBe(2);
  });

  it('signs with the keys whose duty that is', async () => {
    await apply(manifest(null, 3), { ...first, duty: 'signing' }, { ...rsa, duty: 'signing' }, second);
    expect(selectors()).toEqual(['old', 'one']);
    for (const { load, algorithm } of ring.signingKeys(domain)) {
      const [hash, change] = algorithm === 'ed25519' ? [undefined, first] : ['sha256', rsa];
      const data = Buffer.from('a message');
      expect(verify(hash, data, publicOf(change), sign(hash, data, await load()))).toBe(true);
    }
  });

  it('erases what it does not name', async () => {
    await apply(manifest(null, 3), first, second, other);
    await apply(manifest(null, 4), { ...second, duty: 'signing' });
    expect([...store.state.keys.keys()]).toEqual([`${domain}/two`]);
    expect(files()).toBe(1);
  });

  it('of an empty pool is complete too', async () =>
    expect(await apply(manifest(null, 0))).toMatchObject({ cursor: { epoch: 1, n: 0 }, complete: true }));

  it('may lead backwards, and into another epoch, down too: a lost ledger starts anew', async () => {
    await apply(manifest(null, 9, { place: { epoch: 3, n: 9 } }), first);
    const answer = await apply(manifest(null, 2), first);
    expect(answer).toMatchObject({ cursor: { epoch: 1, n: 2 }, complete: true });
  });
});

describe('a snapshot in parts', () => {
  const part = (n: number, id = 'snapshot-1', more: Partial<Manifest> = {}) =>
    manifest(null, 7, { snapshot: { id, part: n, parts: 3 }, ...more });

  beforeEach(async () => {
    await apply(manifest(null, 3), { ...first, duty: 'signing' }, other);
  });

  it('changes nothing before its last part, then everything at once', async () => {
    const before = { cursor: { epoch: 1, n: 3 }, complete: true };
    expect(await apply(part(1), { ...second, duty: 'signing' })).toMatchObject(before);
    expect(await apply(part(2), { ...rsa, duty: 'signing' })).toMatchObject(before);
    expect(selectors()).toEqual(['one']);
    expect(files()).toBe(4);
    expect(await apply(part(3), third)).toMatchObject({ cursor: { epoch: 1, n: 7 }, complete: true });
    expect(selectors()).toEqual(['old', 'two']);
    expect(store.state.keys.size).toBe(3);
    expect(files()).toBe(3);
  });

  it('goes on after a restart', async () => {
    await apply(part(1), { ...second, duty: 'signing' });
    await open();
    expect(selectors()).toEqual(['one']);
    await apply(part(2), third);
    await open();
    await apply(part(3));
    expect([...store.state.keys.keys()].toSorted()).toEqual([`${domain}/three`, `${domain}/two`]);
    expect(selectors()).toEqual(['two']);
  });

  it("is not finished by another one's last part", async () => {
    await apply(part(1), second);
    await apply(part(2), third);
    expect(await apply(part(3, 'snapshot-2'), rsa)).toMatchObject({ cursor: { epoch: 1, n: 3 } });
    expect(selectors()).toEqual(['one']);
    expect(files()).toBe(3);
  });

  it('is complete only in the epoch of its manifest', async () => {
    const answer = await apply(part(1, 'snapshot-1', { place: { epoch: 2, n: 7 } }), second);
    expect(answer).toMatchObject({ cursor: { epoch: 1, n: 3 }, complete: false });
  });

  it('says what failed in each of its parts', async () => {
    expect((await apply(part(1), { ...second, publicKey: third.publicKey })).failed).toHaveProperty(
      `${domain}/two`,
    );
    await apply(part(2));
    expect((await apply(part(3), third)).failed).toHaveProperty(`${domain}/two`);
  });
});

describe('a delta', () => {
  beforeEach(async () => {
    await apply(manifest(null, 3), { ...first, duty: 'signing' }, second, other);
  });

  it('turns duties in one step', async () => {
    const answer = await apply(manifest(3, 5), turned(second, 'signing'), turned(first, 'standby'));
    expect(answer).toMatchObject({ cursor: { epoch: 1, n: 5 }, complete: true, failed: {} });
    expect(selectors()).toEqual(['two']);
  });

  it('never leaves two keys of one type signing: invariant 6 asks for both to be said, the ring for one', async () => {
    await apply(manifest(3, 5), turned(second, 'signing'));
    expect(selectors()).toEqual(['two']);
    expect(store.state.keys.get(`${domain}/one`)?.duty).toBe('standby');
    await apply(manifest(5, 6), { ...rsa, duty: 'signing' });
    expect(selectors()).toEqual(['old', 'two']);
  });

  it('of several log entries holds in their order', async () => {
    await apply(
      manifest(3, 6),
      turned(second, 'signing'),
      turned(first, 'signing'),
      turned(second, 'standby'),
    );
    expect(selectors()).toEqual(['one']);
  });

  it('erases where the duty is none', async () => {
    await apply(manifest(3, 4), turned(first, 'none'));
    expect(selectors()).toEqual([]);
    expect(files()).toBe(2);
    expect(await apply(manifest(4, 5), turned(first, 'none'))).toMatchObject({ failed: {} });
  });

  it('from another place changes nothing, and is told the true one', async () => {
    for (const from of [2, 4]) {
      const answer = await apply(manifest(from, 9), turned(second, 'signing'));
      expect(answer).toMatchObject({ cursor: { epoch: 1, n: 3 }, complete: true });
    }
    expect(selectors()).toEqual(['one']);
  });

  it('ends a snapshot that was under way', async () => {
    await apply(manifest(null, 3, { snapshot: { id: 'snapshot-1', part: 1, parts: 2 } }), third);
    await apply(manifest(3, 4), turned(second, 'signing'));
    expect(store.state.staged).toBeNull();
    expect(files()).toBe(3);
  });

  it('is there after a restart', async () => {
    await apply(manifest(3, 5), turned(second, 'signing'), turned(first, 'standby'));
    await open();
    expect(selectors()).toEqual(['two']);
    expect(await apply(manifest(5, 6), turned(first, 'signing'))).toMatchObject({
      cursor: { epoch: 1, n: 6 },
    });
  });
});

describe('a key that does not work', () => {
  beforeEach(async () => {
    await apply(manifest(null, 3), { ...first, duty: 'signing' });
  });

  const cases: [string, KeyChange, RegExp][] = [
    ['of another public key', { ...second, publicKey: third.publicKey }, /does not verify/],
    ['of another type', { ...second, algorithm: 'rsa2048' }, /does not verify/],
    ['that is no key', { ...second, privateKey: 'AAAA' }, /PKCS#8/],
    ['that never came', turned(second, 'standby'), /not on this host/],
  ];

  it.each(cases)('%s is reported and not kept, and the others go on', async (_, change, why) => {
    const answer = await apply(manifest(3, 4), change, other);
    expect(answer.cursor).toEqual({ epoch: 1, n: 4 });
    expect(answer.failed).toEqual({ [`${domain}/two`]: expect.stringMatching(why) });
    expect(JSON.stringify(answer)).not.toContain(second.privateKey.slice(-20));
    expect([...store.state.keys.keys()].toSorted()).toEqual([`${domain}/one`, 'other.example/one']);
    expect(files()).toBe(2);
    await open();
    expect(store.state.failed.get(`${domain}/two`)).toMatch(why);
  });

  it.each(cases)('%s does not sign, even when told to', async (_, change) => {
    await apply(manifest(3, 4), change);
    const answer = await apply(manifest(4, 5), { ...turned(change, 'signing') });
    expect(answer.failed).toHaveProperty(`${domain}/two`);
    expect(selectors()).toEqual(['one']);
  });

  it('is forgiven when it comes whole, and forgotten when it goes', async () => {
    await apply(manifest(3, 4), { ...second, publicKey: third.publicKey }, turned(third, 'signing'));
    expect((await apply(manifest(4, 5), second)).failed).not.toHaveProperty(`${domain}/two`);
    expect((await apply(manifest(5, 6), turned(third, 'none'))).failed).toEqual({});
  });
});

describe('the age of manifests', () => {
  it('a repeat is acknowledged again, and not applied', async () => {
    const said = manifest(null, 3);
    const answer = await apply(said, first);
    expect(await apply(said, second)).toEqual(answer);
    expect([...store.state.keys.keys()]).toEqual([`${domain}/one`]);
    await open();
    expect(await apply(said, second)).toEqual(answer);
  });

  it('an older one is refused, after a restart too', async () => {
    const [older, oldest] = [manifest(null, 9), manifest(2, 3)];
    await apply(manifest(null, 3), first);
    for (const said of [older, oldest]) {
      await expect(apply(said, second)).rejects.toMatchObject({
        code: 'untrusted',
        message: expect.stringMatching(/newer manifest/),
      });
      await open();
    }
    expect([...store.state.keys.keys()]).toEqual([`${domain}/one`]);
  });

  it('one that was only answered makes those before it older', async () => {
    await apply(manifest(null, 3), first);
    const delta = manifest(3, 4);
    await apply(manifest(5, 6));
    await expect(apply(delta, second)).rejects.toMatchObject({ code: 'untrusted' });
  });

  it('of two in one second the later place, or part, is newer', async () => {
    const iat = 2_000_000_000;
    const snapshot = (part: number) => ({ iat, snapshot: { id: 'snapshot-1', part, parts: 2 } });
    await apply(manifest(null, 3, snapshot(1)), first);
    await apply(manifest(null, 3, snapshot(2)), second);
    await apply(manifest(3, 4, { iat }), turned(first, 'signing'));
    await expect(apply(manifest(null, 3, snapshot(2)))).rejects.toMatchObject({ code: 'untrusted' });
    expect(selectors()).toEqual(['one']);
  });
});

it('applies one bundle at a time, in their order', async () => {
  const steps = [manifest(null, 1), manifest(1, 2), manifest(2, 3), manifest(3, 4)];
  const answers = await Promise.all([
    apply(steps[0] ?? manifest(null, 1), first),
    apply(steps[1] ?? manifest(null, 1), second),
    apply(steps[2] ?? manifest(null, 1), turned(first, 'signing')),
    apply(steps[3] ?? manifest(null, 1), turned(second, 'signing')),
  ]);
  expect(answers.map((answer) => answer.cursor?.n)).toEqual([1, 2, 3, 4]);
  expect(selectors()).toEqual(['two']);
});

it('leaves everything as it was where the disk fails, and goes on afterwards', async () => {
  await apply(manifest(null, 3), { ...first, duty: 'signing' });
  const broken = createApplier({
    host,
    store: { ...store, state: store.state, commit: () => Promise.reject(new Error('no space left')) },
    duties,
    keys: createNodeKeys(),
    now: () => noon,
  });
  const said = manifest(3, 4);
  const changes = [{ ...second, duty: 'signing' } as const, turned(first, 'none')];
  await expect(broken.apply({ manifest: said, payload: { changes } })).rejects.toThrow('no space left');
  expect(selectors()).toEqual(['one']);
  expect(files()).toBe(1);
  expect(await apply(said, ...changes)).toMatchObject({ cursor: { epoch: 1, n: 4 } });
  expect(selectors()).toEqual(['two']);
});

it('reports what else the host knows', async () => {
  const report = { queueLifetime: days(3), lastUse: { [`${domain}/one`]: instant(5) } };
  await open(() => report);
  expect(await apply(manifest(null, 1))).toMatchObject(report);
});
