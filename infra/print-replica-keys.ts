// `npm run replica-keys > replica-keys.yaml`: the template of replica-keys.ts, for the second region. Writes to the standard output.

import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { describe, SelkieError } from '../core/errors.ts';
import { replicaKeysTemplate } from './replica-keys.ts';
import { readSettings } from './settings.ts';

const usage = `Prints the CloudFormation template of the KMS keys' replicas in a second region.

  npm run -s replica-keys -- [--stack NAME] > replica-keys.yaml

  --stack  the name of Selkie's stack (selkie), which was deployed with multiRegion

Deploy it in the second region:

  aws cloudformation deploy --region eu-central-1 --template-file replica-keys.yaml --stack-name selkie-keys \\
    --parameter-overrides VaultKeyArn=ARN BundleKeyArn=ARN
`;

try {
  const { values } = parseArgs({
    options: {
      stack: { type: 'string', default: 'selkie' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const { stackName } = readSettings((name) => (name === 'stack' ? values.stack : undefined));
  // YAML 1.1, as CloudFormation reads it.
  process.stdout.write(values.help ? usage : stringify(replicaKeysTemplate(stackName), { version: '1.1' }));
} catch (error) {
  if (!(error instanceof SelkieError) && !(error instanceof TypeError)) throw error;
  process.stderr.write(`replica-keys: ${describe(error)}\n`);
  process.exitCode = error instanceof TypeError ? 2 : 1;
}
