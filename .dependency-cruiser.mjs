// The floors of the house: imports run only downward (docs/adr/0001-floors.md).
const floors = {
  core: [],
  contract: ['core'],
  fleet: ['core'],
  engine: ['core', 'contract'],
  adapters: ['core', 'contract', 'engine'],
  functions: ['core', 'contract', 'engine', 'adapters'],
  agent: ['core', 'contract', 'adapters'],
  cli: ['core', 'contract', 'engine', 'adapters', 'fleet', 'agent'],
  infra: ['core', 'fleet'],
  console: ['core', 'contract'],
};
const all = Object.keys(floors);

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^aws-lambda$' } /* types only */,
    },
    ...all.map((floor) => ({
      name: `floor-${floor}`,
      severity: 'error',
      from: { path: `^${floor}/` },
      to: {
        path: `^(${[...all, 'bench', 'test'].filter((f) => f !== floor && !floors[floor].includes(f)).join('|')})/`,
      },
    })),
    {
      name: 'core-has-no-io',
      comment: 'core is pure: no Node, no packages',
      severity: 'error',
      from: { path: '^core/' },
      to: { dependencyTypes: ['core', 'npm', 'npm-dev', 'npm-optional'] },
    },
    {
      name: 'engine-has-no-io',
      comment: 'the engine reaches the world through its ports only',
      severity: 'error',
      from: { path: '^engine/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'console-has-types-only',
      comment:
        'the page speaks to the API: of the contract it takes types, and no code; of core what is pure, as all of it is',
      severity: 'error',
      from: { path: '^console/' },
      to: { path: '^(contract|node_modules/zod)/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'milter-wire-is-pure',
      severity: 'error',
      from: { path: '^agent/milter/(wire|session)' },
      to: { dependencyTypes: ['core'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      extensions: ['.ts', '.tsx', '.js', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types', 'default'],
    },
  },
};
