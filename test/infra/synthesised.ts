// Stacks for tests. Handlers are stand-ins where a test is about the template: bundling the real ones takes longer and
// says nothing about it.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { defaultPolicy, type Fleet, type FleetDomain, type FleetZone } from '../../core/policy.ts';
import { SelkieStack, type SelkieStackProps } from '../../infra/stack.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The feature flags that a deployment has. */
export const { context } = JSON.parse(readFileSync(join(root, 'cdk.json'), 'utf8')) as {
  context: Record<string, unknown>;
};

/** Runs `use` with a folder of handlers; CDK wants them below the root. */
export const withStandIns = <T>(use: (functions: string) => T): T => {
  mkdirSync(join(root, 'dist'), { recursive: true });
  const folder = mkdtempSync(join(root, 'dist', 'stand-in-'));
  try {
    for (const name of ['tick', 'reconcile', 'api', 'restore', 'fleet-guard', 'reports']) {
      mkdirSync(join(folder, name));
      writeFileSync(
        join(folder, name, 'handler.ts'),
        "import { Route53Client } from '@aws-sdk/client-route-53';\nexport const handler = async (): Promise<string> => typeof new Route53Client({}).send;\n",
      );
    }
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
};

/** `domains` maps a zone to its domains. Zone `i` has the id `Z…i`. */
export const fleetOf = (
  domains: Readonly<Record<string, readonly string[]>>,
  roles: FleetZone['role'][] = [],
): Fleet => ({
  version: 1_700_000_000_000,
  pools: ['outbound'],
  hosts: new Map(),
  zones: new Map(
    Object.keys(domains).map((name, index) => {
      const role = roles[index];
      const id = `Z${String(index).padStart(20, '0')}`;
      return [name, { name, id, ...(role === undefined ? {} : { role }) }];
    }),
  ),
  domains: new Map(
    Object.entries(domains).flatMap(([zone, names]) =>
      names.map((domain): [string, FleetDomain] => [
        domain,
        { domain, zone, pool: 'outbound', policy: defaultPolicy, leaving: false },
      ]),
    ),
  ),
});

/** Without bundling. */
export const stackOf = (
  fleet: Fleet,
  more: Omit<SelkieStackProps, 'fleet' | 'functions'> = {},
): SelkieStack =>
  withStandIns(
    (functions) =>
      new SelkieStack(new App({ context: { 'aws:cdk:bundling-stacks': [] } }), 'selkie', {
        fleet,
        functions,
        ...more,
      }),
  );

export const templateOf = (fleet: Fleet): Template => Template.fromStack(stackOf(fleet));

export interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: unknown;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export const list = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value]);

/** `arn:<AWS::Partition>:…` */
export const plain = (value: unknown): string =>
  typeof value === 'string'
    ? value
    : typeof value === 'object' && value !== null && 'Ref' in value
      ? `<${String(value.Ref)}>`
      : typeof value === 'object' && value !== null && 'Fn::Join' in value
        ? (value['Fn::Join'] as [string, unknown[]])[1].map(plain).join('')
        : typeof value === 'object' && value !== null && 'Fn::GetAtt' in value
          ? `<${(value['Fn::GetAtt'] as string[]).join('.')}>`
          : JSON.stringify(value);

/** The statements of every policy whose roles' names begin with `role`. */
export const statementsOf = (template: Template, role: string): Statement[] =>
  Object.values({
    ...template.findResources('AWS::IAM::Policy'),
    ...template.findResources('AWS::IAM::ManagedPolicy'),
  })
    .filter((policy) => policy.Properties.Roles.some((one: unknown) => plain(one).startsWith(`<${role}`)))
    .flatMap((policy) => policy.Properties.PolicyDocument.Statement as Statement[]);
