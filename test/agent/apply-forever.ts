// A program that a test kills: applies bundles to a key store until it dies, and prints the cursor of each acknowledgement.
// At place n, each domain signs with selector s<n>, and s<n-1> is on standby. Every fifth bundle is a snapshot in two parts.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { writeSync } from 'node:fs';
import { createNodeKeys } from '../../adapters/node-keys.ts';
import { createApplier } from '../../agent/apply.ts';
import { createBuiltinDriver } from '../../agent/drivers/builtin.ts';
import { createDuties } from '../../agent/duties.ts';
import { openKeyStore } from '../../agent/key-store.ts';
import { createKeyRing } from '../../agent/signing/key-ring.ts';
import type { KeyChange, Manifest } from '../../contract/manifest.ts';
import type { Duty } from '../../core/key/evidence.ts';
import { instant } from '../../core/time.ts';

const [dir = ''] = process.argv.slice(2);
const domains = ['a.example', 'b.example', 'c.example', 'd.example'];

const change = (domain: string, n: number, duty: Duty): KeyChange => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    domain,
    selector: `s${n}`,
    algorithm: 'ed25519',
    duty,
    publicKey: publicKey.export({ type: 'spki', format: 'der' }).subarray(12).toString('base64'),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
  };
};

const store = await openKeyStore(dir, randomUUID);
const applier = createApplier({
  host: 'mx1',
  store,
  duties: createDuties(store, createBuiltinDriver(createKeyRing()), () => {}),
  keys: createNodeKeys(),
  now: () => instant(Date.now()),
});
const held = new Map([...store.state.keys].map(([name, { file: _, ...key }]) => [name, key]));

for (let n = (store.state.cursor?.n ?? 0) + 1; ; n += 1) {
  const fresh = domains.map((domain) => change(domain, n, 'signing'));
  const before = domains.flatMap((domain) => held.get(`${domain}/s${n - 1}`) ?? []);
  const gone = domains.flatMap((domain) => held.get(`${domain}/s${n - 2}`) ?? []);
  const turned = before.map((key): KeyChange => ({ ...key, duty: 'standby' }));
  const place = { epoch: 1, n };
  const manifest = (more: Partial<Manifest>): Manifest => ({
    aud: 'mx1',
    place,
    from: null,
    nonce: randomUUID(),
    iat: Date.now() / 1_000,
    exp: Date.now() / 1_000 + 60,
    sha256: '',
    ...more,
  });
  const snapshot = n === 1 || n % 5 === 0;
  const id = randomUUID();
  const bundles = snapshot
    ? ([
        [manifest({ snapshot: { id, part: 1, parts: 2 } }), fresh],
        [manifest({ snapshot: { id, part: 2, parts: 2 } }), turned],
      ] as const)
    : ([
        [
          manifest({ from: { epoch: 1, n: n - 1 } }),
          [...fresh, ...turned, ...gone.map((key): KeyChange => ({ ...key, duty: 'none' }))],
        ],
      ] as const);
  for (const [said, changes] of bundles) {
    const { cursor, failed } = await applier.apply({ manifest: said, payload: { changes } });
    if (Object.keys(failed).length > 0) throw new Error(JSON.stringify(failed));
    writeSync(1, `${cursor?.n ?? 0}\n`);
  }
  for (const { privateKey: _, duty, ...key } of fresh)
    if (duty !== 'none') held.set(`${key.domain}/${key.selector}`, { ...key, duty });
}
