// `npm run zone-role -- --zone example.jp > zone-role.yaml`: the template of zone-role.ts, for the administrators of the zone's
// account. Reads the fleet file; writes to the standard output.

import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { describe, SelkieError } from '../core/errors.ts';
import { dnsName } from '../fleet/name.ts';
import { readFleet } from '../fleet/read.ts';
import { zoneRoleTemplate } from './zone-role.ts';

const usage = `Prints the CloudFormation template of the role that lets Selkie change a zone in another account.

  npm run -s zone-role -- --zone ZONE [--fleet FILE] [--stack NAME] > zone-role.yaml

  --zone   a zone of the fleet file that has a role; the template is for all zones under that role
  --fleet  the fleet file (fleet.yaml)
  --stack  the name of Selkie's stack (selkie)

Deploy it in the zone's account:

  aws cloudformation deploy --template-file zone-role.yaml --stack-name selkie-zones \\
    --capabilities CAPABILITY_NAMED_IAM --parameter-overrides ControlPlaneAccount=SELKIE-S-ACCOUNT
`;

try {
  const { values } = parseArgs({
    options: {
      zone: { type: 'string' },
      fleet: { type: 'string', default: 'fleet.yaml' },
      stack: { type: 'string', default: 'selkie' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) process.stdout.write(usage);
  else if (values.zone === undefined) throw new SelkieError('invalid', `--zone is missing.\n\n${usage}`);
  else {
    const named = dnsName(values.zone);
    if ('wrong' in named) throw new SelkieError('invalid', `--zone '${values.zone}' ${named.wrong}`);
    const template = zoneRoleTemplate(readFleet(values.fleet), named.name, values.stack);
    // YAML 1.1, as CloudFormation reads it: there `2012-10-17` without quotes would be a date.
    process.stdout.write(stringify(template, { version: '1.1' }));
  }
} catch (error) {
  if (!(error instanceof SelkieError) && !(error instanceof TypeError)) throw error;
  process.stderr.write(`zone-role: ${describe(error)}\n`);
  process.exitCode = error instanceof TypeError ? 2 : 1;
}
