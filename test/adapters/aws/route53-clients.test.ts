import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { CreateHostedZoneCommand, type Route53Client } from '@aws-sdk/client-route-53';
import { STSClient } from '@aws-sdk/client-sts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createRoute53Clients, sessionPolicies } from '../../../adapters/aws/route53-clients.ts';
import { createRoute53Writer } from '../../../adapters/aws/route53-writer.ts';
import type { FleetZone } from '../../../core/policy.ts';
import { type Duration, seconds } from '../../../core/time.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Moto, motoClient, startMoto } from '../../tools/moto.ts';

const role = { arn: 'arn:aws:iam::222222222222:role/selkie-zones', externalId: 'selkie-example' };
const zone: FleetZone = { name: 'example.jp', id: 'Z1', role };
const name = '240128._domainkey.example.jp';

describe('the policy of a session', () => {
  const statements = (policy = '{}') => JSON.parse(policy).Statement as Record<string, unknown>[];

  test('to change: this zone, these names, TXT, CREATE and DELETE; it does not even list', () => {
    const [exact] = sessionPolicies(role, zone, [name, 'MAIL2._domainkey.Example.jp.', name]);
    const key = 'route53:ChangeResourceRecordSets';
    expect(statements(exact)).toEqual([
      {
        Effect: 'Allow',
        Action: key,
        Resource: 'arn:aws:route53:::hostedzone/Z1',
        Condition: {
          'ForAllValues:StringEquals': {
            [`${key}RecordTypes`]: ['TXT'],
            [`${key}Actions`]: ['CREATE', 'DELETE'],
          },
          'ForAllValues:StringLike': {
            [`${key}NormalizedRecordNames`]: [name, 'mail2._domainkey.example.jp'],
          },
        },
      },
    ]);
  });

  test('to read: nothing that changes', () => {
    expect(sessionPolicies(role, zone)).toHaveLength(1);
    expect(statements(sessionPolicies(role, zone)[0]).map(({ Action }) => Action)).toEqual([
      'route53:ListResourceRecordSets',
      'route53:GetChange',
    ]);
  });

  test.each([
    [
      'example.jp',
      [
        '*._domainkey.example.jp',
        '*._domainkey.*.example.jp',
        '_dmarc.example.jp',
        '_dmarc.*.example.jp',
        '*._report._dmarc.example.jp',
        '*._report._dmarc.*.example.jp',
      ],
    ],
    ['_domainkey.example.jp', ['*._domainkey.example.jp']],
  ])('names that do not fit become patterns of zone %s, and never more', (zoneName, patterns) => {
    const names = Array.from({ length: 76 }, (_, i) => `240128._domainkey.customer-${i}.${zoneName}`);
    const policies = sessionPolicies(role, { ...zone, name: zoneName }, names);
    expect(policies).toHaveLength(1);
    expect(JSON.stringify(statements(policies[0]))).toContain(JSON.stringify(patterns));
    for (const policy of policies) expect(policy.length).toBeLessThanOrEqual(2_048);
  });

  test('an SPF record stands at its own name, which is said; of very many, the zone', () => {
    const key = 'route53:ChangeResourceRecordSetsNormalizedRecordNames';
    const allowed = (policy: string | undefined): unknown => {
      const [{ Condition } = {}] = statements(policy) as {
        Condition?: Record<string, Record<string, unknown>>;
      }[];
      return Condition?.['ForAllValues:StringLike']?.[key];
    };
    const few = ['example.jp', '_dmarc.example.jp', 'example.jp._report._dmarc.b.example.jp'];
    expect(allowed(sessionPolicies(role, zone, few)[0])).toEqual(few);
    const some = Array.from({ length: 60 }, (_, i) => `240128._domainkey.customer-${i}.example.jp`);
    expect(allowed(sessionPolicies(role, zone, [...some, ...few]).at(-1))).toEqual([
      ...(allowed(
        sessionPolicies(role, zone, [...some, ...some.map((one) => `2${one}`)]).at(-1),
      ) as string[]),
      'example.jp',
    ]);
    const many = Array.from({ length: 100 }, (_, i) => `customer-${i}.example.jp`);
    const policies = sessionPolicies(role, zone, many);
    expect(policies.map(allowed)).toEqual([['example.jp', '*.example.jp']]);
  });

  test('is of the partition that the role is of', () => {
    const [policy] = sessionPolicies({ arn: 'arn:aws-cn:iam::222222222222:role/r' }, zone, [name]);
    expect(statements(policy)[0]?.Resource).toBe('arn:aws-cn:route53:::hostedzone/Z1');
  });
});

/** STS as far as AssumeRole goes: answers as told, one after the other, the last for ever. */
const startSts = async (answers: readonly (200 | 'AccessDenied' | 'PackedPolicyTooLarge')[]) => {
  const asked: URLSearchParams[] = [];
  const server: Server = createServer(async (request, response) => {
    asked.push(new URLSearchParams((await buffer(request)).toString()));
    const answer = answers[Math.min(asked.length, answers.length) - 1] ?? 200;
    response.setHeader('content-type', 'text/xml');
    if (answer === 200)
      return response.end(
        `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
        <AccessKeyId>ASIA${asked.length}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
      );
    response.statusCode = answer === 'AccessDenied' ? 403 : 400;
    return response.end(
      `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${answer}</Code>
      <Message>${answer}: not authorized to perform: sts:AssumeRole</Message></Error><RequestId>r</RequestId></ErrorResponse>`,
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    asked,
    client: new STSClient({ ...motoClient(`http://127.0.0.1:${port}`), maxAttempts: 1 }),
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
};

describe('sessions', () => {
  let sts: Awaited<ReturnType<typeof startSts>>;
  let pauses: Duration[];
  const start = async (...answers: Parameters<typeof startSts>[0]) => {
    sts = await startSts(answers);
    return createRoute53Clients({
      sts: sts.client,
      route53: { region: 'eu-west-1' },
      pause: async (length) => void pauses.push(length),
    });
  };
  const keyOf = async (client: Route53Client): Promise<string> =>
    (await client.config.credentials()).accessKeyId;
  /** As long, and up to half as long again. */
  const expectAbout = (lengths: readonly Duration[]): void => {
    expect(pauses).toHaveLength(lengths.length);
    for (const [n, length] of lengths.entries()) {
      expect(pauses[n]).toBeGreaterThanOrEqual(length);
      expect(pauses[n]).toBeLessThanOrEqual(length * 1.5);
    }
  };
  beforeEach(() => {
    pauses = [];
  });
  afterEach(() => sts.close());

  test('one serves all reads of a role; each batch has one of its own', async () => {
    const clientFor = await start(200);
    expect(clientFor(zone)).toBe(clientFor({ ...zone, id: 'Z2' }));
    expect(clientFor({ ...zone, role: { ...role, externalId: 'another' } })).not.toBe(clientFor(zone));
    expect(await keyOf(clientFor(zone))).toBe('ASIA1');
    expect(await keyOf(clientFor(zone, [name]))).toBe('ASIA2');
    expect(await keyOf(clientFor(zone, [name]))).toBe('ASIA3');
    expect(await keyOf(clientFor(zone))).toBe('ASIA1');
    expect(sts.asked.map((one) => [one.get('RoleArn'), one.get('ExternalId')])).toEqual(
      Array.from({ length: 3 }, () => [role.arn, role.externalId]),
    );
    expect(sts.asked.map((one) => one.get('Policy')?.includes('ChangeResourceRecordSets'))).toEqual([
      false,
      true,
      true,
    ]);
  });

  test("zones without a role are the function's own matter, or that of the stack's role for them", async () => {
    const own = { name: 'example.jp', id: 'Z1' };
    const clientFor = await start(200);
    expect(clientFor(own, [name])).toBe(clientFor(own));
    const byRole = createRoute53Clients({
      sts: sts.client,
      zonesRole: () => 'arn:aws:iam::111111111111:role/zones',
      route53: { region: 'eu-west-1' },
    });
    await keyOf(byRole(own, [name]));
    expect(sts.asked.map((one) => one.get('RoleArn'))).toEqual(['arn:aws:iam::111111111111:role/zones']);
    expect(sts.asked[0]?.get('Policy')).toContain(name);
    // A zone's own role is nearer.
    await keyOf(byRole(zone, [name]));
    expect(sts.asked[1]?.get('RoleArn')).toBe(role.arn);
  });

  test('of several roles for the zones of the stack’s account, each zone’s own is taken on', async () => {
    await start(200);
    const clientFor = createRoute53Clients({
      sts: sts.client,
      zonesRole: ({ id }) => `arn:aws:iam::111111111111:role/zones-${id}`,
      route53: { region: 'eu-west-1' },
    });
    const own = (id: string): FleetZone => ({ name: 'example.jp', id });
    await keyOf(clientFor(own('Z1'), [name]));
    await keyOf(clientFor(own('Z2')));
    expect(clientFor(own('Z2'))).not.toBe(clientFor(own('Z1')));
    expect(clientFor(own('Z2'))).toBe(clientFor(own('Z2')));
    expect(sts.asked.map((one) => one.get('RoleArn'))).toEqual([
      'arn:aws:iam::111111111111:role/zones-Z1',
      'arn:aws:iam::111111111111:role/zones-Z2',
    ]);
  });

  test('a role that is not yet seen everywhere is asked again', async () => {
    const clientFor = await start('AccessDenied', 'AccessDenied', 200);
    expect(await keyOf(clientFor(zone, [name]))).toBe('ASIA3');
    expectAbout([seconds(1), seconds(3)]);
  });

  test('one that stays closed is denied, for the engine to try later, and says the role', async () => {
    const clientFor = await start('AccessDenied');
    await expect(keyOf(clientFor(zone, [name]))).rejects.toMatchObject({
      code: 'denied',
      retry: 'later',
      message: expect.stringContaining(role.arn),
    });
    expectAbout([seconds(1), seconds(3), seconds(6)]);
  });

  test('a policy that STS finds too large is widened to the zone, once', async () => {
    const clientFor = await start('PackedPolicyTooLarge', 200);
    await keyOf(clientFor(zone, [name]));
    expect(sts.asked.map((one) => one.get('Policy')?.includes(name))).toEqual([true, false]);
    expect(sts.asked[1]?.get('Policy')).toContain('hostedzone/Z1');
    expect(pauses).toEqual([]);
  });
});

describeWith(['moto_server'], 'records in another account', () => {
  let moto: Moto;
  beforeAll(async () => {
    moto = await startMoto();
  }, 60_000);
  afterAll(() => moto.stop());

  test('are changed by the role of that account, and by no other', async () => {
    const config = motoClient(moto.url);
    const clientFor = createRoute53Clients({ sts: new STSClient(config), route53: config });
    // moto keeps accounts apart by the session that a role gives.
    const there = clientFor({ ...zone, id: '-' });
    const { HostedZone } = await there.send(
      new CreateHostedZoneCommand({ Name: zone.name, CallerReference: 'once' }),
    );
    const known = { ...zone, id: (HostedZone?.Id ?? '').replace('/hostedzone/', '') };
    const writer = createRoute53Writer({ clientFor });
    const set = { ttl: seconds(60), values: ['v=DKIM1; p='] };
    await writer.submit(known, [{ do: 'create', name, set }]);
    expect(await writer.lookup(known, name)).toEqual(set);
    const { role: _, ...here } = known;
    await expect(writer.lookup(here, name)).rejects.toMatchObject({ code: 'not-found' });
  });
});
