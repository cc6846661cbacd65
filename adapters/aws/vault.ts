// The vault of a fleet on AWS: it stores by the layout that the fleet says, and reads, finds, destroys and lists what lies in
// either, so that a change of the layout moves keys as they rotate.
import type { VaultLayout } from '../../core/policy.ts';
import type { Vault } from '../../engine/ports.ts';
import { createSecretStore } from './secret-store.ts';
import { perKeyLayout } from './secrets-vault.ts';
import { createShardIndex } from './shard-index.ts';
import { type ShardedVaultOptions, shardedLayout } from './sharded-vault.ts';
import { vaultOf } from './vault-layout.ts';

export type AwsVaultOptions = ShardedVaultOptions & { readonly layout: VaultLayout };

export const createAwsVault = ({ layout, id, now, ledger, ...options }: AwsVaultOptions): Vault => {
  const secrets = createSecretStore(options);
  const perKey = perKeyLayout(secrets);
  const sharded = shardedLayout({ secrets, index: createShardIndex(ledger), id, now });
  return vaultOf(secrets, layout === 'sharded' ? [sharded, perKey] : [perKey, sharded]);
};
