// The custom resource as CloudFormation calls it: the ledger on moto's DynamoDB, the new fleet in a file, the answer taken by
// a server in the place of S3.
import { rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDynamoLedger } from '../../adapters/aws/ledger.ts';
import { compileFleet } from '../../core/compiled-fleet.ts';
import { forced, hostedZone } from '../../core/fleet-change.ts';
import { defaultPolicy, type Fleet, type FleetDomain } from '../../core/policy.ts';
import { handler } from '../../functions/fleet-guard/handler.ts';
import { key, row } from '../core/key/made.ts';
import { createTable } from '../tools/ledger-table.ts';
import { describeWith } from '../tools/machine.ts';
import { type Moto, motoClient, motoEnv, startMoto } from '../tools/moto.ts';
import { makeFolder } from '../tools/temporary-folder.ts';

const zone = { name: 'example.com', id: 'Z1' };
const fleetOf = (version: number, names: readonly string[]): Fleet => ({
  version,
  pools: ['mx'],
  hosts: new Map(),
  zones: new Map([[zone.name, zone]]),
  domains: new Map(
    names.map((domain): [string, FleetDomain] => [
      domain,
      { domain, zone: zone.name, pool: 'mx', policy: defaultPolicy, leaving: false },
    ]),
  ),
});

interface Put {
  readonly method: string | undefined;
  readonly type: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
}

describeWith(['moto_server'], 'the fleet guard', () => {
  let moto: Moto;
  let server: Server;
  let url = '';
  let failing = 0;
  const puts: Put[] = [];
  const before = { ...process.env };
  const folder = makeFolder();
  const file = join(folder, 'fleet.json');
  const table = 'ledger';

  beforeAll(async () => {
    moto = await startMoto();
    const client = new DynamoDBClient(motoClient(moto.url));
    await createTable(client, table);
    const ledger = createDynamoLedger({ client, table });
    for (const domain of ['a.example.com', 'b.example.com'])
      await ledger.commit({
        domains: [
          { ...row([key('240128e', 'active')]), domain, zone: zone.name, hostedZone: hostedZone(zone) },
        ],
      });
    await ledger.installFleet(1);
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        failing -= 1;
        if (failing >= 0) {
          response.writeHead(503).end();
          return;
        }
        puts.push({
          method: request.method,
          type: request.headers['content-type'],
          body: JSON.parse(Buffer.concat(chunks).toString()),
        });
        response.end();
      });
    });
    await new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening));
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the server has no port');
    url = `http://127.0.0.1:${address.port}/answer?X-Amz-Signature=x`;
    Object.assign(process.env, motoEnv(moto.url), { SELKIE_TABLE: table, SELKIE_FLEET: file });
  }, 60_000);

  afterAll(async () => {
    for (const name of Object.keys(process.env))
      if (!(name in before)) Reflect.deleteProperty(process.env, name);
    Object.assign(process.env, before);
    await new Promise((closed) => void server?.close(closed));
    await moto?.stop();
    rmSync(folder, { recursive: true });
  });

  const ask = async (
    fleet: Fleet | string,
    type: CloudFormationCustomResourceEvent['RequestType'] = 'Update',
    version?: number,
  ): Promise<Readonly<Record<string, unknown>>> => {
    puts.length = 0;
    writeFileSync(file, typeof fleet === 'string' ? fleet : compileFleet(fleet));
    const event = {
      RequestType: type,
      ServiceToken: 'arn:aws:lambda:eu-west-1:1:function:guard',
      ResponseURL: url,
      StackId: 'arn:aws:cloudformation:eu-west-1:1:stack/selkie/1',
      RequestId: 'r-1',
      LogicalResourceId: 'FleetGuardCheck',
      ResourceType: 'Custom::SelkieFleet',
      PhysicalResourceId: 'fleet',
      ResourceProperties: {
        ServiceToken: 'arn:aws:lambda:eu-west-1:1:function:guard',
        Version: String(version ?? (typeof fleet === 'string' ? 2 : fleet.version)),
      },
      OldResourceProperties: {},
    } as CloudFormationCustomResourceEvent;
    await handler(event, { logStreamName: 'log' });
    expect(puts).toHaveLength(1);
    expect(puts[0]).toMatchObject({ method: 'PUT', type: undefined });
    return puts[0]?.body ?? {};
  };

  const both = ['a.example.com', 'b.example.com'];

  test('lets a fleet pass that loses nothing', async () => {
    expect(await ask(fleetOf(2, [...both, 'c.example.com']))).toEqual({
      Status: 'SUCCESS',
      PhysicalResourceId: 'fleet',
      StackId: 'arn:aws:cloudformation:eu-west-1:1:stack/selkie/1',
      RequestId: 'r-1',
      LogicalResourceId: 'FleetGuardCheck',
      Data: { LogStream: 'log' },
    });
  });

  test('refuses one that drops a live domain, saying what to do', async () => {
    const answer = await ask(fleetOf(2, ['a.example.com']));
    expect(answer).toMatchObject({ Status: 'FAILED', PhysicalResourceId: 'fleet' });
    expect(answer.Reason).toMatch(
      /^fleet.yaml is refused: it drops b.example.com \(240128e\).*"state: leaving"/,
    );
  });

  test('lets it pass where somebody says why', async () => {
    expect(await ask(forced(fleetOf(2, ['a.example.com']), 'sold'))).toMatchObject({ Status: 'SUCCESS' });
  });

  test('lets a deployment roll back, whichever fleet its function has by then', async () => {
    expect(await ask(fleetOf(1, ['a.example.com']))).toMatchObject({ Status: 'SUCCESS' });
    expect(await ask(fleetOf(2, ['a.example.com']), 'Update', 1)).toMatchObject({ Status: 'SUCCESS' });
  });

  test('judges no other fleet than it was asked about', async () => {
    const answer = await ask(fleetOf(2, both), 'Update', 3);
    expect(answer).toMatchObject({
      Status: 'FAILED',
      Reason: expect.stringContaining('carries fleet version 2'),
    });
  });

  test('never stands in the way of a stack that goes', async () => {
    expect(await ask(fleetOf(2, []), 'Delete')).toMatchObject({ Status: 'SUCCESS' });
  });

  test('answers where it cannot judge: else the deployment would wait for its time-out', async () => {
    expect(await ask('{')).toMatchObject({
      Status: 'FAILED',
      Reason: expect.stringContaining('could not be compared with the ledger'),
    });
    process.env.SELKIE_TABLE = 'elsewhere';
    expect(await ask(fleetOf(2, both))).toMatchObject({ Status: 'FAILED' });
    process.env.SELKIE_TABLE = table;
  });

  test('answers again where the answer was not taken, and fails where it never is', async () => {
    failing = 2;
    expect(await ask(fleetOf(2, both))).toMatchObject({ Status: 'SUCCESS' });
    failing = 3;
    await expect(ask(fleetOf(2, both))).rejects.toThrow('status 503');
    failing = 0;
  });

  test('an answer fits into what CloudFormation takes', async () => {
    const answer = await ask(fleetOf(2, []));
    expect(JSON.stringify(answer).length).toBeLessThan(4_096);
  });
});
