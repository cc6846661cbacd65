// The API of a deployment on AWS: found by its URL or as the output of its stack, and spoken to with signed requests
// (execute-api, which is API Gateway).

import { SelkieError } from '../core/errors.ts';
import { type Account, credentialTrouble, openAccount } from './aws-account.ts';
import type { Door, Refusal } from './client.ts';

export interface AwsPlace {
  /** The stack's output ApiUrl; absent: asked of CloudFormation. */
  readonly api?: string | undefined;
  /** The stack's name. */
  readonly stack: string;
  readonly profile?: string | undefined;
  readonly region?: string | undefined;
}

const parseUrl = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plain = url !== undefined && url.search === '' && url.hash === '' && url.username === '';
  if (!plain || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw new SelkieError(
      'invalid',
      `"${text}" is no URL of an API: copy the stack's output ApiUrl, as in --api https://abc123.execute-api.eu-west-1.amazonaws.com`,
      { field: 'api' },
    );
  // Without TLS whoever listens could read a request, and answer it as the API.
  if (url.protocol === 'http:' && !['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname))
    throw new SelkieError('invalid', `${text} is without TLS: write https://`, { field: 'api' });
  return url;
};

/** `https://ID.execute-api.REGION.amazonaws.com`: its id and region. A domain of one's own says neither. */
export const gatewayOf = (url: URL): { readonly id: string; readonly region: string } | undefined => {
  const found = /^([a-z0-9]+)\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$/.exec(url.hostname);
  return found?.[1] === undefined || found[2] === undefined ? undefined : { id: found[1], region: found[2] };
};

const partitionOf = (region: string): string =>
  region.startsWith('cn-') ? 'aws-cn' : region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };
const unescapeXml = (text: string): string =>
  text.replaceAll(/&(lt|gt|quot|apos|amp);/g, (_, name: string) => entities[name] ?? '');
const textOf = (xml: string, element: string): string | undefined => {
  const found = new RegExp(`<${element}>([^<]*)</${element}>`).exec(xml)?.[1];
  return found === undefined ? undefined : unescapeXml(found);
};

/**
 * An output of the stack, by CloudFormation's DescribeStacks (Query protocol).
 * @param instead what may be told instead of asking, for where it is denied
 * @throws not-found: no such stack, or one without that output; denied; unavailable
 */
export const findOutput = async (
  account: Account,
  stack: string,
  output: string,
  instead = '',
): Promise<string> => {
  const { region } = account;
  const suffix = region.startsWith('cn-') ? '.cn' : '';
  const url = new URL(
    process.env.AWS_ENDPOINT_URL_CLOUDFORMATION ??
      process.env.AWS_ENDPOINT_URL ??
      `https://cloudformation.${region}.amazonaws.com${suffix}/`,
  );
  const body = new URLSearchParams({
    Action: 'DescribeStacks',
    Version: '2010-05-15',
    StackName: stack,
  }).toString();
  const request = {
    method: 'POST',
    url,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body,
  } as const;
  const headers = await account.sign('cloudformation', request);
  const response = await fetch(url, {
    method: 'POST',
    headers,
    body,
    signal: AbortSignal.timeout(15_000),
  }).catch((cause: unknown) => {
    throw new SelkieError(
      'unavailable',
      `CloudFormation does not answer at ${url.host}: is ${region} a region, and this machine on the network?${instead}`,
      { cause },
    );
  });
  const xml = await response.text();
  const mend = `deploy it with npx cdk deploy, or name the right --region, --profile, --stage or --stack`;
  if (!response.ok) {
    const [code = `HTTP ${response.status}`, says = ''] = [textOf(xml, 'Code'), textOf(xml, 'Message')];
    if (code === 'ValidationError' && says.includes('does not exist'))
      throw new SelkieError('not-found', `there is no stack ${stack} in ${region}: ${mend}`);
    if (code === 'AccessDenied' || code === 'AccessDeniedException')
      throw new SelkieError('denied', `${says} Grant cloudformation:DescribeStacks.${instead}`);
    throw (
      credentialTrouble(code) ??
      new SelkieError('unavailable', `CloudFormation does not tell of stack ${stack}: ${code} ${says}`.trim())
    );
  }
  const outputs = xml.split('<member>').filter((member) => textOf(member, 'OutputKey') === output);
  const found = outputs.map((member) => textOf(member, 'OutputValue')).find((value) => value !== undefined);
  if (found !== undefined) return found;
  const status = textOf(xml, 'StackStatus') ?? 'unknown';
  throw new SelkieError(
    'not-found',
    `stack ${stack} in ${region} (${status}) has no output ${output}: ${status === 'CREATE_COMPLETE' || status === 'UPDATE_COMPLETE' ? 'it is no stack of Selkie; name another with --stack' : 'see whether its deployment has ended well'}`,
  );
};

const explain = async (account: Account, url: URL, refusal: Refusal): Promise<SelkieError | undefined> => {
  switch (refusal.status) {
    case 401:
    case 403: {
      if (/expired/i.test(refusal.text)) {
        const expired = credentialTrouble('ExpiredToken');
        if (expired !== undefined) return expired;
      }
      const who = await account.identity();
      const { id = '*', region = account.region } = gatewayOf(url) ?? {};
      return new SelkieError(
        'denied',
        `${who.arn} may not call ${url.origin}: it needs execute-api:Invoke on arn:${partitionOf(region)}:execute-api:${region}:${who.account}:${id}/*. If the API lies in another account or region, choose another --profile or --region`,
      );
    }
    case 404:
      return new SelkieError(
        'not-found',
        `${url.origin} has no such path: is it the ApiUrl of Selkie, and as new as this command?`,
      );
    case 429:
      return new SelkieError('throttled', 'the API takes no more requests for the moment: try again');
    case 500:
    case 502:
    case 503:
    case 504:
      return new SelkieError(
        'unavailable',
        `the API's function failed or took too long (HTTP ${refusal.status}): its log says why; see function-errors in docs/operations.md`,
      );
    default:
      return undefined;
  }
};

/** @throws invalid, not-found, denied, unavailable: with what to do */
export const awsDoor = async ({ api, stack, profile, region }: AwsPlace): Promise<Door> => {
  const given = api === undefined ? undefined : parseUrl(api);
  const gateway = given === undefined ? undefined : gatewayOf(given);
  if (gateway !== undefined && region !== undefined && gateway.region !== region)
    throw new SelkieError(
      'invalid',
      `--region is ${region}, but the API lies in ${gateway.region}: leave --region out`,
      { field: 'region' },
    );
  const account = await openAccount({ profile, region: gateway?.region ?? region });
  const url = given ?? parseUrl(await findOutput(account, stack, 'ApiUrl', ' Or name the API with --api'));
  return {
    url: url.href.replace(/\/+$/, ''),
    sign: (request) => account.sign('execute-api', request),
    // Each look is a request that is paid for, and counts for the API's throttle.
    lookEvery: 3_000,
    silence: 'is its name right, and this machine on the network?',
    explain: (refusal) => explain(account, url, refusal),
  };
};
