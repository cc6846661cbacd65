// A zone in another account: the handlers assume the role there, with its external id. moto gives a role to anybody, so a
// gate in front of its STS asks for the external id as the role's trust policy does.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { ListResourceRecordSetsCommand } from '@aws-sdk/client-route-53';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import { describeWith } from '../tools/machine.ts';
import { type AwsPlace, isDone, makeAwsPlace, route53In } from './aws-place.ts';

const account = '222222222222';
const zoneName = 'customer.example';
const domain = `mail.${zoneName}`;
const role = { arn: `arn:aws:iam::${account}:role/selkie-zones`, externalId: 'right-one' };

/** STS that refuses another external id than the right one, and passes everything else on. */
const startGate = async (upstream: () => string) => {
  const refused: string[] = [];
  const server = createServer(async (request, response) => {
    const body = (await buffer(request)).toString();
    const given = new URLSearchParams(body).get('ExternalId');
    if (given !== null && given !== role.externalId) {
      refused.push(given);
      response.writeHead(403, { 'content-type': 'text/xml' });
      return response.end(
        `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User is not authorized to perform: sts:AssumeRole on resource: ${role.arn}</Message></Error><RequestId>r</RequestId></ErrorResponse>`,
      );
    }
    const headers = Object.entries(request.headers).flatMap(([name, value]): [string, string][] =>
      name === 'host' || name === 'content-length' || name === 'connection' ? [] : [[name, String(value)]],
    );
    const answer = await fetch(upstream(), { method: 'POST', headers, body });
    response.writeHead(answer.status, { 'content-type': 'text/xml' });
    return response.end(await answer.text());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refused,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};

describeWith(['moto_server', 'named'], 'a zone in another account', () => {
  let place: AwsPlace;
  let upstream = '';
  let gate: Awaited<ReturnType<typeof startGate>>;

  beforeAll(async () => {
    vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    for (const method of ['log', 'info', 'warn', 'error'] as const)
      vi.spyOn(console, method).mockImplementation(() => {});
    gate = await startGate(() => upstream);
    place = await makeAwsPlace({
      zones: [{ name: zoneName, account, role: { ...role, externalId: 'wrong-one' } }],
      domains: [{ domain, zone: zoneName }],
      hosts: [{ name: 'mx1.example.jp', reached: 'push' }],
      environment: { AWS_ENDPOINT_URL_STS: gate.url },
    });
    upstream = place.moto.url;
  }, 120_000);
  afterAll(async () => {
    await place?.close();
    await gate?.close();
    vi.restoreAllMocks();
  });

  test('with a wrong external id: says what is denied and what to do, and writes nothing', async () => {
    await place.until(async () => ((await place.status(domain))?.blockedBy.length ?? 0) > 0);
    const { blockedBy = [], keys } = (await place.status(domain)) ?? {};
    const says = blockedBy.map((one) => one.says).join('\n');
    expect(says).toContain(role.arn);
    expect(says).toContain('the external id that it asks for is what fleet.yaml says');
    expect(keys).toEqual([]);
    expect(gate.refused).toContain('wrong-one');
    expect((await place.txtLines()).get(zoneName)).toEqual([]);
  }, 90_000);

  test('mended in the fleet file, a whole rotation happens there', async () => {
    await place.deploy((fleet) => ({
      zones: new Map([...fleet.zones].map(([name, zone]) => [name, { ...zone, role }])),
    }));
    await place.until(async () => isDone(await place.status(domain)));
    const first = (await place.status(domain))?.keys[0]?.selector;
    const asked = await place.functions.api('POST', `/v1/domains/${domain}/rotations`);
    expect(asked.status).toBe(202);
    await place.until(async () => isDone(await place.status(domain), 2));
    const lines = (await place.txtLines()).get(zoneName) ?? [];
    expect(new Set(lines.map((line) => line.split(' ')[0]))).toEqual(
      new Set([`${first}-2._domainkey.${domain}.`, `${first}._domainkey.${domain}.`]),
    );

    // Nothing of it is in the deployment's own account.
    const own = await route53In(place.moto.url);
    await expect(
      own.send(new ListResourceRecordSetsCommand({ HostedZoneId: place.zones.get(zoneName)?.id ?? '' })),
    ).rejects.toMatchObject({ name: 'NoSuchHostedZone' });

    const [host] = place.hosts;
    const { raw } = await sendThroughMilter(
      { host: '127.0.0.1', port: host?.milter ?? 0 },
      {
        macros: { i: 'A' },
        from: `jo@${domain}`,
        to: ['rcpt@example.com'],
        raw: Buffer.from(`From: Jo <jo@${domain}>\r\nSubject: A\r\n\r\nHello.\r\n`),
      },
    );
    expect(Buffer.from(raw).toString()).toContain(`s=${first}-2`);
  }, 120_000);
});
