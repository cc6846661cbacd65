// The steps of `npm run verify:aws`, in their order: what an administrator would do by hand (docs/aws.md), and a look at what came
// of each. Every program that it runs is the product's own, or CDK.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Route53Client } from '@aws-sdk/client-route-53';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { STSClient } from '@aws-sdk/client-sts';
import { dkimVerify } from 'mailauth';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import { describe, SelkieError } from '../../core/errors.ts';
import type { DomainStatus } from '../../engine/status.ts';
import { freePort } from '../tools/free-port.ts';
import { makeZone, removeSecrets, removeZone, requireAccount, type Zone } from './account.ts';
import type { Options } from './options.ts';

/** What the steps share. */
export interface Run extends Options {
  /** Of this run alone; gone at its end. */
  readonly folder: string;
  readonly say: (line: string) => void;
  zone?: Zone;
  outputs?: Readonly<Record<string, string>>;
  /** Entry of the host in the fleet file, as enrol printed it. */
  hostEntry?: string;
  agent?: ChildProcess;
  milterPort?: number;
  /** A message that the first key signed. */
  before?: { readonly raw: Uint8Array; readonly selectors: readonly string[] };
}

export interface Step {
  readonly title: string;
  /** The command, as somebody would type it. */
  readonly shows: (options: Options) => string;
  readonly run: (run: Run) => Promise<void>;
}

const root = join(import.meta.dirname, '../..');
const hostName = 'verify-mx1';

const needed = <T>(value: T | undefined, what: string): T => {
  if (value === undefined)
    throw new SelkieError('invalid', `${what} is not there: a step before it did not run`);
  return value;
};

const domainOf = (run: Pick<Run, 'zone'>): string => `mail.${needed(run.zone, 'the zone').name}`;

/** Runs a program to its end; what it prints goes to a file, and its last lines into an error. */
const program = async (run: Run, name: string, args: readonly string[]): Promise<string> => {
  const log = join(run.folder, 'log.txt');
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(root, name), ...args], {
      cwd: root,
      env: { ...process.env, AWS_REGION: run.region, CDK_DISABLE_CLI_TELEMETRY: 'true' },
      maxBuffer: 64 * 1_024 * 1_024,
    });
    writeFileSync(log, stdout + stderr, { flag: 'a' });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new SelkieError('unavailable', `${name} ${args[0]} failed:\n${(stdout + stderr).slice(-2_000)}`);
  }
};

const cdkArgs = ({ stage, stackName }: Options, fleetFile: string): string[] => [
  stackName,
  '--context',
  `stage=${stage}`,
  '--context',
  'ephemeral=true',
  '--context',
  `fleet=${fleetFile}`,
];

/** The fleet file of the run, with its host once that has enrolled. */
export const fleetText = (run: Pick<Run, 'zone' | 'hostEntry'>): string => {
  const zone = needed(run.zone, 'the zone');
  return [
    'defaults: { algorithms: [rsa2048, ed25519], ttl: PT1M, rotateEvery: on-demand }',
    `domains: { ${domainOf(run)}: }`,
    'zones:',
    `  ${zone.name}: { id: ${zone.id}, nameServers: [${zone.nameServers.join(', ')}] }`,
    'pools: [verify]',
    run.hostEntry ?? '',
  ].join('\n');
};

const deploy = async (run: Run): Promise<void> => {
  const [fleetFile, outputs] = [join(run.folder, 'fleet.yaml'), join(run.folder, 'outputs.json')];
  writeFileSync(fleetFile, fleetText(run));
  await program(run, 'node_modules/aws-cdk/bin/cdk', [
    'deploy',
    ...cdkArgs(run, fleetFile),
    '--require-approval',
    'never',
    '--outputs-file',
    outputs,
  ]);
  run.outputs = JSON.parse(readFileSync(outputs, 'utf8'))[run.stackName];
};

const enrol = async (run: Run): Promise<void> => {
  const { BundleKeyArn = '', ApiUrl = '' } = needed(run.outputs, 'the outputs of the deployment');
  const thumbprint = (await program(run, 'cli/bundle-key.ts', [BundleKeyArn])).trim();
  const printed = await program(run, 'agent/main.ts', [
    'enrol',
    '--dir',
    join(run.folder, 'agent'),
    '--name',
    hostName,
    '--no-push',
    '--control-plane',
    ApiUrl,
    '--bundle-key',
    thumbprint,
  ]);
  run.hostEntry = printed
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n');
};

const startAgent = async (run: Run): Promise<void> => {
  const port = await freePort();
  run.milterPort = port;
  const child = spawn(
    process.execPath,
    [
      join(root, 'agent/main.ts'),
      'run',
      '--dir',
      join(run.folder, 'agent'),
      '--milter',
      `inet:${port}@127.0.0.1`,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  run.agent = child;
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => writeFileSync(join(run.folder, 'log.txt'), chunk, { flag: 'a' }));
  await sleep(2_000);
  if (child.exitCode !== null)
    throw new SelkieError('unavailable', 'selkie-agent ended: see its lines in the log');
};

const selkie = (run: Run, ...args: string[]): Promise<string> =>
  program(run, 'cli/main.ts', [...args, '--stage', run.stage, '--region', run.region]);

const status = async (run: Run): Promise<DomainStatus> =>
  JSON.parse(await selkie(run, 'status', domainOf(run), '--json')) as DomainStatus;

/** Waits until the domain's rotation number `n` is done. @returns its selectors */
const waitFor = async (run: Run, n: number, minutes: number): Promise<readonly string[]> => {
  let why = '';
  for (const until = Date.now() + minutes * 60_000; ; await sleep(15_000)) {
    const found = await status(run).then(
      ({ rotations, blockedBy }) => ({ rotation: rotations.at(n - 1), now: JSON.stringify(blockedBy) }),
      // One call may fail; that all do is seen at the end.
      (error: unknown) => ({ rotation: undefined, now: describe(error) }),
    );
    if (found.rotation?.state === 'done') return found.rotation.selectors;
    if (found.now !== why) run.say(`    waits for: ${found.now}`);
    why = found.now;
    if (Date.now() > until)
      throw new SelkieError('unavailable', `not done in ${minutes} minutes; it waits for ${why}`);
  }
};

const sign = async (run: Run, id: string): Promise<Uint8Array> => {
  const domain = domainOf(run);
  const text = `From: Jo <jo@${domain}>\r\nTo: rcpt@example.com\r\nSubject: ${id}\r\nDate: ${new Date().toUTCString()}\r\nMessage-ID: <${id}@${domain}>\r\n\r\nHello.\r\n`;
  const { verdict, raw } = await sendThroughMilter(
    { host: '127.0.0.1', port: needed(run.milterPort, 'the milter') },
    { macros: { i: id }, from: `jo@${domain}`, to: ['rcpt@example.com'], raw: Buffer.from(text) },
  );
  if (verdict !== 'accept') throw new SelkieError('unavailable', `the milter answered ${verdict}`);
  return raw;
};

/** By mailauth, which asks each name server of the zone for itself. */
const verify = async (run: Run, raw: Uint8Array, selectors: readonly string[]): Promise<void> => {
  for (const server of needed(run.zone, 'the zone').nameServers) {
    const dns = new Resolver({ timeout: 5_000, tries: 3 });
    dns.setServers(await new Resolver().resolve4(server));
    const { results } = await dkimVerify(Buffer.from(raw), {
      resolver: (name: string) => dns.resolveTxt(name),
    } as Parameters<typeof dkimVerify>[1]);
    const passed = results
      .filter(({ status: found }) => found?.result === 'pass')
      .map(({ selector }) => selector);
    const missing = selectors.filter((selector) => !passed.includes(selector));
    if (missing.length > 0)
      throw new SelkieError('unsafe', `by ${server}, the signature of ${missing.join(', ')} does not verify`);
  }
};

export const steps: readonly Step[] = [
  {
    title: 'these are credentials of the account that was meant',
    shows: () => 'aws sts get-caller-identity',
    run: (run) => requireAccount(new STSClient({ region: run.region }), run.account ?? ''),
  },
  {
    title: 'a hosted zone of its own is made',
    shows: ({ parent, stage }) => `aws route53 create-hosted-zone --name ${stage}-….${parent}`,
    run: async (run) => {
      const name = `${run.stage}-${Date.now().toString(36)}.${run.parent}`;
      run.zone = await makeZone(new Route53Client({ region: run.region }), name, run.stackName);
    },
  },
  {
    title: 'the stack is deployed, without a host',
    shows: (options) => `npx cdk deploy ${cdkArgs(options, 'fleet.yaml').join(' ')}`,
    run: deploy,
  },
  {
    title: 'a host enrols; it pins the thumbprint that KMS tells',
    shows: () =>
      'npm run -s bundle-key -- ARN; selkie-agent enrol --no-push --control-plane URL --bundle-key THUMBPRINT',
    run: enrol,
  },
  {
    title: 'the stack is deployed again, with the host',
    shows: (options) => `npx cdk deploy ${cdkArgs(options, 'fleet.yaml').join(' ')}`,
    run: deploy,
  },
  {
    title: 'the agent runs, and the first keys are published and sign',
    shows: ({ stage }) => `selkie-agent run; npm run selkie -- --stage ${stage} status DOMAIN`,
    run: async (run) => {
      await startAgent(run);
      const selectors = await waitFor(run, 1, 30);
      const raw = await sign(run, 'before');
      await verify(run, raw, selectors);
      run.before = { raw, selectors };
    },
  },
  {
    title: 'a rotation on request; mail of both key sets verifies at every name server',
    shows: ({ stage }) => `npm run selkie -- --stage ${stage} rotate DOMAIN --reason verify:aws`,
    run: async (run) => {
      await selkie(run, 'rotate', domainOf(run), '--reason', 'verify:aws');
      const selectors = await waitFor(run, 2, 45);
      const { raw, selectors: old } = needed(run.before, 'the message from before');
      if (selectors.some((one) => old.includes(one)))
        throw new SelkieError('unsafe', `a selector was used twice: ${selectors.join(', ')}`);
      await verify(run, await sign(run, 'after'), selectors);
      await verify(run, raw, old);
    },
  },
];

/** What is taken away again, whatever happened before; each by itself. */
export const ends: readonly Step[] = [
  {
    title: 'the agent is stopped',
    shows: () => 'kill',
    run: async ({ agent }) => {
      if (agent === undefined || agent.exitCode !== null || agent.signalCode !== null) return;
      agent.kill('SIGTERM');
      await once(agent, 'exit');
    },
  },
  {
    title: 'the stack is destroyed, with its ledger, keys and logs',
    shows: (options) => `npx cdk destroy --force ${cdkArgs(options, 'fleet.yaml').join(' ')}`,
    run: async (run) => {
      const fleetFile = join(run.folder, 'fleet.yaml');
      if (run.zone === undefined) return;
      await program(run, 'node_modules/aws-cdk/bin/cdk', ['destroy', '--force', ...cdkArgs(run, fleetFile)]);
    },
  },
  {
    title: 'its secrets are deleted',
    shows: ({ stackName }) => `aws secretsmanager delete-secret, of all below ${stackName}/`,
    run: async (run) => {
      const count = await removeSecrets(new SecretsManagerClient({ region: run.region }), run.stackName);
      run.say(`    ${count} secrets`);
    },
  },
  {
    title: 'the hosted zone is deleted',
    shows: () => 'aws route53 delete-hosted-zone',
    run: async (run) => {
      if (run.zone !== undefined)
        await removeZone(new Route53Client({ region: run.region }), run.zone, run.stackName);
    },
  },
];
