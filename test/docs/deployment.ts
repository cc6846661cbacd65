// A deployment of Selkie as the pages of the documentation speak of it, made of imitations: moto for AWS, the real functions, a
// folder that is an operator's clone of this repository, Debian's named with example.jp, and mail hosts of their own, each with
// systemd, Postfix and OpenDKIM. Commands of pages run in the clone, or on a host, as they stand.

import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ChangeResourceRecordSetsCommand } from '@aws-sdk/client-route-53';
import { splitValue } from '../../core/dkim/txt.ts';
import { readFleet } from '../../fleet/read.ts';
import { makeAwsPlace } from '../e2e/aws-place.ts';
import { freePort } from '../tools/free-port.ts';
import { type SmtpMessage, type SmtpSink, startSmtpSink } from '../tools/smtp.ts';
import { type SystemdHost, startSystemdHost } from '../tools/systemd-host.ts';
import { makeClone } from './sandbox.ts';

/** Of Postfix's queue: Debian's package makes them where it is configured, which a container's image may have left out. */
const queueFolders =
  'active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace'.split(
    ' ',
  );

export interface DocumentedHost extends SystemdHost {
  readonly name: string;
  /** Where bundles are pushed to. */
  readonly pushPort: number;
  /** Submits a message of a user of example.jp. @returns it as it arrived */
  mail(): Promise<SmtpMessage>;
}

export interface Deployment {
  /** The clone. */
  readonly folder: string;
  readonly api: string;
  /** Of the bundle key. */
  readonly arn: string;
  readonly nameServer: string;
  /** Runs a command in the clone. @returns what it said; @throws Error where it fails */
  run(command: string): Promise<string>;
  /** `fleet.yaml` is written into the clone, and the functions have it, as after `npx cdk deploy`. */
  deploy(fleet: string): Promise<void>;
  /** A TXT record of the zone that somebody else made. */
  putRecord(name: string, value: string): Promise<void>;
  /** The zone's TXT records: name → value. */
  records(): Promise<Readonly<Record<string, string>>>;
  startHost(name: string): Promise<DocumentedHost>;
  close(): Promise<void>;
}

export const zone = 'example.jp';
/** What fleet files call the zone: ids of an imitation do not look like Route 53's. */
export const documentedId = 'Z0123456789ABC';

const prepare = async (host: SystemdHost, name: string, nameServer: string, sink: SmtpSink) => {
  // Everybody is root there.
  await host.write('/usr/bin/sudo', '#!/bin/sh\nexec "$@"\n');
  await host.does('chmod', '755', '/usr/bin/sudo');
  await host.write('/etc/resolv.conf', `nameserver ${nameServer}\n`);
  await host.does('hostname', name);
  const settings = [
    'maillog_file=/var/log/mail.log',
    'inet_interfaces=loopback-only',
    'inet_protocols=ipv4',
    'smtp_dns_support_level=disabled',
    'smtp_host_lookup=native',
    `default_transport=smtp:[127.0.0.1]:${sink.port}`,
    'mydestination=',
    `myhostname=${name}`,
    `myorigin=${zone}`,
  ];
  const submission = await freePort();
  await host.does('postconf', '-e', ...settings);
  await host.does('postconf', '-MX', 'smtp/inet');
  await host.does('postconf', '-M', `${submission}/inet=127.0.0.1:${submission} inet n - y - - smtpd`);
  await host.does('mkdir', '-p', ...queueFolders.map((folder) => `/var/spool/postfix/${folder}`));
  // As Debian's own start does for what is chrooted.
  await host.write('/etc/hosts', `127.0.0.1 localhost ${name}\n`);
  await host.does('mkdir', '-p', '/var/spool/postfix/etc');
  await host.does(
    'cp',
    '/etc/hosts',
    '/etc/resolv.conf',
    '/etc/nsswitch.conf',
    '/etc/services',
    '/var/spool/postfix/etc',
  );
  await host.does('postfix', 'set-permissions');
  await host.does('postfix', 'start');
};

export const openDeployment = async (): Promise<Deployment> => {
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const one of closers.splice(0).toReversed()) await one();
  };
  // Name servers answer at port 53: an address of loopback that nobody else has.
  const nameServer = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(2, 255)}`;
  const place = await makeAwsPlace({
    zones: [{ name: zone }],
    domains: [],
    hosts: [],
    dns: { address: nameServer, port: 53 },
  });
  closers.push(() => place.close());
  const { id: zoneId = '', client } = place.zones.get(zone) ?? {};
  if (client === undefined) throw new Error('no zone');
  const folder = makeClone();
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  const sink = await startSmtpSink();
  closers.push(() => sink.close());

  let refreshing: Promise<void> = Promise.resolve();
  /** named shows what Route 53 holds; one after the other. */
  const refresh = (): Promise<void> => {
    refreshing = refreshing.then(() => place.refresh());
    return refreshing;
  };

  /** Stands in for EventBridge and SQS: what is due is done, one batch after the other. */
  let pumping: Promise<void> | undefined;
  const pump = (): void => {
    let going = true;
    const work = (async () => {
      while (going) {
        await place.functions.tick();
        const { received } = await place.deliver();
        await refresh();
        if (received === 0) await sleep(100);
      }
    })();
    // Whoever waits for it hears of it.
    work.catch(() => undefined);
    pumping = work;
    stopPump = async () => {
      going = false;
      await work;
    };
  };
  let stopPump = async (): Promise<void> => pumping;
  closers.push(() => stopPump());

  const run: Deployment['run'] = async (command) => {
    const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
    const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', command], {
      cwd: folder,
      env: { ...env, AWS_DEFAULT_REGION: 'eu-west-1', CDK_DISABLE_CLI_TELEMETRY: 'true' },
      timeout: 120_000,
      maxBuffer: 1 << 24,
    });
    return stdout;
  };
  const arn = `arn:aws:kms:eu-west-1:123456789012:key/${place.firstKey.id}`;
  const outputs = { ApiUrl: { Value: `${place.url}/` }, BundleKeyArn: { Value: arn } };
  writeFileSync(
    join(folder, 'stack.json'),
    JSON.stringify({ Resources: { Topic: { Type: 'AWS::SNS::Topic' } }, Outputs: outputs }),
  );
  await run(
    `aws --endpoint-url ${place.moto.url} cloudformation create-stack --stack-name selkie --template-body file://stack.json`,
  );

  return {
    folder,
    api: place.url,
    arn,
    nameServer: `${nameServer}:53`,
    run: (command) => run(command.replace(/^aws /, `aws --endpoint-url ${place.moto.url} `)),
    async deploy(fleet) {
      const file = join(folder, 'fleet.yaml');
      writeFileSync(file, fleet);
      await stopPump();
      const read = readFleet(file);
      const zones = new Map([...read.zones].map(([name, each]) => [name, { ...each, id: zoneId }]));
      await place.deploy(() => ({ ...read, zones }));
      pump();
    },
    async putRecord(name, value) {
      const Value = splitValue(value)
        .map((each) => `"${each}"`)
        .join(' ');
      const ResourceRecordSet = { Name: name, Type: 'TXT' as const, TTL: 60, ResourceRecords: [{ Value }] };
      await client.send(
        new ChangeResourceRecordSetsCommand({
          HostedZoneId: zoneId,
          ChangeBatch: { Changes: [{ Action: 'CREATE', ResourceRecordSet }] },
        }),
      );
      await refresh();
    },
    async records() {
      const lines = [...(await place.txtLines()).values()].flat();
      return Object.fromEntries(
        lines.map((line) => [
          line.split('. ')[0] ?? '',
          [...line.matchAll(/"([^"]*)"/g)].map(([, text]) => text).join(''),
        ]),
      );
    },
    async startHost(name) {
      const host = await startSystemdHost();
      let ended = false;
      const end = async (): Promise<void> => {
        if (ended) return;
        ended = true;
        await host.run(['postfix', 'stop']);
        await host.close();
      };
      closers.push(end);
      await prepare(host, name, nameServer, sink);
      return {
        ...host,
        name,
        close: end,
        pushPort: await freePort(),
        async mail() {
          const before = sink.messages.length;
          const text = `From: someone@${zone}\nTo: you@other.example\nSubject: hello\n\nGood day.\n`;
          const { status, err } = await host.run(
            ['sendmail', '-f', `someone@${zone}`, 'you@other.example'],
            text,
          );
          if (status !== 0) throw new Error(err);
          const [message] = await sink.received(before + 1, 90_000).then(
            (messages) => messages.slice(before),
            async (error: unknown) => {
              const { out } = await host.run(['tail', '-n', '40', '/var/log/mail.log']);
              throw new Error(`${String(error)}\n${out}`);
            },
          );
          if (message === undefined) throw new Error('no message');
          return message;
        },
      };
    },
    close,
  };
};

/** The package that a page has had made, as `packaging/deb.ts` prints where it is. */
export const packageIn = (said: string): Buffer => readFileSync(/^(\/\S+\.deb)/m.exec(said)?.[1] ?? '');
