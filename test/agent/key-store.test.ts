import { spawn } from 'node:child_process';
import { randomUUID, sign, verify } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
    for (const file of [...files.map((name) => `keys/${name}`), 'index.json'])
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
    expect(readdirSync(dir).toSorted()).toEqual(['index.json', 'keys']);
  });

  it('keeps a key that was put, once it is committed and not before', async () => {
    const dir = temporaryFolder();
    const { file } = await (await openKeyStore(dir, randomUUID)).put(ed);
    expect(readdirSync(join(dir, 'keys'))).toEqual([file]);
    await openKeyStore(dir, randomUUID);
    expect(readdirSync(join(dir, 'keys'))).toEqual([]);
  });

  it.each(['flipped', 'missing'])(
    'with a key file that is %s says so, and asks for everything',
    async (how) => {
      const dir = temporaryFolder();
      const state = await filled(dir);
      const file = join(dir, 'keys', state.keys.get('example.com/240128')?.file ?? '');
      if (how === 'missing') rmSync(file);
      else writeFileSync(file, readFileSync(file, 'utf8').replace(/A/, 'B'));
      const again = await openKeyStore(dir, randomUUID);
      expect(again.state.cursor).toBeNull();
      expect(again.state.failed.get('example.com/240128')).toMatch(/missing or damaged/);
      expect(again.state.keys.size).toBe(0);
      expect(again.state.staged?.keys.size).toBe(1);
      expect(signing(again)).toEqual([]);
    },
  );

  it('with a damaged index says what to do, and touches no key', async () => {
    const dir = temporaryFolder();
    await filled(dir);
    writeFileSync(join(dir, 'index.json'), '{"version":1');
    await expect(openKeyStore(dir, randomUUID)).rejects.toMatchObject({
      code: 'invalid',
      message: /move .* away/,
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
