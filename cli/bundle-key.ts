// `npm run bundle-key -- ARN`: the public half of a KMS key that signs bundles, asked of KMS with the operator's own credentials.
// Its thumbprint is what `selkie-agent enrol --bundle-key` takes: so a host trusts what the account says, and not whoever
// answers at the API's address. Calls kms:GetPublicKey.

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { KMSClient } from '@aws-sdk/client-kms';
import { createKmsSigner } from '../adapters/aws/kms-signer.ts';
import { describe, SelkieError } from '../core/errors.ts';

const usage = `Prints the thumbprint (RFC 7638) of the key that signs bundles.

  npm run -s bundle-key -- ARN [--jwk FILE]

  ARN         the stack's output BundleKeyArn or NextBundleKeyArn
  --jwk FILE  writes the public key too, for hosts that cannot reach the API yet
`;

/** @throws invalid */
const regionOf = (arn: string): string => {
  const region = /^arn:aws[\w-]*:kms:([a-z0-9-]+):\d{12}:key\/[\w-]+$/.exec(arn)?.[1];
  if (region === undefined)
    throw new SelkieError(
      'invalid',
      `"${arn}" is not the ARN of a KMS key: copy the output BundleKeyArn of the stack.`,
    );
  return region;
};

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { jwk: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false } },
  });
  const [arn, ...others] = positionals;
  if (values.help) process.stdout.write(usage);
  else if (arn === undefined || others.length > 0)
    throw new SelkieError('invalid', `one ARN is wanted.\n\n${usage}`);
  else {
    const region = regionOf(arn);
    const key = await createKmsSigner({ client: new KMSClient({ region }), keyId: arn }).publicKey();
    if (values.jwk !== undefined) writeFileSync(values.jwk, `${JSON.stringify(key)}\n`);
    process.stdout.write(`${key.kid}\n`);
  }
} catch (error) {
  process.stderr.write(`bundle-key: ${describe(error)}\n`);
  process.exitCode = error instanceof TypeError ? 2 : 1;
}
