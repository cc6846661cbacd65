// `cdk diff` without an account: what a deployment of another fleet would change is seen before it is done.
import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { App } from 'aws-cdk-lib';
import { afterAll, describe, expect, test } from 'vitest';
import { SelkieStack, type SelkieStackProps } from '../../infra/stack.ts';
import { makeFolder } from '../tools/temporary-folder.ts';
import { context, fleetOf, root, withStandIns } from './synthesised.ts';

describe('cdk diff', () => {
  const folder = makeFolder();
  afterAll(() => rmSync(folder, { recursive: true }));
  const one = fleetOf({ 'example.jp': ['example.jp'] });

  /** Assemblies on disk, as `cdk synth` leaves them, of the same code. */
  const synthesise = (stacks: readonly Omit<SelkieStackProps, 'functions'>[]) =>
    withStandIns((functions) =>
      stacks.map((props, index) => {
        const outdir = join(folder, String(index));
        const app = new App({ outdir, context: { ...context, 'aws:cdk:bundling-stacks': [] } });
        new SelkieStack(app, 'selkie', { functions, ...props });
        app.synth();
        return outdir;
      }),
    );
  const [before = '', same = '', wider = '', announced = ''] = synthesise([
    { fleet: one },
    { fleet: one },
    { fleet: fleetOf({ 'example.jp': ['example.jp'], 'b.jp': ['b.jp'] }) },
    { fleet: one, bundleKeys: { signing: 1, next: 2, retired: [] } },
  ]);
  const template = join(before, 'selkie.template.json');

  /** @returns its exit status (0: no differences, 1: some) and what it says */
  const diff = async (before: string, after: string): Promise<{ status: number; said: string }> =>
    promisify(execFile)(
      process.execPath,
      [
        join(root, 'node_modules/aws-cdk/bin/cdk'),
        'diff',
        '--fail',
        '--no-color',
        '--app',
        after,
        '--template',
        before,
        'selkie',
      ],
      {
        timeout: 100_000,
        cwd: folder,
        // No account: neither credentials nor a region.
        env: {
          PATH: process.env.PATH,
          HOME: folder,
          AWS_EC2_METADATA_DISABLED: 'true',
          CDK_DISABLE_CLI_TELEMETRY: 'true',
        },
      },
    ).then(
      ({ stdout, stderr }) => ({ status: 0, said: stdout + stderr }),
      ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
        status: code,
        said: stdout + stderr,
      }),
    );

  test('of the same fleet shows nothing', async () => {
    const { status, said } = await diff(template, same);
    expect(said).toContain('There were no differences');
    expect(status).toBe(0);
  }, 120_000);

  test('of one more zone shows the rights that it brings, and touches neither keys nor ledger', async () => {
    const { status, said } = await diff(template, wider);
    expect(status).toBe(1);
    expect(said).toContain('IAM Statement Changes');
    expect(said).toContain('_domainkey.b.jp');
    expect(said).not.toMatch(/AWS::(KMS|DynamoDB|Lambda::Function)/);
  }, 120_000);

  test('of a succession of bundle keys makes one key and replaces none', async () => {
    const { said } = await diff(template, announced);
    expect(said).toMatch(/\[\+\] AWS::KMS::Key Keys\/Bundles2/);
    expect(said).not.toMatch(/\[[-~]\] AWS::KMS::Key/);
  }, 120_000);

  test('of a deployment that would lose the ledger says so', async () => {
    const other = join(folder, 'other.json');
    const changed = JSON.parse(readFileSync(template, 'utf8')) as {
      Resources: Record<string, { Type: string; Properties: { KeySchema?: unknown[] } }>;
    };
    const table = Object.values(changed.Resources).find(({ Type }) => Type === 'AWS::DynamoDB::Table');
    table?.Properties.KeySchema?.pop();
    writeFileSync(other, JSON.stringify(changed));
    expect((await diff(other, before)).said).toMatch(/AWS::DynamoDB::Table.* replace/);
  }, 120_000);
});
