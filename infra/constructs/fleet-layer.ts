// The compiled fleet as a layer: all functions read the same file, and a change of the fleet leaves their code alone.

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AssetHashType, DockerImage } from 'aws-cdk-lib';
import { Architecture, Code, LayerVersion, Runtime } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { compileFleet } from '../../core/compiled-fleet.ts';
import type { Fleet } from '../../core/policy.ts';

/** Below /opt, where Lambda unpacks layers. */
const place = 'fleet/fleet.json';

/** Where a function finds the compiled fleet. */
export const fleetPath = `/opt/${place}`;

export const fleetLayer = (scope: Construct, id: string, fleet: Fleet): LayerVersion => {
  const text = compileFleet(fleet);
  const code = Code.fromAsset(dirname(fileURLToPath(import.meta.url)), {
    assetHash: createHash('sha256').update(text).digest('hex'),
    assetHashType: AssetHashType.CUSTOM,
    bundling: {
      // Never run: the local bundling below writes the one file there is.
      image: DockerImage.fromRegistry('scratch'),
      local: {
        tryBundle: (folder) => {
          mkdirSync(dirname(join(folder, place)), { recursive: true });
          writeFileSync(join(folder, place), text);
          return true;
        },
      },
    },
  });
  return new LayerVersion(scope, id, {
    code,
    description: `Selkie: fleet of ${new Date(fleet.version).toISOString()}`,
    compatibleRuntimes: [Runtime.NODEJS_24_X],
    compatibleArchitectures: [Architecture.ARM_64],
  });
};
