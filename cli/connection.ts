// Which API a command speaks to: of this machine, as long as nothing names one on AWS.

import { type Command, Option } from 'commander';
import { SelkieError } from '../core/errors.ts';
import { type Api, type Door, localDoor, openApi } from './client.ts';

/** Where a command is told to go. */
export interface Where {
  readonly dir?: string;
  readonly api?: string;
  readonly stage?: string;
  readonly stack?: string;
  readonly profile?: string;
  readonly region?: string;
  readonly idempotencyKey?: string;
}

/** Options of the program, so that they may stand before or behind the command. */
export const connectionOptions = (): Option[] => [
  new Option('--stage <name>', 'the deployment selkie-NAME on AWS'),
  new Option('--stack <name>', 'its stack, where that has another name (default "selkie")'),
  new Option('--api <url>', 'its API, the output ApiUrl; SELKIE_API says it too'),
  new Option('--profile <name>', 'AWS credentials; by default as of the AWS CLI'),
  new Option('--region <name>', 'AWS region; by default that of the API or the profile'),
];

const stageForm = /^[a-z][a-z0-9-]{0,19}$/;

export const stackOf = ({ stage, stack }: Where): string => {
  if (stage !== undefined && stack !== undefined)
    throw new SelkieError('invalid', '--stage and --stack both name a stack: leave one out');
  if (stage !== undefined && !stageForm.test(stage))
    throw new SelkieError(
      'invalid',
      `--stage ${stage}: small letters, digits and hyphens, at most 20, such as test`,
    );
  return stack ?? (stage === undefined ? 'selkie' : `selkie-${stage}`);
};

const isAws = ({ api, stage, stack, profile, region }: Where): boolean =>
  [api, stage, stack, profile, region].some((told) => told !== undefined);

/** Whether a command goes to AWS. What is told by an option goes before the environment. */
export const goesToAws = (where: Where): boolean =>
  isAws(where) || (where.dir === undefined && (process.env.SELKIE_API ?? '') !== '');

/** For a command that does not ask an API.  @param why a sentence's beginning  @throws invalid: an option of AWS was given */
export const stayHere = (command: Command, why: string): void => {
  if (isAws(command.optsWithGlobals()))
    throw new SelkieError('invalid', `${why}: leave --stage, --stack, --api, --profile and --region out`);
};

/** The state folder of this machine's Selkie. */
export const folderOf = ({ dir }: Where): string => dir ?? '.selkie';

/** The deployment on AWS, where its stack is known. */
export const deploymentOf = (
  where: Where,
):
  | { readonly stack: string; readonly profile?: string | undefined; readonly region?: string | undefined }
  | undefined => {
  const isNamed = where.stage !== undefined || where.stack !== undefined;
  const byUrl = where.api !== undefined || (process.env.SELKIE_API ?? '') !== '';
  if (!goesToAws(where) || (byUrl && !isNamed)) return undefined;
  return { stack: stackOf(where), profile: where.profile, region: where.region };
};

/** Options that make another command go to the same place: ` --stage test`. For commands that are shown to be pasted. */
export const wayTo = (where: Where): string =>
  (['stage', 'stack', 'api', 'profile', 'region', 'dir'] as const)
    .flatMap((name) => (where[name] === undefined ? [] : [` --${name} ${where[name]}`]))
    .join('');

/** The way to where the options lead. @throws invalid, not-found, denied, unavailable: with what to do */
export const connectionDoor = async (where: Where): Promise<Door> => {
  if (!goesToAws(where)) return localDoor(folderOf(where));
  if (where.dir !== undefined)
    throw new SelkieError('invalid', '--dir is of this machine, and the other options of AWS: leave one out');
  const stack = stackOf(where);
  const named = where.stage ?? where.stack;
  if (where.api !== undefined && named !== undefined)
    throw new SelkieError('invalid', '--api says where it is: leave --stage and --stack out');
  const api = where.api ?? (named === undefined ? process.env.SELKIE_API : undefined);
  // Only here: it takes longer to load than all else.
  const { awsDoor } = await import('./aws-client.ts');
  return awsDoor({
    stack,
    api: api === '' ? undefined : api,
    profile: where.profile,
    region: where.region,
  });
};

/** @throws invalid, not-found, denied, unavailable: with what to do */
export const connect = async (command: Command): Promise<Api> => {
  const where: Where = command.optsWithGlobals();
  return openApi(await connectionDoor(where), where.idempotencyKey);
};
