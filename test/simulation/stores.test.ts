import { instant } from '../../core/time.ts';
import { ledgerContract } from '../contracts/ledger.ts';
import { vaultContract } from '../contracts/vault.ts';
import { createMemoryLedger } from './ledger.ts';
import { createMemoryVault } from './vault.ts';

ledgerContract('the ledger in memory', async () => {
  const ledger = createMemoryLedger(() => instant(Date.now()));
  return { ledger, second: async () => ledger, close: async () => {} };
});

vaultContract('the vault in memory', async () => {
  const vault = createMemoryVault(
    () => instant(Date.now()),
    () => 0,
  );
  return { open: () => vault };
});
