// `npm run verify:aws` as far as it goes without an account: what it refuses, what it would do, and that its ends take away nothing but
// what its beginnings made.
import { execFile } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  ChangeResourceRecordSetsCommand,
  CreateHostedZoneCommand,
  ListHostedZonesCommand,
  Route53Client,
} from '@aws-sdk/client-route-53';
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  ListSecretsCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { STSClient } from '@aws-sdk/client-sts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseFleet } from '../../fleet/read.ts';
import { runAgent } from '../tools/agent-program.ts';
import { describeWith } from '../tools/machine.ts';
import { type Moto, motoClient, motoEnv, startMoto } from '../tools/moto.ts';
import { makeSigner } from '../tools/sealed.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import { makeZone, removeSecrets, removeZone, requireAccount } from './account.ts';
import { ends, fleetText, steps } from './steps.ts';

const verify = async (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  promisify(execFile)(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', AWS_EC2_METADATA_DISABLED: 'true', ...env },
  }).then(
    ({ stdout, stderr }) => ({ status: 0, said: stdout + stderr }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
      status: code,
      said: stdout + stderr,
    }),
  );
const named = ['--stage', 'test', '--account', '123456789012', '--region', 'eu-west-1'];
const leftBehind = () => readdirSync(tmpdir()).filter((name) => name.startsWith('selkie-verify-'));

describe('the command line', () => {
  test('--help says what it does, what it takes and what it costs', async () => {
    const { status, said } = await verify(['--help']);
    expect(status).toBe(0);
    for (const word of ['--stage', '--account', '--dry-run', 'destroys', 'minutes', 'dollar'])
      expect(said).toContain(word);
  });

  test.each([
    [[], '--stage is missing'],
    [['--stage', 'test', '--region', 'eu-west-1'], '--account is missing'],
    [['--stage', 'test', '--account', '123456789012'], '--region is missing'],
    [['--stage', 'production', '--account', '123456789012'], 'name one that is a test'],
    [['--stage', 'Test'], 'small letters'],
    [['--stage', 'test', '--account', '1234'], 'twelve digits'],
    [['--stage', 'test', '--account', '123456789012', '--parent', 'a b'], 'not a DNS name'],
    [['--stag', 'test'], "Unknown option '--stag'"],
  ])('%j is not understood: %s', async (args, says) => {
    const { status, said } = await verify(args);
    expect(said).toContain(says);
    expect(said).not.toContain('    at ');
    expect(status).toBe(2);
  });

  test('--dry-run prints each step in order, and needs no credentials', async () => {
    const { status, said } = await verify(['--stage', 'test', '--region', 'eu-west-1', '--dry-run']);
    expect(status).toBe(0);
    const places = [...steps, ...ends].map(({ title }) => said.indexOf(title));
    expect(places).not.toContain(-1);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(said).toContain('cdk deploy selkie-test --context stage=test --context ephemeral=true');
    expect(said).toContain('cdk destroy');
  });

  test('without credentials it says what to give, and does nothing', async () => {
    const before = leftBehind();
    const { status, said } = await verify(named);
    expect(status).toBe(1);
    expect(said).toContain('give it credentials');
    expect(said).toContain('NOT all of it held');
    expect(said).not.toContain('hosted zone');
    expect(leftBehind()).toEqual(before);
  });
});

test('the fleet file that it deploys is one, without a host and with what enrol prints', async () => {
  const zone = { name: 'test-1.selkie-verify.test', id: 'Z0123456789', nameServers: ['ns-1.awsdns-00.com'] };
  expect(parseFleet(fleetText({ zone }), { file: 'fleet.yaml', version: 1 })).toMatchObject({
    domains: new Map([['mail.test-1.selkie-verify.test', expect.objectContaining({ zone: zone.name })]]),
    zones: new Map([[zone.name, zone]]),
  });
  const folder = temporaryFolder();
  const keyFile = join(folder, 'key.json');
  writeFileSync(keyFile, JSON.stringify((await makeSigner()).jwk));
  const { out, code } = await runAgent(
    'enrol',
    ...['--dir', join(folder, 'agent'), '--name', 'verify-mx1', '--no-push'],
    ...['--control-plane', 'https://127.0.0.1:1', '--bundle-key', keyFile],
  );
  expect(code).toBe(0);
  const { hosts } = parseFleet(fleetText({ zone, hostEntry: out }), { file: 'fleet.yaml', version: 1 });
  expect([...hosts.keys()]).toEqual(['verify-mx1']);
});

describeWith(['moto_server'], 'its account', () => {
  let moto: Moto;
  beforeAll(async () => {
    moto = await startMoto();
  }, 60_000);
  afterAll(() => moto.stop());

  test('must be the one that was named', async () => {
    const sts = new STSClient(motoClient(moto.url));
    await requireAccount(sts, '123456789012');
    await expect(requireAccount(sts, '999999999999')).rejects.toMatchObject({
      code: 'denied',
      message: expect.stringContaining('nothing was done'),
    });
    const { status, said } = await verify(
      ['--stage', 'test', '--account', '999999999999'],
      motoEnv(moto.url),
    );
    expect(status).toBe(1);
    expect(said).toContain('you named 999999999999');
    expect(said).not.toContain('hosted zone');
  });

  test('keeps every zone but the one that was made, and that one goes with its records', async () => {
    const route53 = new Route53Client(motoClient(moto.url));
    const other = await route53.send(
      new CreateHostedZoneCommand({ Name: 'example.jp', CallerReference: 'theirs' }),
    );
    const zone = await makeZone(route53, 'test-1.selkie-verify.test', 'selkie-test');
    expect(zone.nameServers.length).toBeGreaterThan(0);
    await route53.send(
      new ChangeResourceRecordSetsCommand({
        HostedZoneId: zone.id,
        ChangeBatch: {
          Changes: ['a', 'b'].map((label) => ({
            Action: 'CREATE',
            ResourceRecordSet: {
              Name: `${label}._domainkey.mail.${zone.name}`,
              Type: 'TXT',
              TTL: 60,
              ResourceRecords: [{ Value: '"v=DKIM1; p="' }],
            },
          })),
        },
      }),
    );
    const theirs = { id: (other.HostedZone?.Id ?? '').replace('/hostedzone/', '') };
    await expect(removeZone(route53, theirs, 'selkie-test')).rejects.toMatchObject({ code: 'unsafe' });
    await expect(removeZone(route53, zone, 'selkie-other')).rejects.toMatchObject({ code: 'unsafe' });
    await removeZone(route53, zone, 'selkie-test');
    const { HostedZones = [] } = await route53.send(new ListHostedZonesCommand({}));
    expect(HostedZones.map(({ Name }) => Name)).toEqual(['example.jp.']);
  });

  test("keeps every secret but the stack's own, those scheduled for deletion too", async () => {
    const secrets = new SecretsManagerClient(motoClient(moto.url));
    const mine = Array.from({ length: 25 }, (_, i) => `selkie-test/mail.example.jp/${i}`);
    const theirs = ['selkie/mail.example.jp/1', 'selkie-test2/mail.example.jp/1', 'other/selkie-test/1'];
    for (const Name of [...mine, ...theirs])
      await secrets.send(new CreateSecretCommand({ Name, SecretString: 'x' }));
    await secrets.send(new DeleteSecretCommand({ SecretId: mine[0], RecoveryWindowInDays: 7 }));
    expect(await removeSecrets(secrets, 'selkie-test')).toBe(25);
    const { SecretList = [] } = await secrets.send(
      new ListSecretsCommand({ MaxResults: 100, IncludePlannedDeletion: true }),
    );
    const left = SecretList.map(({ Name }) => Name).filter((name) => name !== mine[0]);
    expect(left.toSorted()).toEqual(theirs.toSorted());
  });
});
