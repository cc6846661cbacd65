// The torture's short form, and whether its judges see what they are there for.
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { openFileVault } from '../../adapters/local/file-vault.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import { audit } from './audit.ts';
import { chanceOf } from './chance.ts';
import { hasty, lasting } from './fleet.ts';
import { tortureLocal } from './local.ts';
import { looksLikeKeys, vaultKeysIn } from './secrets.ts';

describe('selkie up, tortured', () => {
  it('keeps its promise through eight kills, a damaged ledger and a clock that moves; what is planted is found', async () => {
    const progress: string[] = [];
    const outcome = await tortureLocal({
      kills: 8,
      seed: 20261124,
      faults: ['ledger damaged', 'clock moved'],
      progress: (line) => void progress.push(line),
      lastLook: async (dir, dnsPort) => {
        expect((await audit(dir, dnsPort)).violations).toEqual([]);
        const keys = join(dir, 'vault', 'keys', lasting.domain);
        const [selector = ''] = readdirSync(keys);
        renameSync(join(keys, selector), join(keys, '000101'));
        const zones = new DatabaseSync(join(dir, 'zones.sqlite'));
        const path = (name: string): string => name.split('.').toReversed().join('.');
        const foreign = `nobody._domainkey.${hasty.domain}`;
        zones.exec(
          `UPDATE txt SET path = '${path(foreign)}' WHERE path = (SELECT max(path) FROM txt WHERE path LIKE '${path(hasty.domain)}.%')`,
        );
        zones.close();
        const { violations } = await audit(dir, dnsPort);
        expect(violations).toContainEqual(
          expect.stringContaining(`invariant 5: ${selector} of ${lasting.domain}`),
        );
        expect(violations).toContain(
          `the vault holds 000101 of ${lasting.domain}, which the ledger does not know`,
        );
        expect(violations).toContainEqual(
          expect.stringMatching(/_domainkey\.hasty\.\S+: the ledger says v=DKIM1.*the name server nothing/),
        );
        expect(violations).toContainEqual(`the zone has a record ${foreign} that the ledger does not know`);
      },
    });
    expect(outcome.violations, progress.join('\n')).toEqual([]);
    expect(outcome.figures).toMatchObject({ unsigned: 0, 'put off': 0 });
    expect(outcome.figures.kills).toBeGreaterThanOrEqual(8);
    expect(outcome.figures['rotations done']).toBeGreaterThan(3);
    expect(outcome.figures['verified at once']).toBeGreaterThan(20);
  }, 90_000);
});

describe('the search for key material', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ed25519 = generateKeyPairSync('ed25519');
  const der = { type: 'pkcs8', format: 'der' } as const;
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

  it.each([
    ['PEM', rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
    ['PKCS#8 of RSA', rsa.privateKey.export(der).toString('base64')],
    ['PKCS#1', rsa.privateKey.export({ type: 'pkcs1', format: 'der' }).toString('base64')],
    ['PKCS#8 of Ed25519', ed25519.privateKey.export(der).toString('base64')],
    ['PKCS#8 of P-256', p256.export(der).toString('base64')],
    ['a JWK', JSON.stringify(ed25519.privateKey.export({ format: 'jwk' }))],
  ])('sees %s', (_, text) => expect(looksLikeKeys(`11:00:00   mail: ${text}`)).not.toEqual([]));

  it('takes no public key for a private one', () => {
    const spki = { type: 'spki', format: 'der' } as const;
    const texts = [rsa.publicKey, ed25519.publicKey].map((key) => key.export(spki).toString('base64'));
    expect(looksLikeKeys(texts.join(' '))).toEqual([]);
  });

  it('sees a piece of a key of the vault', async () => {
    const dir = temporaryFolder();
    const vault = openFileVault(join(dir, 'vault'));
    const secret = rsa.privateKey.export(der);
    await vault.store([{ domain: 'example.jp', selector: '261124', privateKey: new Uint8Array(secret) }]);
    const publicPart = rsa.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
    expect(await vaultKeysIn(`${publicPart} and nothing else`, dir)).toEqual([]);
    expect(await vaultKeysIn(`cut: ${secret.toString('base64').slice(900, 1_100)}`, dir)).toEqual([
      'the private key of 261124 of example.jp',
    ]);
  });
});

it('makes the same choices from the same seed', () => {
  const draw = (seed: number) => {
    const chance = chanceOf(seed);
    return Array.from({ length: 20 }, () => chance.between(1, 1_000));
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
  expect(draw(7).every((n) => n >= 1 && n <= 1_000)).toBe(true);
});
