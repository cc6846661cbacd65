// `selkie doctor`: a control plane that is well, then each of its troubles, named with its mend.
import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { clocks, drift, fleetVersions, type Health } from '../../cli/doctor/checks.ts';
import { days, hours, minutes } from '../../core/time.ts';
import { requestRotation } from '../../engine/commands.ts';
import { excludeHost } from '../../engine/hosts.ts';
import type { World } from '../../engine/world.ts';
import { openSession } from '../../engine/world.ts';
import { describeWith } from '../tools/machine.ts';
import { motoClient, startMoto } from '../tools/moto.ts';
import { selkie, selkieIn } from '../tools/selkie.ts';
import { type ServedApi, serveApi } from '../tools/served-api.ts';
import { operator, region, startGateway } from '../tools/signed-gateway.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

const begun = Date.parse('2024-01-28T09:00:00Z');
const hostNames = ['mx1.example.com', 'mx2.example.com'];

let simulation: Simulation;
let served: ServedApi;
let fleetFile: string;

/** As a file whose last change was then. */
const writeFleet = (text: string, at: number): void => {
  writeFileSync(fleetFile, text);
  utimesSync(fleetFile, at / 1_000, at / 1_000);
};
const fleetOf = (...domains: string[]): string =>
  `domains: { ${domains.map((name) => `${name}: `).join(', ')} }\nzones: { ${domains.map((name, index) => `${name}: { id: Z0123456789AB${index} }`).join(', ')} }\npools: [mx]\n`;

beforeEach(async () => {
  simulation = await simulate('2024-01-28T09:00:00Z', {}, hostNames);
  await simulation.run(hours(1));
  const dir = temporaryFolder();
  fleetFile = join(dir, 'fleet.yaml');
  writeFleet(fleetOf(domain), 1);
  served = await serveApi(simulation.world, join(dir, 'api'));
});
afterEach(async () => {
  await served.close();
  simulation.close();
});

const doctor = (...args: string[]) => selkie('doctor', '--dir', served.dir, '--fleet', fleetFile, ...args);

/** The world's clock is the test's, so that this machine's never agrees with it. */
const failed = (stdout: string): string =>
  stdout
    .split('\n')
    .filter((line) => !line.startsWith('✗ clock') && !line.includes('set-ntp'))
    .join('\n');

it('a control plane that is well', async () => {
  const { stdout, stderr } = await doctor();
  expect(stderr).toBe('');
  expect(stdout.split('\n').filter((line) => line.startsWith('✓'))).toEqual([
    expect.stringMatching(/^✓ control plane: http:\/\/127\.0\.0\.1:\d+, \d+ ms$/),
    expect.stringMatching(/^✓ fleet: 1 domain, 1 zone, 2 hosts, installed /),
    '✓ hosts: 2 hosts ready',
    expect.stringMatching(/^✓ rotations: nothing late in 1 domain; next example\.com 2024-/),
  ]);
  expect(stdout).toMatch(/^- drift: not looked at: nothing was audited yet: selkie drift --run --dir /m);
  expect(stdout).toMatch(/^✗ clock: this machine is \d+ s ahead of the ledger$/m);
});

it('a silent host, a late rotation, an excluded host', async () => {
  const { world } = simulation;
  await excludeHost(world, await openSession(world), 'mx1.example.com', 'repair', { by: 'test' });
  expect((await doctor()).stdout).toContain('✓ hosts: 1 host ready, excluded: mx1.example.com');
  simulation.host('mx2.example.com').down = true;
  await requestRotation(world, await openSession(world), domain, { by: 'test' });
  await simulation.run(hours(5));
  const { status, stdout } = await doctor();
  expect(stdout).toMatch(/^✗ hosts: mx2\.example\.com was last heard of 2024-01-28T/m);
  expect(stdout).toContain('selkie-agent doctor   (on mx2.example.com)');
  expect(stdout).toContain('selkie host exclude mx2.example.com --reason "…" --dir');
  expect(stdout).toMatch(/^✗ rotations: example\.com: 240128e-2 was to hold by /m);
  expect(stdout).toMatch(/^ {4}selkie plan example\.com --dir /m);
  expect(status).toBe(1);
});

it('what an audit found', async () => {
  await selkie('drift', '--run', '--dir', served.dir);
  await simulation.run(minutes(10));
  expect(failed((await doctor()).stdout)).toMatch(/^✓ drift: \d+ compared, nothing found/m);
  await simulation.run(days(3));
  const { stdout } = await doctor();
  expect(stdout).toMatch(
    /^✗ drift: \d+ audits of \d+ are older than two days\n {4}selkie drift --run --dir /m,
  );
});

it('a fleet file that is not what runs', async () => {
  writeFleet(fleetOf(domain, 'other.example.net'), 1);
  const lacking = await doctor();
  expect(lacking.stdout).toMatch(/^✗ fleet: other\.example\.net of \S+ is not in the ledger$/m);
  expect(lacking.stdout).toContain('stop and start it again: npm start');
  writeFleet(fleetOf('other.example.net'), 1);
  expect((await doctor()).stdout).toMatch(/^✗ fleet: example\.com is in the ledger and not in /m);
  writeFleet(fleetOf(domain), begun);
  expect((await doctor()).stdout).toMatch(/^✗ fleet: \S+ was changed 2024-01-28 09:00Z, after what runs/m);
  writeFleet('domains: [', 1);
  const broken = await doctor();
  expect(broken.stdout).toMatch(/^✗ fleet: .*fleet\.yaml/m);
  expect(broken.status).toBe(1);
});

it('a control plane that cannot be reached', async () => {
  await served.close();
  const { status, stdout } = await doctor();
  expect(stdout).toMatch(
    /^✗ control plane: no answer at http:\S+: is npm start still running\?\n {4}npm start$/m,
  );
  expect(status).toBe(1);
  const nowhere = await selkie('doctor', '--dir', temporaryFolder(), '--json');
  expect(JSON.parse(nowhere.stdout)).toMatchObject({
    ok: false,
    checks: [{ name: 'control plane', result: 'fail', findings: [{ mends: ['npm start'] }] }],
  });
});

describe('a check', () => {
  const health: Health = {
    ledger: { at: '2024-01-28T09:00:00.000Z', epoch: 1, fleet: begun },
    skew: 0,
    fleet: { version: begun, domains: 1, zones: 1, hosts: 1 },
    silent: [],
    forgotten: [],
  };
  const command = (words: string): string => `selkie ${words}`;

  it.each([
    [0, 0, undefined],
    [45_000, 0, 'this machine is 45 s ahead of the ledger'],
    [-45_000, 0, 'this machine is 45 s behind the ledger'],
    [0, 301_000, "the worker's clock and the ledger's differ by 301 s: it does nothing until they agree"],
  ])('of clocks %i ms and %i ms apart', (off, skew, problem) => {
    const { findings } = clocks({ ...health, skew }, begun + off);
    expect(findings[0]?.problem).toBe(problem);
  });

  it('of the fleet that functions carry and the ledger has', () => {
    const told = (version: number, installed: number) =>
      fleetVersions(
        { ...health, ledger: { ...health.ledger, fleet: installed }, fleet: { ...health.fleet, version } },
        [],
        undefined,
        'npx cdk deploy',
      ).findings[0];
    expect(told(begun, begun)).toBeUndefined();
    expect(told(begun, begun + 60_000)).toMatchObject({
      problem:
        'what answers carries the fleet of 2024-01-28 09:00Z, and the ledger has that of 2024-01-28 09:01Z',
      mends: ['npx cdk deploy'],
    });
    expect(told(begun, 0)?.problem).toBe(
      'the fleet of 2024-01-28 09:00Z is not installed: the ledger has that of nobody',
    );
  });

  it('of drift says what a person may do, and shows a screen of it', () => {
    const finding = {
      kind: 'record-orphan' as const,
      name: 'x',
      says: 'nobody wants x',
      level: 'alarm' as const,
      since: '2024-01-28T09:00:00.000Z',
      command: 'delete x',
    };
    const audit = {
      subject: 'zone/example.com',
      begun: '2024-01-28T09:00:00.000Z',
      at: '2024-01-28T09:00:00.000Z',
      complete: true,
      compared: 20,
      found: 20,
      alarms: 20,
    };
    const { findings } = drift(health, [{ ...audit, findings: Array(14).fill(finding) }], command);
    expect(findings).toHaveLength(11);
    expect(findings[0]).toEqual({ problem: 'nobody wants x', mends: ['delete x'] });
    expect(findings[10]).toEqual({ problem: 'and 4 more', mends: ['selkie drift'] });
    const mended = { ...finding, mended: { change: 'c', at: '2024-01-28T09:00:00.000Z' } };
    expect(drift(health, [{ ...audit, findings: [mended] }], command)).toMatchObject({
      findings: [],
      note: '20 compared, nothing found that is not put back (1 were)',
    });
  });
});

describeWith(['botocore', 'moto_server'], 'on AWS', () => {
  const inStack = async (
    world: World,
    run: (env: NodeJS.ProcessEnv, moto: string, url: string) => Promise<void>,
  ) => {
    const [moto, gateway] = await Promise.all([startMoto(), startGateway(createApi(world, () => {}))]);
    try {
      const env = { ...process.env, ...operator, AWS_REGION: region, AWS_ENDPOINT_URL: moto.url };
      await run(env, moto.url, gateway.url);
    } finally {
      await gateway.stop();
      await moto.stop();
    }
  };

  it('says who asks, and what failed each time', async () => {
    await inStack(simulation.world, async (env, moto, url) => {
      const client = new SQSClient(motoClient(moto));
      const deadUrl =
        (await client.send(new CreateQueueCommand({ QueueName: 'selkie-test-dead' }))).QueueUrl ?? '';
      const { Attributes } = await client.send(
        new GetQueueAttributesCommand({ QueueUrl: deadUrl, AttributeNames: ['QueueArn'] }),
      );
      const arn = Attributes?.QueueArn ?? '';
      const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: 5 });
      await client.send(
        new CreateQueueCommand({ QueueName: 'selkie-test-units', Attributes: { RedrivePolicy } }),
      );
      const body = new URLSearchParams({
        Action: 'CreateStack',
        Version: '2010-05-15',
        StackName: 'selkie-test',
        TemplateBody: JSON.stringify({
          Resources: { Topic: { Type: 'AWS::SNS::Topic' } },
          Outputs: { ApiUrl: { Value: url } },
        }),
      });
      const scope = `Credential=a/20240128/${region}/cloudformation/aws4_request`;
      const headers = { authorization: `AWS4-HMAC-SHA256 ${scope}, SignedHeaders=host, Signature=0` };
      expect((await fetch(moto, { method: 'POST', headers, body })).status).toBe(200);

      const ask = (...where: string[]) => selkieIn(env, 'doctor', '--fleet', fleetFile, ...where);
      const well = await ask('--stage', 'test');
      expect(well.stdout).toMatch(/^✓ credentials: arn:aws:/);
      expect(well.stdout).toContain('✓ dead letters: none; 0 units wait to be done');
      await client.send(new SendMessageCommand({ QueueUrl: deadUrl, MessageBody: '{}' }));
      const dead = await ask('--stage', 'test');
      expect(dead.stdout).toContain('✗ dead letters: 1 unit of work failed each time (docs/operations.md');
      expect(dead.stdout).toContain(`    aws sqs start-message-move-task --source-arn ${arn}`);
      expect(dead.stdout).toContain('selkie drift --run --stage test');
      const unnamed = await ask('--api', url);
      expect(unnamed.stdout).toContain('- dead letters: not looked at: its stack is not named');
    });
  }, 90_000);

  it('says that the credentials are not taken, and how to see whose they are', async () => {
    await inStack(simulation.world, async (env, _, url) => {
      const wrong = { ...env, AWS_SECRET_ACCESS_KEY: 'another' };
      const { status, stdout } = await selkieIn(wrong, 'doctor', '--api', url);
      expect(stdout).toMatch(/^✗ control plane: arn:aws:\S+ may not call http/m);
      expect(stdout).toContain('    aws sts get-caller-identity');
      expect(status).toBe(1);
    });
  }, 90_000);

  it('verify goes there too, and its mends say the way', async () => {
    await inStack(simulation.world, async (env, _, url) => {
      const { status, stdout, stderr } = await selkieIn(
        env,
        ...['verify', domain, '--api', url, '--resolver', '127.0.0.1:9', '--except', 'spf,dmarc'],
      );
      expect(stderr).toBe('');
      expect(stdout).toMatch(/^✓ keys: 240128e signs/m);
      expect(stdout).toMatch(/^✗ record 240128e: No resolver tells SOA of com/m);
      expect(stdout).toMatch(/^✓ host mx1\.example\.com: confirmed 240128e, heard of 2024-01-28/m);
      expect(stdout).toContain(
        '- canary: not looked at: --smtp HOST --sink ADDRESS:PORT sends one through a host',
      );
      expect(status).toBe(1);
    });
  }, 90_000);
});
