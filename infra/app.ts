// The CDK app: reads the fleet file, compiles it into the stack, and lets no finding of cdk-nag pass without a reason.
// `npx cdk synth`, `npx cdk deploy`; another fleet by `-c fleet=FILE`, another stack beside the first by `-c stack=NAME`,
// an address for alarms by `-c alarmEmail=ADDRESS`.

import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, SelkieError } from '../core/errors.ts';
import { readFleet } from '../fleet/read.ts';
import { SelkieStack } from './stack.ts';

const text = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise);

const app = new App();
try {
  const fleet = readFleet(text(app.node.tryGetContext('fleet'), 'fleet.yaml'));
  const alarmEmail: unknown = app.node.tryGetContext('alarmEmail');
  const { CDK_DEFAULT_ACCOUNT: account, CDK_DEFAULT_REGION: region } = process.env;
  new SelkieStack(app, text(app.node.tryGetContext('stack'), 'selkie'), {
    fleet,
    ...(typeof alarmEmail === 'string' ? { alarmEmail } : {}),
    // Without credentials the template fits every account and region.
    ...(account === undefined || region === undefined ? {} : { env: { account, region } }),
  });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  app.synth();
} catch (error) {
  if (!(error instanceof SelkieError)) throw error;
  console.error(describe(error));
  process.exitCode = 1;
}
