// The public hosted zones of an AWS account, for the fleet file. Calls route53:ListHostedZones.
import { paginateListHostedZones, Route53Client } from '@aws-sdk/client-route-53';
import { toSelkieError } from '../../adapters/aws/errors.ts';
import { dnsName } from '../../fleet/name.ts';
import type { Zone } from './answers.ts';

/** @throws denied, unavailable, throttled  */
export const hostedZones = async (options: {
  readonly profile?: string | undefined;
  readonly region?: string | undefined;
}): Promise<readonly Zone[]> => {
  const client = new Route53Client({
    // Route 53 is one for the whole partition; the SDK only wants some region of it.
    region: options.region ?? process.env.AWS_REGION ?? process.env.AWS_DEFAULT_REGION ?? 'us-east-1',
    ...(options.profile === undefined ? {} : { profile: options.profile }),
  });
  const zones: Zone[] = [];
  try {
    for await (const { HostedZones = [] } of paginateListHostedZones({ client }, {}))
      for (const { Name = '', Id = '', Config } of HostedZones) {
        const found = dnsName(Name);
        if (Config?.PrivateZone !== true && 'name' in found)
          zones.push({ name: found.name, id: Id.replace('/hostedzone/', '') });
      }
  } catch (error) {
    throw toSelkieError(error, 'Listing the hosted zones of Route 53');
  }
  return zones;
};
