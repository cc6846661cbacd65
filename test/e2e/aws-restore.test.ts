// The drill of a lost ledger, as docs/operations.md has it, on an imitation of AWS: the table as it was in the middle of a rotation,
// restored after that rotation and another; the functions pointed to it, which then stand still; `selkie restore` as a process of
// its own. Two mail hosts sign all the while, and whatever they signed verifies in the end. moto restores a table to the moment
// that it is asked in, so it is asked then. Lambda, STS and the stack's outputs are stood in for.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { RestoreTableToPointInTimeCommand, ScanCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { ListSecretsCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createDynamoLedger } from '../../adapters/aws/ledger.ts';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import { sha256 } from '../../contract/audit.ts';
import { judgeChain } from '../../core/audit.ts';
import { minutes } from '../../core/time.ts';
import { judge } from '../../functions/fleet-guard/handler.ts';
import * as mailauth from '../oracles/mailauth.ts';
import { lines, type Records } from '../oracles/records.ts';
import { describeWith } from '../tools/machine.ts';
import { motoClient, motoEnv } from '../tools/moto.ts';
import { type Ran, selkieIn } from '../tools/selkie.ts';
import { type AwsPlace, type Host, isDone, makeAwsPlace } from './aws-place.ts';

const zone = 'example.jp';
const domain = `mail.${zone}`;
const table = 'selkie-restored-1';
const functionName = 'selkie-RestoreFunction';
const operator = 'arn:aws:sts::123456789012:user/moto';

describeWith(['moto_server', 'named'], 'a ledger restored from a backup on AWS', () => {
  let place: AwsPlace;
  let lambda: { readonly url: string; close(): void };
  const sent: { readonly raw: Uint8Array; readonly selector: string }[] = [];

  const records = async (): Promise<Records> =>
    Object.fromEntries(
      ((await place.txtLines()).get(zone) ?? []).map((line) => [
        line.slice(0, line.indexOf(' ')).replace(/\.$/, ''),
        [...line.matchAll(/"([^"]*)"/g)].map(([, text]) => text).join(''),
      ]),
    );
  const sign = async (host: Host | undefined, id: string): Promise<string> => {
    const text = `From: jo@${domain}\r\nTo: rcpt@example.com\r\nSubject: ${id}\r\nDate: ${new Date().toUTCString()}\r\nMessage-ID: <${id}@${domain}>\r\n\r\nHello.\r\n`;
    const { raw } = await sendThroughMilter(
      { host: '127.0.0.1', port: host?.milter ?? 0 },
      { macros: { i: id }, from: `jo@${domain}`, to: ['rcpt@example.com'], raw: Buffer.from(text) },
    );
    const selector = /DKIM-Signature:.*?\bs=([\w-]+);/s.exec(Buffer.from(raw).toString('latin1'))?.[1] ?? '';
    sent.push({ raw, selector });
    return selector;
  };
  const signEverywhere = async (id: string): Promise<Set<string>> =>
    new Set(await Promise.all(place.hosts.map((host, n) => sign(host, `${id}-${n}`))));
  const verifyAll = async (): Promise<void> => {
    const known = await records();
    for (const { raw, selector } of sent)
      expect(lines(await mailauth.verify(raw, known))).toEqual([`${selector} ${domain} pass`]);
  };
  const rotate = async (n: number): Promise<void> => {
    const { status } = await place.functions.api('POST', `/v1/domains/${domain}/rotations`);
    expect(status).toBe(202);
    await place.until(async () => isDone(await place.status(domain), n));
  };
  /** A digest of what a table holds; of leases and of Route 53's quota no backup matters. */
  const items = async (name: string): Promise<string> => {
    const { Items = [] } = await place.dynamo.send(new ScanCommand({ TableName: name }));
    const kept = Items.filter(({ pk }) => !/^(lease|bucket)#/.test(pk?.S ?? ''));
    return sha256(JSON.stringify(kept.map((one) => JSON.stringify(one)).toSorted()));
  };
  const secretNames = async (): Promise<readonly (string | undefined)[]> => {
    const { SecretList = [] } = await new SecretsManagerClient(motoClient(place.moto.url)).send(
      new ListSecretsCommand({}),
    );
    return SecretList.map(({ Name }) => Name).toSorted();
  };
  const restore = (...more: string[]): Promise<Ran> =>
    selkieIn(
      {
        ...process.env,
        ...motoEnv(place.moto.url),
        AWS_ENDPOINT_URL_LAMBDA: lambda.url,
        AWS_ENDPOINT_URL_CLOUDFORMATION: lambda.url,
      },
      'restore',
      '--stack',
      'selkie',
      ...more,
    );
  const selectorsOf = async (state: string): Promise<readonly string[]> =>
    (await place.status(domain))?.keys.filter((key) => key.state === state).map(({ selector }) => selector) ??
    [];

  beforeAll(async () => {
    vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    for (const method of ['log', 'info', 'warn', 'error'] as const)
      vi.spyOn(console, method).mockImplementation(() => {});
    place = await makeAwsPlace({
      zones: [{ name: zone }],
      domains: [{ domain, zone }],
      hosts: [
        { name: 'mx1.example.jp', reached: 'push' },
        { name: 'mx2.example.jp', reached: 'pull' },
      ],
    });
    // Lambda's Invoke and CloudFormation's DescribeStacks, as far as the command asks them.
    const server = createServer(async (request, response) => {
      const body = await textOf(request);
      if (body.includes('Action=DescribeStacks'))
        return response.end(
          `<DescribeStacksResponse><Outputs><member><OutputKey>RestoreFunction</OutputKey><OutputValue>${functionName}</OutputValue></member></Outputs></DescribeStacksResponse>`,
        );
      expect(request.url).toBe(`/2015-03-31/functions/${functionName}/invocations`);
      expect(request.headers.authorization).toContain('/eu-west-1/lambda/aws4_request');
      vi.resetModules();
      const { handler } = await import('../../functions/restore/handler.ts');
      await handler(JSON.parse(body)).then(
        (answer) => response.end(JSON.stringify(answer)),
        (error: Error) =>
          response
            .writeHead(200, { 'x-amz-function-error': 'Unhandled' })
            .end(JSON.stringify({ errorMessage: error.message, errorType: error.name })),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    lambda = {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      close: () => server.close(),
    };
    await place.until(async () => isDone(await place.status(domain)));
  }, 120_000);
  afterAll(async () => {
    lambda?.close();
    await place?.close();
    vi.restoreAllMocks();
  }, 60_000);

  let [oldest, newest] = ['', ''];

  test('the table of a moment in the middle of a rotation, after which there were others', async () => {
    const [first = ''] = await signEverywhere('FIRST');
    await place.functions.api('POST', `/v1/domains/${domain}/rotations`);
    await place.until(async () =>
      ((await place.status(domain))?.keys ?? []).some(({ state }) =>
        ['publishing', 'published', 'standby'].includes(state),
      ),
    );
    await place.dynamo.send(
      new RestoreTableToPointInTimeCommand({ SourceTableName: 'selkie', TargetTableName: table }),
    );
    await place.until(async () => isDone(await place.status(domain), 2));
    const [second = ''] = await signEverywhere('SECOND');
    await rotate(3);
    const [third = ''] = await signEverywhere('THIRD');
    expect(new Set([first, second, third]).size).toBe(3);
    [oldest, newest] = [first, third];
    await verifyAll();
  }, 180_000);

  test('functions that are pointed to it stand still, and hosts sign on', async () => {
    await place.deploy(undefined, {
      SELKIE_TABLE: table,
      SELKIE_LEDGER_LOST: 'true',
      SELKIE_TABLE_REPLACED: 'selkie',
    });
    const before = [await items(table), await records(), await secretNames()];
    await expect(place.functions.tick()).rejects.toThrow(
      `the table ${table} was restored from a backup of selkie`,
    );
    expect(await place.functions.api('GET', `/v1/domains/${domain}`)).toMatchObject({
      status: 503,
      body: { detail: expect.stringContaining('selkie restore') },
    });
    expect(await place.deliver().then(({ received, failed }) => received - failed.length)).toBe(0);
    expect([await items(table), await records(), await secretNames()]).toEqual(before);
    expect(await signEverywhere('MEANWHILE')).toEqual(new Set([newest]));
  }, 60_000);

  test('the command shows what it would do, and changes nothing', async () => {
    const before = [await items(table), await items('selkie'), await records()];
    const { status, stdout, stderr } = await restore();
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toContain(`${newest} of ${domain}, which the backup did not know, drains from now on`);
    expect(stdout).toContain('Nothing was changed');
    expect([await items(table), await items('selkie'), await records()]).toEqual(before);
    expect(await restore('--apply')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('--reason'),
    });
  }, 60_000);

  test('told to do it, it first waits for what was under way, and stops whoever is left at the old table', async () => {
    const { status, stdout } = await restore('--apply', '--reason', 'a drill');
    expect(status).toBe(1);
    expect(stdout).toMatch(/are waited for until \d{4}-/);
    const old = createDynamoLedger({ client: place.dynamo, table: 'selkie' });
    expect(await old.head()).toMatchObject({ replacedBy: table });
    // A deployment that forgot the setting is refused before it changes anything.
    expect(await judge(old, place.fleet, { type: 'Update', version: place.fleet.version })).toEqual({
      Status: 'FAILED',
      Reason: expect.stringContaining(`"ledgerTable": "${table}"`),
    });
    await expect(place.functions.tick()).rejects.toThrow('nothing works on it');
  }, 60_000);

  test('then it brings the ledger up: the key that the backup knew signs on, those after it drain, and nothing is revoked', async () => {
    // Half an hour later.
    const ledger = createDynamoLedger({ client: place.dynamo, table });
    const { restored } = await ledger.head();
    await place.dynamo.send(
      new UpdateItemCommand({
        TableName: table,
        Key: { pk: { S: 'head' }, sk: { S: 'head' } },
        UpdateExpression: 'SET restoring = :then',
        ExpressionAttributeValues: { ':then': { N: String((restored?.since ?? 0) - minutes(31)) } },
      }),
    );
    const [zoneBefore, secretsBefore] = [await records(), await secretNames()];
    const { status, stdout, stderr } = await restore('--apply', '--reason', 'a drill');
    expect(stderr).toBe('');
    expect(stdout).toContain('Epoch 2: the ledger is in use');
    expect(status).toBe(0);
    expect([await records(), await secretNames()]).toEqual([zoneBefore, secretsBefore]);

    // Each host takes a full snapshot of the new epoch.
    await place.until(async () => {
      const rows = await Promise.all(place.hosts.map(({ name }) => ledger.host(name)));
      return rows.every((row) => row?.complete === true && row.cursor?.epoch === 2);
    });
    expect(await signEverywhere('AFTER')).toEqual(new Set([oldest]));
    // The domain hears of its hosts by a sweep, if not by their answers.
    await place.until(async () => (await selectorsOf('draining')).length === 2);
    expect(await selectorsOf('active')).toEqual([oldest]);
    expect(await selectorsOf('revoked')).toEqual([]);
    await verifyAll();
  }, 120_000);

  test('it is in the audit trail, by whom and why; the chain holds', async () => {
    const ledger = createDynamoLedger({ client: place.dynamo, table });
    const events = await ledger.audit(domain, { limit: 100 });
    expect(judgeChain(events, sha256)).toEqual({ ok: true });
    expect(events.at(-1)).toMatchObject({
      what: 'restore',
      why: 'a drill',
      who: operator,
      after: { epoch: 2 },
    });
  });

  test('again, it is refused: the ledger is in use', async () => {
    for (const more of [[], ['--apply', '--reason', 'again']])
      expect(await restore(...more)).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('this ledger is in use'),
      });
  }, 60_000);

  test('and rotations go on, under names that were never used', async () => {
    const used = new Set(sent.map(({ selector }) => selector));
    await rotate(((await place.status(domain))?.rotations.length ?? 0) + 1);
    const [next = ''] = await signEverywhere('NEXT');
    expect(used.has(next)).toBe(false);
    await verifyAll();
  }, 120_000);
});
