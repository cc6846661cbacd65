// The CDK app: reads the fleet file, compiles it into the stack, and lets no finding of cdk-nag pass without a reason.
// `npx cdk synth`, `npx cdk deploy`; what else can be chosen, by `-c name=value`, is settings.ts and docs/aws.md.

import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, SelkieError } from '../core/errors.ts';
import { readFleet } from '../fleet/read.ts';
import { readSettings } from './settings.ts';
import { SelkieStack } from './stack.ts';

const app = new App();
try {
  const { fleet, stackName, force, ...settings } = readSettings((name) => app.node.tryGetContext(name));
  const { CDK_DEFAULT_ACCOUNT: account, CDK_DEFAULT_REGION: region } = process.env;
  new SelkieStack(app, stackName, {
    fleet: { ...readFleet(fleet), ...(force === undefined ? {} : { force: { reason: force } }) },
    ...settings,
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
