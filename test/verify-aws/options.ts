// The command line of `npm run verify:aws`, and what it refuses before anything is done.

import { parseArgs } from 'node:util';
import { SelkieError } from '../../core/errors.ts';

export interface Options {
  /** Names everything that is made: stack `selkie-<stage>`, secrets `selkie-<stage>/…`. */
  readonly stage: string;
  readonly stackName: string;
  readonly region: string;
  /** The account that is meant; the credentials must be of it. */
  readonly account: string | undefined;
  /** Parent of the hosted zone that is made; nothing is asked of whoever owns it. */
  readonly parent: string;
  readonly dryRun: boolean;
  /** Nothing is destroyed at the end. */
  readonly keep: boolean;
}

export const usage = `Deploys Selkie to an AWS account, rotates a domain there, checks what came of it, and destroys it all.

  npm run verify:aws -- --stage test --account 123456789012 [--region eu-west-1] [--parent NAME] [--keep] [--dry-run]

  --stage    names what is made: the stack selkie-STAGE and its secrets; small letters, digits, hyphens
  --account  the account that you mean; your credentials must be of it
  --region   default: AWS_REGION
  --parent   the hosted zone is made below this name (selkie-verify.test); its name servers are asked directly, so nobody
             has to delegate it
  --keep     leaves everything as it is at the end
  --dry-run  prints the steps, and does nothing

It takes about 40 minutes, and costs less than a dollar. It needs credentials that may deploy with CDK (\`npx cdk bootstrap\`
once), and port 53 to the name servers of Route 53. Where a step fails, the rest is destroyed all the same.
`;

const refuse = (field: string, says: string): SelkieError => new SelkieError('invalid', says, { field });

/** @returns undefined where help was asked for. @throws invalid; TypeError for an option that is none */
export const readOptions = (
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Options | undefined => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      stage: { type: 'string' },
      account: { type: 'string' },
      region: { type: 'string' },
      parent: { type: 'string', default: 'selkie-verify.test' },
      keep: { type: 'boolean', default: false },
      'dry-run': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const { stage, account, parent, keep } = values;
  const dryRun = values['dry-run'];
  if (stage === undefined)
    throw refuse('stage', '--stage is missing: name the stage to deploy, such as test.');
  if (!/^[a-z][a-z0-9-]{0,19}$/.test(stage))
    throw refuse('stage', `--stage ${stage}: small letters, digits and hyphens, at most 20.`);
  if (/^prod/.test(stage))
    throw refuse(
      'stage',
      `--stage ${stage}: everything of the stage is destroyed at the end; name one that is a test.`,
    );
  if (account !== undefined && !/^\d{12}$/.test(account))
    throw refuse('account', `--account ${account}: an account has twelve digits.`);
  if (account === undefined && !dryRun)
    throw refuse(
      'account',
      '--account is missing: say which account you mean, so that no other is deployed to.',
    );
  if (!/^[a-z0-9-]+(\.[a-z0-9-]+)+$/.test(parent))
    throw refuse('parent', `--parent ${parent} is not a DNS name.`);
  const region = values.region ?? environment.AWS_REGION ?? environment.AWS_DEFAULT_REGION;
  if (region === undefined) throw refuse('region', '--region is missing, and AWS_REGION is not set.');
  return { stage, stackName: `selkie-${stage}`, region, account, parent, dryRun, keep };
};
