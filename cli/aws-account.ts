// Who asks, at AWS: credentials and region by the standard chain (environment, profile, single sign-on, container, instance),
// requests signed with them (Signature Version 4), and plain words for what AWS says when it does not take them.

import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { SignatureV4 } from '@smithy/signature-v4';
import { describe, SelkieError } from '../core/errors.ts';
import type { Request } from './client.ts';

type Credentials = Awaited<ReturnType<STSClient['config']['credentials']>>;

export interface Account {
  readonly region: string;
  /** The request's headers and those of its signature.  @throws denied */
  sign(service: string, request: Request): Promise<Readonly<Record<string, string>>>;
  /** The caller's ARN and account, as AWS sees them; needs no permission.  @throws denied */
  identity(): Promise<{ readonly arn: string; readonly account: string }>;
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '');

const signIn = 'sign in again (aws sso login, or however they were made), or choose another --profile';

/** What an error code of AWS about credentials means; undefined: it is about something else. */
export const credentialTrouble = (code: string): SelkieError | undefined => {
  switch (code) {
    case 'ExpiredToken':
    case 'ExpiredTokenException':
      return new SelkieError('denied', `the AWS credentials have expired: ${signIn}`);
    case 'InvalidClientTokenId':
    case 'UnrecognizedClientException':
      return new SelkieError(
        'denied',
        'AWS does not know these credentials: they were deleted, are of another partition, or lack their session token. Choose another --profile',
      );
    case 'SignatureDoesNotMatch':
    case 'InvalidSignatureException':
    case 'RequestExpired':
    case 'RequestTimeTooSkewed':
      return new SelkieError(
        'denied',
        "AWS does not take the signature: the secret access key is not the one of its id, or this machine's clock is wrong by minutes",
      );
    default:
      return undefined;
  }
};

/** @param region as told; absent: of the environment or the profile  @throws invalid: no region is to be found */
const regionOf = async (client: STSClient): Promise<string> => {
  try {
    return await client.config.region();
  } catch (cause) {
    throw new SelkieError(
      'invalid',
      'which AWS region? Name it with --region, AWS_REGION, or region in the profile',
      { cause },
    );
  }
};

/** @throws denied */
const credentialsOf = async (client: STSClient, profile: string | undefined): Promise<Credentials> => {
  const credentials = await client.config.credentials().catch((cause: unknown) => {
    const which = profile === undefined ? '' : ` of profile ${profile}`;
    const mend = profile === undefined ? 'name a profile with --profile or AWS_PROFILE' : 'see aws configure';
    throw new SelkieError(
      'denied',
      `no AWS credentials${which} (${describe(cause).replace(/\.$/, '')}): ${mend}, or sign in with aws sso login`,
      { cause },
    );
  });
  if (credentials.expiration !== undefined && credentials.expiration.getTime() <= Date.now())
    throw new SelkieError(
      'denied',
      `the AWS credentials have expired at ${credentials.expiration.toISOString()}: ${signIn}`,
    );
  return credentials;
};

/** @throws invalid: no region is to be found */
export const openAccount = async (options: {
  readonly profile?: string | undefined;
  readonly region?: string | undefined;
}): Promise<Account> => {
  const { profile } = options;
  // As the AWS CLI has it: the environment goes before the profile's own.
  const told = options.region ?? process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION;
  const client = new STSClient({
    ...(profile === undefined ? {} : { profile }),
    ...(told === undefined ? {} : { region: told }),
    maxAttempts: 2,
  });
  const region = await regionOf(client);
  const credentials = () => credentialsOf(client, profile ?? process.env.AWS_PROFILE);
  return {
    region,
    sign: async (service, { method, url, headers, body }) => {
      const signer = new SignatureV4({ service, region, credentials, sha256: client.config.sha256 });
      const query: Record<string, string[]> = {};
      for (const [name, value] of url.searchParams) query[name] = [...(query[name] ?? []), value];
      const signed = await signer.sign({
        method,
        protocol: url.protocol,
        hostname: url.hostname,
        path: url.pathname,
        query,
        headers: { ...headers, host: url.host },
        ...(body === undefined ? {} : { body }),
      });
      // The client sends the host by itself, and would send it twice.
      const { host: _, ...own } = signed.headers;
      return own;
    },
    identity: async () => {
      await credentials();
      try {
        const { Arn = 'somebody', Account: account = '' } = await client.send(
          new GetCallerIdentityCommand({}),
        );
        return { arn: Arn, account };
      } catch (error) {
        throw (
          credentialTrouble(nameOf(error)) ??
          new SelkieError('denied', `AWS does not say who these credentials are: ${describe(error)}`, {
            cause: error,
          })
        );
      }
    },
  };
};
