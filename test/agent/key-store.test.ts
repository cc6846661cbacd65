import { spawn } from 'node:child_process';
import { randomUUID, sign, verify } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type HeldKey, type KeyStore, openKeyStore, type StoreState } from '../../agent/key-store.ts';
import { makeKey, publicOf } from '../tools/sealed.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

const rsa = makeKey('example.com', '240128', 'signing', 'rsa2048');
const ed = makeKey('example.com', '240128e', 'standby');

const signing = (from: KeyStore) => from.heldKeys().filter(({ duty }) => duty === 'signing');

const put = async (store: KeyStore, key: typeof rsa): Promise<HeldKey> => {
  const { file } = await store.put(key);
  const { privateKey: _, duty, ...facts } = key;
  return { ...facts, duty: duty === 'none' ? 'standby' : duty, file };
};

const filled = async (dir: string): Promise<StoreState> => {
  const store = await openKeyStore(dir, randomUUID);
  await store.commit({
    ...store.state,
    cursor: { epoch: 1, n: 3 },
    newest: { iat: 1.5, nonce: 'nonce-0001', place: { epoch: 1, n: 3 }, part: 0 },
    keys: new Map([['example.com/240128', await put(store, rsa)]]),
    failed: new Map([['example.com/x', 'why']]),
    staged: {
      id: 'snapshot-1',
      place: { epoch: 2, n: 1 },
      parts: 3,
      received: [1],
      keys: new Map([['example.com/240128e', await put(store, ed)]]),
      failed: new Map(),
    },
  });
  return store.state;
};

const keyFileOf = (dir: string, state: StoreState): string =>
  join(dir, 'keys', state.keys.get('example.com/240128')?.file ?? '');

const damageFile = (file: string): void => writeFileSync(file, readFileSync(file, 'utf8').replace(/A/, 'B'));

const load = async (store: KeyStore, selector: string) => {
  const key = store.heldKeys().find((held) => held.selector === selector);
  if (key === undefined) throw new Error(`${selector} is not held`);
  return key.load();
};

/** RSA, which signs, is gone. */
const expectLost = (store: KeyStore): void => {
  expect(store.state.cursor).toBeNull();
  expect(store.state.failed.get('example.com/240128')).toMatch(/missing or damaged/);
  expect(store.state.keys.size).toBe(0);
  expect(store.state.staged?.keys.size).toBe(1);
  expect([...store.lost]).toEqual([['example.com/240128', expect.stringMatching(/missing or damaged/)]]);
  expect(store.heldKeys()).toEqual([]);
};

describe('a key store', () => {
  it('is empty at first, with an incarnation of its own', async () => {
    const dir = join(temporaryFolder(), 'store');
    const { state } = await openKeyStore(dir, () => 'incarnation-1');
    expect(state).toEqual({
      incarnation: 'incarnation-1',
      cursor: null,
      newest: null,
      keys: new Map(),
      failed: new Map(),
      staged: null,
    });
    expect((await openKeyStore(dir, () => 'incarnation-2')).state.incarnation).toBe('incarnation-1');
  });

  it('is after a restart what was committed', async () => {
    const dir = temporaryFolder();
    const state = await filled(dir);
    const again = await openKeyStore(dir, randomUUID);
    expect(again.state).toEqual(state);
    const [key, ...rest] = signing(again);
    expect(rest).toEqual([]);
    expect(key).toMatchObject({ domain: 'example.com', selector: '240128', algorithm: 'rsa2048' });
    if (key === undefined) return;
    const data = Buffer.from('x');
    expect(verify('sha256', data, publicOf(rsa), sign('sha256', data, await key.load()))).toBe(true);
  });

  it("is its user's alone", async () => {
    const dir = temporaryFolder();
    await filled(dir);
    for (const path of ['.', 'keys']) expect(statSync(join(dir, path)).mode & 0o777).toBe(0o700);
    const files = readdirSync(join(dir, 'keys'));
    expect(files).toHaveLength(2);
    for (const file of [...files.map((name) => `keys/${name}`), 'index.json', 'facts'])
      expect(statSync(join(dir, file)).mode & 0o777).toBe(0o600);
    chmodSync(join(dir, 'keys'), 0o755);
    await expect(openKeyStore(dir, randomUUID)).rejects.toMatchObject({ code: 'unsafe' });
  });

  it('sweeps away what a crash left', async () => {
    const dir = temporaryFolder();
    const state = await filled(dir);
    writeFileSync(join(dir, 'keys', `${'0'.repeat(64)}.key`), '{"privateKey":"half');
    writeFileSync(join(dir, 'index.json.abc.tmp'), '{"half');
    const again = await openKeyStore(dir, randomUUID);
    expect(again.state).toEqual(state);
    expect(readdirSync(join(dir, 'keys')).toSorted()).toEqual(
      [...state.keys.values(), ...(state.staged?.keys.values() ?? [])].map((key) => key.file).toSorted(),
    );
    expect(readdirSync(dir).toSorted()).toEqual(['facts', 'index.json', 'keys']);
  });

  it('keeps a key that was put, once it is committed and not before', async () => {
    const dir = temporaryFolder();
    const { file } = await (await openKeyStore(dir, randomUUID)).put(ed);
    expect(readdirSync(join(dir, 'keys'))).toEqual([file]);
    await openKeyStore(dir, randomUUID);
    expect(readdirSync(join(dir, 'keys'))).toEqual([]);
  });

  it('says at once that a key file is missing, and asks for everything', async () => {
    const dir = temporaryFolder();
    const state = await filled(dir);
    rmSync(keyFileOf(dir, state));
    const again = await openKeyStore(dir, randomUUID);
    expectLost(again);
  });

  it.each<[string, (store: KeyStore) => Promise<unknown>]>([
    ['is needed', (store) => load(store, '240128')],
    ['is needed twice at once', (store) => Promise.all([load(store, '240128'), load(store, '240128')])],
    ['is inspected', (store) => store.inspect(async () => true)],
  ])('says that a key file is damaged when it %s, and asks for everything', async (_, find) => {
    const dir = temporaryFolder();
    const state = await filled(dir);
    damageFile(keyFileOf(dir, state));
    let told = 0;
    const again = await openKeyStore(dir, randomUUID, { damaged: () => (told += 1) });
    expect(again.state).toEqual(state);
    await find(again).catch((error: unknown) =>
      expect(error).toMatchObject({
        code: 'invalid',
        message: 'The key file of example.com/240128 is missing or damaged.',
      }),
    );
    expect(told).toBe(1);
    expectLost(again);
  });

  it('keeps a damaged key lost until it is sent again, also where a bundle was under way', async () => {
    const dir = temporaryFolder();
    const before = await filled(dir);
    damageFile(keyFileOf(dir, before));
    const store = await openKeyStore(dir, randomUUID);
    await load(store, '240128').catch(() => undefined);
    await store.commit({ ...before, cursor: { epoch: 1, n: 4 } });
    expectLost(store);
    const again = await openKeyStore(dir, randomUUID);
    expectLost(again);
    const key = await put(again, rsa);
    const failed = new Map(again.state.failed);
    failed.delete('example.com/240128');
    await again.commit({ ...again.state, keys: new Map([['example.com/240128', key]]), failed });
    for (const store of [again, await openKeyStore(dir, randomUUID)]) {
      expect(store.lost.size).toBe(0);
      expect(store.state.keys.size).toBe(1);
      expect((await load(store, '240128')).type).toBe('private');
    }
  });

  it('takes a staged key whose file is damaged for failed', async () => {
    const dir = temporaryFolder();
    const state = await filled(dir);
    damageFile(join(dir, 'keys', state.staged?.keys.get('example.com/240128e')?.file ?? ''));
    const store = await openKeyStore(dir, randomUUID);
    await store.inspect(async () => true);
    expect(store.state.staged?.keys.size).toBe(0);
    expect(store.state.staged?.failed.get('example.com/240128e')).toMatch(/missing or damaged/);
    expect(store.state.cursor).toEqual(state.cursor);
    expect(store.lost.size).toBe(0);
  });

  it.each<[string, (facts: string) => string | undefined]>([
    ['missing, as before 0.2', () => undefined],
    ['empty', () => ''],
    ['torn', (facts) => facts.slice(0, facts.length >> 1)],
    ['no JSON', () => 'x\n[1]\n["a","b"]\n'],
  ])('reads the key files where the facts are %s', async (_, spoil) => {
    const dir = temporaryFolder();
    const state = await filled(dir);
    const file = join(dir, 'facts');
    const spoiled = spoil(readFileSync(file, 'utf8'));
    if (spoiled === undefined) rmSync(file);
    else writeFileSync(file, spoiled);
    const again = await openKeyStore(dir, randomUUID);
    expect(again.state).toEqual(state);
    expect((await load(again, '240128')).asymmetricKeyType).toBe('rsa');
    expect(readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(2);
  });

  it('finds out facts that are not those of the key', async () => {
    const dir = temporaryFolder();
    await filled(dir);
    const file = join(dir, 'facts');
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll(rsa.publicKey, ed.publicKey));
    const again = await openKeyStore(dir, randomUUID);
    await expect(load(again, '240128')).rejects.toMatchObject({ code: 'invalid' });
    expectLost(again);
  });

  it('keeps the facts of held keys only', async () => {
    const dir = temporaryFolder();
    await filled(dir);
    const line = `["${'0'.repeat(64)}.key","gone.example","s","ed25519","AAAA"]\n`;
    appendFileSync(
      join(dir, 'facts'),
      Array.from({ length: 1_100 }, (_, i) => line.replace('0', String(i))).join(''),
    );
    await openKeyStore(dir, randomUUID);
    expect(readFileSync(join(dir, 'facts'), 'utf8').trim().split('\n')).toHaveLength(2);
  });

  it('parses a key once while it is kept, and again when others took its place', async () => {
    const dir = temporaryFolder();
    const state = await filled(dir);
    const store = await openKeyStore(dir, randomUUID, { kept: 1 });
    await store.commit({
      ...state,
      keys: new Map([...state.keys, ['example.com/240128e', await put(store, ed)]]),
    });
    const one = await load(store, '240128');
    expect(await load(store, '240128')).toBe(one);
    const other = await load(store, '240128e');
    expect(await load(store, '240128e')).toBe(other);
    expect(await load(store, '240128')).not.toBe(one);
  });

  it('erases no file of a key that is being loaded', async () => {
    const dir = temporaryFolder();
    const state = await filled(dir);
    const store = await openKeyStore(dir, randomUUID);
    const loading = load(store, '240128');
    await store.commit({ ...state, keys: new Map(), staged: null });
    await store.sweep();
    expect(readdirSync(join(dir, 'keys'))).toEqual([]);
    expect((await loading).type).toBe('private');
    expect(store.lost.size).toBe(0);
  });

  it('with a damaged index says what to do, and touches no key', async () => {
    const dir = temporaryFolder();
    await filled(dir);
    writeFileSync(join(dir, 'index.json'), '{"version":1');
    await expect(openKeyStore(dir, randomUUID)).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/move .* away/),
    });
    expect(readdirSync(join(dir, 'keys'))).toHaveLength(2);
  });
});

/** Runs the program until some time after its first acknowledgement, then SIGKILL. Returns the last cursor that it said. */
const runAndKill = (dir: string, after: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'apply-forever.ts'), dir], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    let errors = '';
    child.stderr.on('data', (chunk) => (errors += chunk));
    child.stdout.on('data', (chunk) => {
      if (said === '') setTimeout(() => child.kill('SIGKILL'), after);
      said += chunk;
    });
    child.once('close', (code, signal) =>
      signal === 'SIGKILL'
        ? resolve(Number(said.slice(0, said.lastIndexOf('\n')).split('\n').at(-1)))
        : reject(new Error(`ended by itself with ${code}: ${errors}`)),
    );
  });

it('killed at any time, loads as it last acknowledged, or one step further', {
  timeout: 90_000,
}, async () => {
  const dir = temporaryFolder();
  let incarnation: string | undefined;
  for (let round = 0; round < 14; round += 1) {
    const acknowledged = await runAndKill(dir, 5 + round * 11);
    const store = await openKeyStore(dir, randomUUID);
    const { state } = store;
    incarnation ??= state.incarnation;
    expect(state.incarnation).toBe(incarnation);
    const n = state.cursor?.n ?? 0;
    expect([acknowledged, acknowledged + 1]).toContain(n);
    expect(state.failed.size).toBe(0);
    if (n === 0) continue;
    const names = (keys: Iterable<{ domain: string; selector: string }>) =>
      [...keys].map((key) => `${key.domain}/${key.selector}`).toSorted();
    const at = (place: number) => ['a', 'b', 'c', 'd'].map((domain) => `${domain}.example/s${place}`);
    expect(names(signing(store))).toEqual(at(n));
    expect([...state.keys.keys()].toSorted()).toEqual([...(n > 1 ? at(n - 1) : []), ...at(n)].toSorted());
    const files = [...state.keys.values(), ...(state.staged?.keys.values() ?? [])].map((key) => key.file);
    expect(readdirSync(join(dir, 'keys')).toSorted()).toEqual([...new Set(files)].toSorted());
  }
});
