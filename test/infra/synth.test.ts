import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { afterAll, describe, expect, test } from 'vitest';
import { loadCompiledFleet } from '../../core/compiled-fleet.ts';
import { readFleet } from '../../fleet/read.ts';
import { SelkieStack } from '../../infra/stack.ts';
import { context, root, withStandIns } from './synthesised.ts';

describe('the sample fleet, bundled', () => {
  const outdir = mkdtempSync(join(tmpdir(), 'selkie-synth-'));
  afterAll(() => rmSync(outdir, { recursive: true }));
  const fleet = readFleet(join(root, 'fleet.yaml'));
  withStandIns((functions) => {
    const app = new App({ outdir, context });
    new SelkieStack(app, 'selkie', { fleet, functions });
    app.synth();
  });
  const assets = readdirSync(outdir).filter((name) => name.startsWith('asset.'));
  const holds = (file: string): string => {
    const found = assets
      .map((name) => join(outdir, name, file))
      .find((path) => readdirSync(join(path, '..')).includes(file.split('/').at(-1) ?? ''));
    if (found === undefined) throw new Error(`no asset has ${file}`);
    return found;
  };

  test('the layer holds the fleet as functions read it', () => {
    const layer = assets.find((name) => readdirSync(join(outdir, name)).includes('fleet')) ?? '';
    expect(loadCompiledFleet(readFileSync(join(outdir, layer, 'fleet', 'fleet.json'), 'utf8'))).toEqual(
      fleet,
    );
  });

  test('a bundle is one ES module with the SDK in it, and runs', () => {
    const bundle = holds('index.mjs');
    const script = `const { handler } = await import(${JSON.stringify(bundle)}); console.log(await handler());`;
    expect(
      execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).trim(),
    ).toBe('function');
    expect(readdirSync(join(bundle, '..'))).toEqual(['index.mjs']);
  });
});

describe('infra/app.ts', () => {
  const run = (fleet: string): { status: number | null; stderr: string } => {
    try {
      execFileSync(process.execPath, [join(root, 'infra/app.ts')], {
        cwd: root,
        env: { ...process.env, CDK_CONTEXT_JSON: JSON.stringify({ ...context, fleet }) },
        encoding: 'utf8',
        stdio: 'pipe',
      });
      return { status: 0, stderr: '' };
    } catch (error) {
      const { status, stderr } = error as { status: number | null; stderr: string };
      return { status, stderr };
    }
  };

  test('says what is wrong with the fleet in its own words, and fails', () => {
    const { status, stderr } = run('no-such-fleet.yaml');
    expect(status).toBe(1);
    expect(stderr).toContain('The fleet file no-such-fleet.yaml cannot be read');
    expect(stderr).not.toContain('    at ');
  });
});
