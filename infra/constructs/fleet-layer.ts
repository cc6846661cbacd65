// The compiled fleet as a layer: all functions read the same file, and a change of the fleet leaves their code alone. Where its
// zones are changed by several roles, which role has which zones lies beside it.

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AssetHashType, DockerImage } from 'aws-cdk-lib';
import { Architecture, Code, LayerVersion, Runtime } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { compileFleet } from '../../core/compiled-fleet.ts';
import type { Fleet, FleetZone } from '../../core/policy.ts';

/** Below /opt, where Lambda unpacks layers. */
const place = 'fleet/fleet.json';
const groupsPlace = 'fleet/zone-groups.json';

/** Where a function finds the compiled fleet. */
export const fleetPath = `/opt/${place}`;

/** Where it finds the ids of the zones of each role, in the order of the roles, where there are several. */
export const zoneGroupsPath = `/opt/${groupsPlace}`;

/** @param groups the zones of each role that changes records */
export const fleetLayer = (
  scope: Construct,
  id: string,
  fleet: Fleet,
  groups: readonly (readonly FleetZone[])[],
): LayerVersion => {
  const text = compileFleet(fleet);
  const grouped =
    groups.length < 2 ? undefined : JSON.stringify(groups.map((zones) => zones.map((zone) => zone.id)));
  const code = Code.fromAsset(dirname(fileURLToPath(import.meta.url)), {
    assetHash: createHash('sha256')
      .update(`${text}${grouped ?? ''}`)
      .digest('hex'),
    assetHashType: AssetHashType.CUSTOM,
    bundling: {
      // Never run: the local bundling below writes what there is.
      image: DockerImage.fromRegistry('scratch'),
      local: {
        tryBundle: (folder) => {
          mkdirSync(dirname(join(folder, place)), { recursive: true });
          writeFileSync(join(folder, place), text);
          if (grouped !== undefined) writeFileSync(join(folder, groupsPlace), grouped);
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
