// The templates as CloudFormation's own linter reads them: properties that do not exist, references that lead nowhere, values that
// a service would refuse.
import { execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Template } from 'aws-cdk-lib/assertions';
import { afterAll, expect, test } from 'vitest';
import { replicaKeysTemplate } from '../../infra/replica-keys.ts';
import { zoneRoleTemplate } from '../../infra/zone-role.ts';
import { describeWith, program } from '../tools/machine.ts';
import { makeFolder } from '../tools/temporary-folder.ts';
import { fleetOf, stackOf } from './synthesised.ts';

const zones = (count: number) =>
  fleetOf(Object.fromEntries(Array.from({ length: count }, (_, i) => [`z${i}.jp`, [`z${i}.jp`]])));
const role = { arn: 'arn:aws:iam::222222222222:role/selkie-zones', externalId: 'selkie-example' };

describeWith(['cfn-lint'], 'cfn-lint', () => {
  const folder = makeFolder();
  afterAll(() => rmSync(folder, { recursive: true }));

  /** What it says; empty where nothing. W3005: CDK says of a dependency what the reference beside it says already. */
  const lint = async (name: string, template: unknown): Promise<string> => {
    const file = join(folder, `${name}.json`);
    writeFileSync(file, JSON.stringify(template));
    return promisify(execFile)(program('cfn-lint') ?? 'cfn-lint', ['--ignore-checks', 'W3005', '--', file], {
      timeout: 240_000,
    }).then(
      ({ stdout }) => stdout.trim(),
      (error: { stdout?: string; message: string }) => error.stdout || error.message,
    );
  };

  test.each([
    ['one zone', () => Template.fromStack(stackOf(zones(1))).toJSON()],
    ['500 zones', () => Template.fromStack(stackOf(zones(500))).toJSON()],
    ['2,000 zones', () => Template.fromStack(stackOf(zones(2_000))).toJSON()],
    [
      'every option',
      () =>
        Template.fromStack(
          stackOf(fleetOf({ 'a.jp': ['a.jp'], 'b.jp': ['b.jp'] }, [role]), {
            alarmEmail: 'mail@example.jp',
            stage: 'test',
            ephemeral: true,
            multiRegion: true,
            bundleKeys: { signing: 2, next: 3, retired: ['A'.repeat(43)] },
          }),
        ).toJSON(),
    ],
    [
      'the role of another account',
      () => zoneRoleTemplate(fleetOf({ 'a.jp': ['a.jp'] }, [role]), 'a.jp', 'selkie'),
    ],
    ['the keys of a second region', () => replicaKeysTemplate('selkie')],
  ])(
    'has nothing to say of %s',
    async (name, template) => {
      expect(await lint(name.replaceAll(' ', '-'), template())).toBe('');
    },
    300_000,
  );

  test('would say so', async () => {
    const template = Template.fromStack(stackOf(zones(1))).toJSON() as {
      Resources: Record<string, { Properties: Record<string, unknown> }>;
    };
    for (const [id, { Properties }] of Object.entries(template.Resources))
      if (id.startsWith('LedgerTable')) Properties.PointInTimeRecoverySpecification = { Enabled: true };
    expect(await lint('wrong', template)).toContain("('Enabled' was unexpected)");
  }, 300_000);
});
