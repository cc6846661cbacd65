// Which API a command speaks to: of this machine, as long as nothing names one on AWS.

import { type Command, Option } from 'commander';
import { SelkieError } from '../core/errors.ts';
import { type Api, localDoor, openApi } from './client.ts';

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

/** The state folder of this machine's Selkie. */
export const folderOf = ({ dir }: Where): string => dir ?? '.selkie';

/** @throws invalid, not-found, denied, unavailable: with what to do */
export const connect = async (command: Command): Promise<Api> => {
  const where: Where = command.optsWithGlobals();
  if (!goesToAws(where)) return openApi(localDoor(folderOf(where)), where.idempotencyKey);
  if (where.dir !== undefined)
    throw new SelkieError('invalid', '--dir is of this machine, and the other options of AWS: leave one out');
  const stack = stackOf(where);
  const named = where.stage ?? where.stack;
  if (where.api !== undefined && named !== undefined)
    throw new SelkieError('invalid', '--api says where it is: leave --stage and --stack out');
  const api = where.api ?? (named === undefined ? process.env.SELKIE_API : undefined);
  // Only here: it takes longer to load than all else.
  const { awsDoor } = await import('./aws-client.ts');
  const door = await awsDoor({
    stack,
    api: api === '' ? undefined : api,
    profile: where.profile,
    region: where.region,
  });
  return openApi(door, where.idempotencyKey);
};
