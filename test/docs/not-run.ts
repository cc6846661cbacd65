// The one list of commands on pages that no test runs, each with its reason. They are held against what their programs say of
// themselves (known-commands.ts), and what can be looked at in their place is.

export interface NotRun {
  readonly command: string;
  readonly why: string;
}

/** Every form of `cdk deploy` is synthesised with the same options instead: what CloudFormation would be handed is made. */
const noCloudFormation =
  'CDK would hand the template to CloudFormation, and no imitation makes its resources (Lambda, HTTP API, Scheduler, custom resources)';

export const notRun: readonly NotRun[] = [
  { command: 'npm ci', why: 'the test runs in a clone that has done it: .ci/run does, before all tests' },
  { command: 'npm ci && npm test', why: 'it is what .ci/run does, this test included' },
  { command: 'npx cdk bootstrap', why: noCloudFormation },
  { command: 'npx cdk deploy', why: noCloudFormation },
  { command: 'npx cdk deploy -c alarmEmail=you@example.jp', why: noCloudFormation },
  { command: 'npx cdk deploy -c fleet=fleet.yaml', why: noCloudFormation },
  { command: 'npx cdk destroy', why: noCloudFormation },
];
