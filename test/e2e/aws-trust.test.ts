// One bundle key follows another, with two KMS keys and the functions' variables as the stack sets them: hosts that are reached
// follow by themselves, one that missed it says what to do. And a host that only pulls gets a snapshot of more than one answer,
// with a new deployment in the middle.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { thumbprints, trust, trustedKeys } from '../../agent/trust.ts';
import type { DutyChange } from '../../engine/ports.ts';
import { wire } from '../../functions/wire.ts';
import { describeWith } from '../tools/machine.ts';
import { makeKey } from '../tools/sealed.ts';
import { type AwsPlace, isDone, makeAwsPlace } from './aws-place.ts';

const zone = 'example.jp';
const domain = `mail.${zone}`;

const silently = () => {
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  for (const method of ['log', 'info', 'warn', 'error'] as const)
    vi.spyOn(console, method).mockImplementation(() => {});
};

interface HostStatus {
  readonly host: string;
  readonly ready: boolean;
  readonly trusts?: readonly string[];
}

const hostsOf = async (place: AwsPlace): Promise<ReadonlyMap<string, HostStatus>> => {
  const { status, body } = await place.functions.api('GET', '/v1/hosts');
  if (status !== 200) throw new Error(`GET /v1/hosts: ${status} ${JSON.stringify(body)}`);
  return new Map((body as { hosts: readonly HostStatus[] }).hosts.map((one) => [one.host, one]));
};

describeWith(['moto_server', 'named'], 'a succession of bundle keys on AWS', () => {
  let place: AwsPlace;
  let next: AwsPlace['firstKey'];
  const names = ['mx1.example.jp', 'mx2.example.jp', 'mx3.example.jp'];
  const trusted = async (name: string) => {
    const host = place.hosts.find((one) => one.name === name);
    return (await thumbprints(await trustedKeys(host?.dir ?? ''))).toSorted();
  };

  beforeAll(async () => {
    silently();
    place = await makeAwsPlace({
      zones: [{ name: zone }],
      domains: [{ domain, zone }],
      hosts: [
        { name: 'mx1.example.jp', reached: 'push' },
        { name: 'mx2.example.jp', reached: 'pull' },
        { name: 'mx3.example.jp', reached: 'pull' },
      ],
    });
    await place.until(async () => isDone(await place.status(domain)));
    next = await place.bundleKey();
  }, 120_000);
  afterAll(async () => {
    await place?.close();
    vi.restoreAllMocks();
  }, 120_000);

  test('announced, the next key is trusted by every host that is reached', async () => {
    await place.hosts[2]?.agent.close(); // mx3 misses it all
    const excluded = await place.functions.api(
      'POST',
      '/v1/hosts/mx3.example.jp/exclusion',
      '{"reason":"in repair"}',
    );
    expect(excluded.status).toBe(200);
    await place.deploy(undefined, { SELKIE_BUNDLE_KEY_NEXT: next.id });
    const both = [place.firstKey.publicKey.kid, next.publicKey.kid].toSorted();
    await place.until(async () => {
      const hosts = await hostsOf(place);
      return names.slice(0, 2).every((name) => hosts.get(name)?.trusts?.length === 2);
    });
    for (const name of names.slice(0, 2)) expect(await trusted(name)).toEqual(both);
    expect(await trusted('mx3.example.jp')).toEqual([place.firstKey.publicKey.kid]);
  }, 60_000);

  test('signing, it carries a whole rotation; then the old one is retired everywhere', async () => {
    await place.deploy(undefined, {
      SELKIE_BUNDLE_KEY: next.id,
      SELKIE_BUNDLE_KEY_NEXT: '',
      SELKIE_BUNDLE_KEYS_RETIRED: place.firstKey.publicKey.kid,
    });
    const { status } = await place.functions.api('POST', `/v1/domains/${domain}/rotations`);
    expect(status).toBe(202);
    await place.until(async () => isDone(await place.status(domain), 2));
    await place.until(async () => {
      const hosts = await hostsOf(place);
      return names.slice(0, 2).every((name) => hosts.get(name)?.trusts?.length === 1);
    });
    for (const name of names.slice(0, 2)) expect(await trusted(name)).toEqual([next.publicKey.kid]);
    const { body } = await place.functions.api('GET', '/v1/bundle-keys');
    expect((body as { keys: { kid: string }[] }).keys.map(({ kid }) => kid)).toEqual([next.publicKey.kid]);
  }, 90_000);

  test('a host that missed it takes nothing, says what to do, and is ready once that is done', async () => {
    const late = await place.startHost('mx3.example.jp', 'pull', 'as it was');
    await place.functions.api('DELETE', '/v1/hosts/mx3.example.jp/exclusion');
    const command = 'selkie-agent trust --add';
    for (const end = Date.now() + 20_000; !late.said.join('\n').includes(command) && Date.now() < end; )
      await sleep(50);
    expect(late.said.join('\n')).toContain(command);
    expect((await hostsOf(place)).get('mx3.example.jp')).toMatchObject({ ready: false });

    await trust(late.dir, [next.publicKey]);
    await place.until(async () => (await hostsOf(place)).get('mx3.example.jp')?.ready === true);
    // The key that was retired while it was away is retired here too.
    expect(await trusted('mx3.example.jp')).toEqual([next.publicKey.kid]);
  }, 60_000);
});

describeWith(['moto_server', 'named'], 'a snapshot of more than one answer, pulled from AWS', () => {
  /** Two payloads of RSA-2048 keys and some of a third. */
  const many = 1_100;
  let place: AwsPlace;
  beforeAll(async () => {
    silently();
    place = await makeAwsPlace({
      zones: [{ name: zone }],
      domains: [{ domain, zone }],
      hosts: [{ name: 'mx1.example.jp', reached: 'pull' }],
    });
    // Its key store is lost: a host without one gets everything.
    await place.hosts[0]?.agent.close();
    rmSync(join(place.hosts[0]?.dir ?? '', 'store'), { recursive: true, force: true });
  }, 120_000);
  afterAll(async () => {
    await place?.close();
    vi.restoreAllMocks();
  }, 120_000);

  test('arrives whole, over a deployment in the middle, and no answer is longer than Lambda gives', async () => {
    const { vault, ledger } = wire(process.env);
    const { privateKey, publicKey } = makeKey('example.com', 'one', 'signing', 'rsa2048');
    const [secret = ''] = await vault.store([
      { domain: 'example.com', selector: 'one', privateKey: Buffer.from(privateKey, 'base64') },
    ]);
    const changes = Array.from(
      { length: many },
      (_, n): DutyChange => ({
        domain: `d${n}.example.com`,
        selector: 'one',
        algorithm: 'rsa2048',
        duty: 'signing',
        secret,
        publicKey,
      }),
    );
    await place.until(async () => (await place.status(domain)) !== undefined);
    for (let from = 0; from < many; from += 200)
      await ledger.commit({
        append: {
          pool: 'main',
          place: await ledger.nextPlace('main'),
          changes: changes.slice(from, from + 200),
        },
      });

    const host = await place.startHost('mx1.example.jp', 'pull', 'as it was');
    const index = join(host.dir, 'store', 'index.json');
    const held = () => (existsSync(index) ? readFileSync(index, 'utf8').split('"d').length - 1 : 0);
    const began = performance.now();
    let deployed = false;
    await place.until(
      async () => {
        if (!deployed && place.longestAnswer > 500_000) {
          await place.deploy();
          deployed = true;
        }
        return held() >= many && (await hostsOf(place)).get('mx1.example.jp')?.ready === true;
      },
      { patience: 120_000 },
    );
    const took = performance.now() - began;
    expect(deployed).toBe(true);
    expect(place.longestAnswer).toBeGreaterThan(1_000_000);
    expect(place.longestAnswer).toBeLessThan(6_000_000);
    expect(took).toBeLessThan(120_000);
    // And then it signs for the domain of the fleet as any other host.
    await place.until(async () => isDone(await place.status(domain)));
  }, 240_000);
});
