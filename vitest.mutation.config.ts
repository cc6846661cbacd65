// The tests that stryker.config.mjs runs for each mutant: those of core/, without those that start programs.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/core/**/*.test.ts'],
    exclude: ['**/programs.test.ts', 'test/core/{spf,dmarc}/oracles.test.ts'],
    testTimeout: 30_000,
  },
});
