// Mutation testing of core/: which changes of the code does no test notice? `npm run mutation`, or of some files
// `npm run mutation -- --mutate 'core/key/*.ts'`. Only the tests of core/ count (vitest.mutation.config.ts). Results are
// kept in reports/, so that the next run tests only what has changed; `--force` tests all anew.

export default {
  mutate: ['core/**/*.ts'],
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'vitest.mutation.config.ts', related: false },
  coverageAnalysis: 'perTest',
  concurrency: 2,
  incremental: true,
  incrementalFile: 'reports/mutation-incremental.json',
  jsonReporter: { fileName: 'reports/mutation.json' },
  reporters: ['clear-text', 'json', 'progress-append-only'],
  clearTextReporter: { allowColor: false, reportTests: false },
  allowConsoleColors: false,
  tempDirName: '.stryker-tmp',
  thresholds: { high: 95, low: 90, break: null },
};
