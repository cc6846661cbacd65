import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { fleetEntry, fleetYaml, loadIdentity, loadOrMakeIdentity } from '../../agent/identity.ts';
import { noon } from '../tools/sealed.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

const make = async () => {
  const dir = join(temporaryFolder(), 'state');
  return { dir, identity: await loadOrMakeIdentity(dir, 'mx1.example.com', noon) };
};

describe('an identity', () => {
  it('is made once, and is the same ever after', async () => {
    const { dir, identity } = await make();
    expect(await loadOrMakeIdentity(dir, 'mx1.example.com', noon)).toEqual(identity);
    expect(await loadIdentity(dir)).toEqual(identity);
  });

  it("is its user's alone", async () => {
    const { dir } = await make();
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    const folder = join(dir, 'identity');
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    const files = readdirSync(folder);
    expect(files.toSorted()).toEqual(['encryption.key', 'signing.key', 'tls.crt', 'tls.key']);
    for (const file of files) expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
  });

  it('is none where there is none', async () =>
    expect(await loadIdentity(temporaryFolder())).toBeUndefined());

  it('that others may enter is refused', async () => {
    const { dir } = await make();
    chmodSync(join(dir, 'identity'), 0o750);
    await expect(loadIdentity(dir)).rejects.toMatchObject({
      code: 'unsafe',
      message: expect.stringMatching(/chmod 700/),
    });
  });

  it.each(['encryption.key', 'signing.key', 'tls.crt', 'tls.key'])(
    'without %s is not made anew',
    async (file) => {
      const { dir } = await make();
      rmSync(join(dir, 'identity', file));
      await expect(loadOrMakeIdentity(dir, 'mx1.example.com', noon)).rejects.toMatchObject({
        code: 'invalid',
        message: expect.stringMatching(/damaged/),
      });
    },
  );

  it("with another host's key to its certificate is refused, and the error bears no key", async () => {
    const [one, other] = [await make(), await make()];
    const key = readFileSync(join(other.dir, 'identity', 'tls.key'), 'utf8');
    writeFileSync(join(one.dir, 'identity', 'tls.key'), key);
    const error: unknown = await loadIdentity(one.dir).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'invalid' });
    expect(String(error)).not.toContain(key.slice(40, 80));
  });

  it('begun and not finished is begun again', async () => {
    const dir = temporaryFolder();
    mkdirSync(join(dir, 'identity.tmp'), { mode: 0o700 });
    writeFileSync(join(dir, 'identity.tmp', 'encryption.key'), 'half');
    await expect(loadOrMakeIdentity(dir, 'mx1.example.com', noon)).resolves.toBeDefined();
    expect(readdirSync(dir)).toEqual(['identity']);
  });
});

describe('the fleet entry', () => {
  it('has an endpoint and its certificate where the host is pushed to', async () => {
    const { identity } = await make();
    const entry = fleetEntry(identity, { endpointHost: 'mx1.example.com', pushPort: 8463 });
    expect(entry).toEqual({
      endpoint: 'https://mx1.example.com:8463',
      encryptionKey: identity.encryptionKey,
      signingKey: identity.signingKey,
      certificate: identity.tls.cert,
    });
    const yaml = fleetYaml('mx1.example.com', entry, 'main');
    expect(yaml).toContain('certificate: |\n');
    expect(parse(yaml)).toEqual({ hosts: { 'mx1.example.com': { pool: 'main', ...entry } } });
    expect(yaml).not.toContain('PRIVATE');
  });

  it('writes IPv6 in brackets', async () =>
    expect(fleetEntry((await make()).identity, { endpointHost: '::1', pushPort: 1 }).endpoint).toBe(
      'https://[::1]:1',
    ));

  it('of a host that pulls has keys only', async () =>
    expect(Object.keys(fleetEntry((await make()).identity, { endpointHost: 'mx1' }))).toEqual([
      'encryptionKey',
      'signingKey',
    ]));
});
