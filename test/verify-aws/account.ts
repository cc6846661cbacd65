// What `npm run verify:aws` does to an account besides its deployments: who it is, a hosted zone of its own, and taking away what a
// stack leaves behind. Touches only what bears the run's own names.

import { randomUUID } from 'node:crypto';
import {
  ChangeResourceRecordSetsCommand,
  CreateHostedZoneCommand,
  DeleteHostedZoneCommand,
  GetHostedZoneCommand,
  ListResourceRecordSetsCommand,
  type Route53Client,
} from '@aws-sdk/client-route-53';
import {
  DeleteSecretCommand,
  ListSecretsCommand,
  type SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { GetCallerIdentityCommand, type STSClient } from '@aws-sdk/client-sts';
import { toSelkieError } from '../../adapters/aws/errors.ts';
import { SelkieError } from '../../core/errors.ts';

/** @throws denied: no credentials, or those of another account than `meant` */
export const requireAccount = async (sts: STSClient, meant: string): Promise<void> => {
  const identity = await sts.send(new GetCallerIdentityCommand({})).catch((error: unknown): never => {
    const known = toSelkieError(error, 'Asking AWS whose credentials these are');
    throw new SelkieError(
      known.code,
      `${known.message}. This deploys to a real account: give it credentials (AWS_PROFILE, aws sso login, or AWS_ACCESS_KEY_ID).`,
    );
  });
  if (identity.Account !== meant)
    throw new SelkieError(
      'denied',
      `These are credentials of account ${identity.Account}, and you named ${meant}: nothing was done.`,
    );
};

export interface Zone {
  readonly name: string;
  readonly id: string;
  readonly nameServers: readonly string[];
}

/** What a zone of ours says of itself: whatever lacks it is not touched. */
const comment = (stackName: string): string => `verify:aws of ${stackName}: may be deleted`;

export const makeZone = async (route53: Route53Client, name: string, stackName: string): Promise<Zone> => {
  const { HostedZone, DelegationSet } = await route53.send(
    new CreateHostedZoneCommand({
      Name: name,
      CallerReference: randomUUID(),
      HostedZoneConfig: { Comment: comment(stackName) },
    }),
  );
  return {
    name,
    id: (HostedZone?.Id ?? '').replace('/hostedzone/', ''),
    nameServers: DelegationSet?.NameServers ?? [],
  };
};

/** The zone and its TXT records. @throws unsafe where the zone is not one that `makeZone` made for this stack */
export const removeZone = async (
  route53: Route53Client,
  zone: Pick<Zone, 'id'>,
  stackName: string,
): Promise<void> => {
  const { HostedZone } = await route53.send(new GetHostedZoneCommand({ Id: zone.id }));
  if (HostedZone?.Config?.Comment !== comment(stackName))
    throw new SelkieError(
      'unsafe',
      `Zone ${zone.id} (${HostedZone?.Name}) is not of this run: it is left as it is.`,
    );
  for (;;) {
    const { ResourceRecordSets = [] } = await route53.send(
      new ListResourceRecordSetsCommand({ HostedZoneId: zone.id }),
    );
    const ours = ResourceRecordSets.filter(({ Type }) => Type === 'TXT');
    if (ours.length === 0) break;
    await route53.send(
      new ChangeResourceRecordSetsCommand({
        HostedZoneId: zone.id,
        ChangeBatch: { Changes: ours.map((set) => ({ Action: 'DELETE', ResourceRecordSet: set })) },
      }),
    );
  }
  await route53.send(new DeleteHostedZoneCommand({ Id: zone.id }));
};

/** Every secret below `<stackName>/`, at once: the KMS key behind them goes with the stack. @returns how many */
export const removeSecrets = async (secrets: SecretsManagerClient, stackName: string): Promise<number> => {
  const names: string[] = [];
  for (let next: string | undefined; ; ) {
    const { SecretList = [], NextToken } = await secrets.send(
      new ListSecretsCommand({
        Filters: [{ Key: 'name', Values: [`${stackName}/`] }],
        IncludePlannedDeletion: true,
        ...(next === undefined ? {} : { NextToken: next }),
      }),
    );
    // The filter is a prefix without regard to case; the name decides.
    names.push(...SecretList.flatMap(({ Name }) => (Name?.startsWith(`${stackName}/`) ? [Name] : [])));
    next = NextToken;
    if (next === undefined) break;
  }
  for (const name of names)
    await secrets
      .send(new DeleteSecretCommand({ SecretId: name, ForceDeleteWithoutRecovery: true }))
      .catch((error: unknown) => {
        // Its deletion is scheduled already.
        if (!(error instanceof Error) || error.name !== 'InvalidRequestException') throw error;
      });
  return names.length;
};
