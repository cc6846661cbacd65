// The fake held to what it is for: each refusal that moto lacks, through the SDK alone.
import {
  ChangeResourceRecordSetsCommand,
  ListResourceRecordSetsCommand,
  Route53Client,
} from '@aws-sdk/client-route-53';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { motoClient } from '../tools/moto.ts';
import { type StrictRoute53, startStrictRoute53 } from './strict-route53.ts';

describe('the strict Route 53', () => {
  let fake: StrictRoute53;
  let client: Route53Client;
  let zone: string;
  beforeEach(async () => {
    fake = await startStrictRoute53({ now: () => 0 });
    client = new Route53Client({ ...motoClient(fake.url), maxAttempts: 1 });
    zone = fake.addZone('example.org');
  });
  afterEach(async () => {
    client.destroy();
    await fake.stop();
  });

  type Action = 'CREATE' | 'DELETE' | 'UPSERT';
  const change = (action: Action, name: string, values: string[], type: 'TXT' | 'A' = 'TXT') => ({
    Action: action,
    ResourceRecordSet: {
      Name: name,
      Type: type,
      TTL: 300,
      ResourceRecords: values.map((Value) => ({ Value })),
    },
  });
  const send = (...changes: ReturnType<typeof change>[]) =>
    client.send(
      new ChangeResourceRecordSetsCommand({ HostedZoneId: zone, ChangeBatch: { Changes: changes } }),
    );

  test.each([
    ['without quotes', 'v=DKIM1'],
    ['with one quote', '"v=DKIM1'],
    ['with text behind the quote', '"a" b'],
    ['with a string of 256', `"${'a'.repeat(256)}"`],
    ['with a second string of 256', `"a" "${'a'.repeat(256)}"`],
    [
      'over 4,000 characters',
      Array(16)
        .fill(`"${'a'.repeat(250)}"`)
        .join(' '),
    ],
    ['with a raw octet', '"\u00e9"'],
    ['with half an escape', '"\\12"'],
    ['that is empty', ''],
  ])('refuses a value %s', async (_, value) => {
    await expect(send(change('CREATE', 'a.example.org', [value]))).rejects.toMatchObject({
      name: 'InvalidChangeBatch',
    });
  });

  test.each(['"a"', '"a" "b"', '"a""b"', `"${'\\041'.repeat(255)}"`, '"\\"\\\\"', '""'])(
    'takes %s and lists it as it came',
    async (value) => {
      await send(change('CREATE', 'a.example.org', [value]));
      const listed = await client.send(
        new ListResourceRecordSetsCommand({
          HostedZoneId: zone,
          StartRecordName: 'a.example.org',
          StartRecordType: 'TXT',
          MaxItems: 1,
        }),
      );
      expect(listed.ResourceRecordSets?.[0]?.ResourceRecords).toEqual([{ Value: value }]);
    },
  );

  test('counts an UPSERT twice: records and characters', async () => {
    const many = (action: Action, count: number, value: string) =>
      Array.from({ length: count }, (_, i) => change(action, `k${i}.example.org`, [value]));
    await expect(send(...many('UPSERT', 501, '"x"'))).rejects.toMatchObject({ name: 'InvalidChangeBatch' });
    await send(...many('UPSERT', 500, '"x"'));
    const value = `"${'a'.repeat(198)}"`;
    await expect(send(...many('UPSERT', 81, value))).rejects.toMatchObject({ name: 'InvalidChangeBatch' });
    await send(...many('UPSERT', 80, value));
  });

  test('takes TXT alone', async () => {
    await expect(send(change('CREATE', 'a.example.org', ['192.0.2.1'], 'A'))).rejects.toMatchObject({
      name: 'AccessDenied',
    });
  });

  test('lists in the order of reversed labels, wildcards escaped', async () => {
    await send(
      change('CREATE', 'b.example.org', ['"1"']),
      change('CREATE', '*.a.example.org', ['"2"']),
      change('CREATE', 'a.example.org', ['"3"']),
      change('CREATE', 'a-b.example.org', ['"4"']),
      change('CREATE', 'z.a.example.org', ['"5"']),
    );
    const listed = await client.send(new ListResourceRecordSetsCommand({ HostedZoneId: zone }));
    expect(listed.ResourceRecordSets?.map(({ Name, Type }) => `${Name} ${Type}`)).toEqual([
      'example.org. NS',
      'example.org. SOA',
      'a-b.example.org. TXT',
      'a.example.org. TXT',
      '\\052.a.example.org. TXT',
      'z.a.example.org. TXT',
      'b.example.org. TXT',
    ]);
  });
});
