// The whole of Selkie on AWS, in one stack: what is kept (keys, ledger), what works (three functions), what sets them to
// work (clock, queue, API), and what tells people (alarms). Which zones the functions may change comes from the fleet.

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CfnOutput, Duration, RemovalPolicies, Stack, type StackProps, Tags } from 'aws-cdk-lib';
import { ManagedPolicy } from 'aws-cdk-lib/aws-iam';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type { Construct } from 'constructs';
import type { Fleet } from '../core/policy.ts';
import {
  markReplaced,
  readDisclosed,
  readLedger,
  readMails,
  readSecrets,
  readTrail,
  secretsArn,
  sendUnits,
  signBundles,
  writeDisclosed,
  writeLedger,
  writeSecrets,
} from './access.ts';
import { acknowledgeWildcard } from './acknowledge.ts';
import { Daily } from './constructs/daily.ts';
import { Disclosed } from './constructs/disclosed.ts';
import { Edge, type EdgeProps } from './constructs/edge.ts';
import { FleetGuard } from './constructs/fleet-guard.ts';
import { fleetLayer, fleetPath } from './constructs/fleet-layer.ts';
import { HttpApi } from './constructs/http-api.ts';
import { Keys } from './constructs/keys.ts';
import { Ledger } from './constructs/ledger.ts';
import { Minute } from './constructs/minute.ts';
import { ReportMails } from './constructs/reports.ts';
import { Watch } from './constructs/watch.ts';
import { WorkQueue } from './constructs/work-queue.ts';
import { ZoneRoles } from './constructs/zone-roles.ts';
import { type BundleKeys, firstBundleKey, firstVaultKey, type VaultKeys } from './settings.ts';
import { assumeRoles, listAccess, type RecordAccess, recordAccess, zonesInUse } from './zone-access.ts';

export interface SelkieStackProps extends StackProps {
  readonly fleet: Fleet;
  /** The folder of `tick/handler.ts`, `reconcile/handler.ts` and `api/handler.ts`; the product's own by default. */
  readonly functions?: string;
  /** Hears the alarms, once it has confirmed. */
  readonly alarmEmail?: string;
  /** Said by the tags; `production` by default. */
  readonly stage?: string;
  /** A test: ledger, keys and logs go with the stack. By default they stay. */
  readonly ephemeral?: boolean;
  /** The KMS keys may be replicated to other regions. */
  readonly multiRegion?: boolean;
  /** By default the first signs. */
  readonly bundleKeys?: BundleKeys;
  /** By default the first encrypts. */
  readonly vaultKeys?: VaultKeys;
  /** The table that a backup was restored to; the stack's own by default. */
  readonly ledgerTable?: string;
  /** An empty ledger stands in for one that is lost: nothing begins in it before `selkie restore`. */
  readonly ledgerLost?: boolean;
  /** How much of Route 53's quota may be spent: 0.1 to 1; 0.8 by default. */
  readonly quotaShare?: number;
  readonly quotaRequests?: number;
  /** The domain at which SES receives DMARC aggregate reports; absent: none comes by mail. */
  readonly reports?: string;
}

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Roles that change the records of one account's zones: their policies are up to 66 KB of the template each, and CloudFormation
 * takes 1 MB.
 */
const zoneRolesLimit = 14;
/** From here on the template is written without indentation, which would be more than half of it. */
const manyZones = 500;

/** How long one invocation may work on its units. */
const reconcileTimeout = Duration.minutes(2);

export class SelkieStack extends Stack {
  constructor(
    scope: Construct,
    id: string,
    {
      fleet,
      functions = join(root, 'functions'),
      alarmEmail,
      stage = 'production',
      ephemeral = false,
      multiRegion = false,
      bundleKeys = firstBundleKey,
      vaultKeys = firstVaultKey,
      ledgerTable,
      ledgerLost = false,
      quotaShare,
      quotaRequests,
      reports,
      ...props
    }: SelkieStackProps,
  ) {
    super(scope, id, {
      description: 'Selkie: rotates DKIM keys',
      suppressTemplateIndentation: fleet.zones.size > manyZones,
      ...props,
    });
    const secretPrefix = this.stackName;
    const keys = new Keys(this, 'Keys', { secretPrefix, bundleKeys, vaultKeys, multiRegion });
    const ledger = new Ledger(this, 'Ledger', {
      ephemeral,
      ...(ledgerTable === undefined ? {} : { restored: ledgerTable }),
    });
    const { bucket: disclosed } = new Disclosed(this, 'Disclosed');
    const { queue, dead } = new WorkQueue(this, 'Work', { workerTimeout: reconcileTimeout });
    const access = recordAccess(
      this,
      fleet,
      zonesInUse(fleet).filter(({ role }) => role === undefined),
      zoneRolesLimit,
    );
    const layer = fleetLayer(this, 'Fleet', fleet, access?.roles.map(({ zones }) => zones) ?? []);
    // What another ledger stands in for is to be brought up before anything begins in it.
    const standsIn: Record<string, string> =
      ledgerLost || ledger.replaced !== undefined ? { SELKIE_LEDGER_LOST: 'true' } : {};
    const guarding = new Edge(this, 'FleetGuard', {
      root,
      fleet: layer,
      entry: join(functions, 'fleet-guard', 'handler.ts'),
      description: 'Selkie: compares a new fleet with the ledger, before anything is changed for it',
      memorySize: 1_024,
      timeout: FleetGuard.timeout,
      environment: { SELKIE_TABLE: ledger.table.tableName, SELKIE_FLEET: fleetPath },
      statements: readLedger(ledger),
    });
    const guard = new FleetGuard(this, 'Guard', {
      fleet,
      table: ledger.table.tableName,
      edge: guarding,
    });
    const common = {
      root,
      fleet: layer,
      environment: {
        SELKIE_TABLE: ledger.table.tableName,
        ...standsIn,
        SELKIE_QUEUE_URL: queue.queueUrl,
        SELKIE_SECRET_PREFIX: secretPrefix,
        SELKIE_SECRET_KEY: keys.secrets.keyArn,
        SELKIE_DISCLOSED_BUCKET: disclosed.bucketName,
        SELKIE_BUNDLE_KEY: keys.bundles.keyArn,
        ...(keys.nextBundles === undefined ? {} : { SELKIE_BUNDLE_KEY_NEXT: keys.nextBundles.keyArn }),
        ...(bundleKeys.retired.length === 0
          ? {}
          : { SELKIE_BUNDLE_KEYS_RETIRED: bundleKeys.retired.join(',') }),
        ...(quotaShare === undefined ? {} : { SELKIE_QUOTA_SHARE: String(quotaShare) }),
        ...(quotaRequests === undefined ? {} : { SELKIE_QUOTA_REQUESTS: String(quotaRequests) }),
        SELKIE_FLEET: fleetPath,
      },
    };
    const edge = (
      name: string,
      own: Pick<EdgeProps, 'description' | 'memorySize' | 'timeout' | 'statements'>,
    ): Edge =>
      new Edge(this, name, { ...common, ...own, entry: join(functions, name.toLowerCase(), 'handler.ts') });

    const tick = edge('Tick', {
      description: 'Selkie: sends what is due to the queue',
      memorySize: 512,
      timeout: Duration.seconds(50),
      statements: [...readLedger(ledger), writeLedger(ledger), sendUnits(queue)],
    });
    new Minute(this, 'Minute', tick.function);
    new Daily(this, 'Daily', tick.function);

    const reconcile = edge('Reconcile', {
      description: 'Selkie: brings zones and hosts to what the plan says',
      memorySize: 1_769, // one whole CPU: it makes RSA keys
      timeout: reconcileTimeout,
      statements: [
        ...readLedger(ledger),
        writeLedger(ledger),
        sendUnits(queue),
        ...readSecrets(this, keys.secretsEver, secretPrefix),
        ...writeSecrets(this, keys.secrets, secretPrefix, {
          regions: fleet.vault?.replicas ?? [],
          multiRegion,
        }),
        ...readDisclosed(disclosed),
        writeDisclosed(disclosed),
        ...signBundles(keys.bundles, keys.nextBundles),
      ],
    });
    reconcile.unscoped('Audit', ['secretsmanager:ListSecrets'], {
      because:
        'Secrets Manager lists all secrets or none. Values are not in a list; they are read below our prefix alone.',
    });
    reconcile.function.addEventSource(
      new SqsEventSource(queue, {
        // A cohort across zones takes up to the half of the function's time, and several would not end within it.
        batchSize: 1,
        reportBatchItemFailures: true,
        // So many make RSA keys as fast as Route 53 takes records (docs/adr/0009-scale.md); more would wait for each other.
        maxConcurrency: 24,
      }),
    );
    guard.before(tick, reconcile, ...this.allowZones(reconcile, fleet, access));

    const api = edge('Api', {
      description: "Selkie: operators' requests, and what mail hosts send",
      memorySize: 1_024,
      timeout: Duration.seconds(29), // an HTTP API waits for 30
      statements: [
        ...readLedger(ledger),
        readTrail(ledger),
        writeLedger(ledger),
        sendUnits(queue),
        ...readSecrets(this, keys.secretsEver, secretPrefix),
        ...readDisclosed(disclosed),
        ...signBundles(keys.bundles, keys.nextBundles),
      ],
    });
    const restore = edge('Restore', {
      description: 'Selkie: brings a restored ledger up to the world, when an operator asks for it',
      memorySize: 1_769,
      timeout: Duration.minutes(15),
      statements: [
        ...readLedger(ledger),
        writeLedger(ledger),
        sendUnits(queue),
        ...readSecrets(this, keys.secretsEver, secretPrefix),
        ...(ledger.replaced === undefined ? [] : [markReplaced(ledger.replaced)]),
      ],
    });
    restore.unscoped('Stock', ['secretsmanager:ListSecrets'], {
      because:
        'Secrets Manager lists all secrets or none. Values are not in a list; they are read below our prefix alone.',
    });
    if (ledger.replaced !== undefined)
      restore.function.addEnvironment('SELKIE_TABLE_REPLACED', ledger.replaced.tableName);
    guard.before(api, restore, ...this.allowLists(restore, fleet));
    const mails = reports === undefined ? undefined : new ReportMails(this, 'ReportMails');
    if (mails !== undefined && reports !== undefined) {
      const reader = edge('Reports', {
        description: 'Selkie: takes in DMARC aggregate reports that came by mail',
        memorySize: 1_024,
        timeout: Duration.minutes(2),
        statements: [
          ...readLedger(ledger),
          writeLedger(ledger),
          readMails(mails.mailsArn),
          sendUnits(mails.failed),
        ],
      });
      reader.function.addEnvironment('SELKIE_REPORTS_BUCKET', mails.bucket.bucketName);
      acknowledgeWildcard(
        reader.role,
        mails.mailsArn,
        'SES names each mail as it comes: no template can know their names.',
      );
      mails.receive(reports, reader.function);
      guard.before(reader);
    }
    const http = new HttpApi(this, 'Http', api.function);
    const watch = new Watch(this, 'Watch', {
      name: this.stackName,
      tick,
      reconcile,
      api,
      guard: guarding,
      http: http.api,
      queue,
      dead,
      ...(mails === undefined ? {} : { failedReports: mails.failed }),
      ...(alarmEmail === undefined ? {} : { email: alarmEmail }),
    });

    for (const { role } of [reconcile, api, restore])
      acknowledgeWildcard(
        role,
        secretsArn(this, secretPrefix),
        'Secrets are made at run time, one for each key, all below this prefix: no template can know their names.',
      );

    for (const { role } of [reconcile, api])
      acknowledgeWildcard(
        role,
        `${disclosed.bucketArn}/*`,
        'Of a bucket that holds nothing but what is published: files are named after selectors that do not exist yet.',
      );
    for (const files of ['*.pem', '*/index.json'])
      acknowledgeWildcard(
        reconcile.role,
        `${disclosed.bucketArn}/${files}`,
        'Files are named after domains and selectors that do not exist yet, in a bucket that holds nothing else.',
      );

    new CfnOutput(this, 'ApiUrl', { value: http.url, description: 'For `selkie` and `selkie-agent enrol`' });
    new CfnOutput(this, 'AlarmTopicArn', {
      value: watch.topic.topicArn,
      description: 'Subscribe to it, or deploy with -c alarmEmail=ADDRESS',
    });
    new CfnOutput(this, 'TableName', { value: ledger.table.tableName });
    new CfnOutput(this, 'RestoreFunction', {
      value: restore.function.functionName,
      description: 'For `selkie restore`',
    });
    new CfnOutput(this, 'DisclosedBucketName', {
      value: disclosed.bucketName,
      description: 'Private halves of retired keys, where the fleet says disclose: after-removal',
    });
    new CfnOutput(this, 'QueueUrl', { value: queue.queueUrl });
    for (const [name, key] of [
      ['BundleKeyArn', keys.bundles],
      ['NextBundleKeyArn', keys.nextBundles],
    ] as const)
      if (key !== undefined)
        new CfnOutput(this, name, {
          value: key.keyArn,
          description: 'For `npm run bundle-key -- ARN`, which prints the thumbprint that hosts pin',
        });

    // Dashboards bear tags since lately, and not in every region's CloudFormation.
    const some = { excludeResourceTypes: ['AWS::CloudWatch::Dashboard'] };
    new CfnOutput(this, 'VaultKeyArn', {
      value: keys.secrets.keyArn,
      description: 'The KMS key of the private DKIM keys',
    });

    Tags.of(this).add('project', 'selkie', some);
    Tags.of(this).add('stage', stage, some);
    if (ephemeral) RemovalPolicies.of(this).destroy();
  }

  /** Reads the records of the fleet's zones, in whatever account, and changes none. */
  private allowLists(edge: Edge, fleet: Fleet): readonly ManagedPolicy[] {
    const own = zonesInUse(fleet).filter(({ role }) => role === undefined);
    const { statements, wildcard } = listAccess(this, own);
    const lists = statements.map((statement) => {
      const policy = new ManagedPolicy(this, 'RestoreZones', {
        description: 'Selkie: lists the records of the fleet',
        statements: [statement],
        roles: [edge.role],
      });
      if (wildcard !== undefined)
        acknowledgeWildcard(
          policy,
          wildcard,
          'The fleet has more zones than one statement names. What can be read is what the name servers answer to anybody.',
        );
      return policy;
    });
    const accounts = assumeRoles(fleet, lists.length).map(
      (these, index) =>
        new ManagedPolicy(this, `RestoreAccounts${index + 1}`, {
          description: 'Selkie: roles of the accounts that other zones lie in, to read their records',
          statements: [...these],
          roles: [edge.role],
        }),
    );
    return [...lists, ...accounts];
  }

  /** Changes the records of the fleet's zones: those of this account, and by their roles those of others. */
  private allowZones(edge: Edge, fleet: Fleet, access: RecordAccess | undefined): readonly ManagedPolicy[] {
    const zones = access === undefined ? undefined : new ZoneRoles(this, 'Zones', { edge, access });
    const accounts = assumeRoles(fleet, zones?.own ?? 0).map(
      (statements, index) =>
        new ManagedPolicy(this, `Accounts${index + 1}`, {
          description: 'Selkie: roles of the accounts that other zones lie in',
          statements: [...statements],
          roles: [edge.role],
        }),
    );
    return [...(zones?.policies ?? []), ...accounts];
  }
}
