// Which role of the stack's account changes a zone, as the reconcile function is told by its settings.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { zonesRoleOf } from '../../functions/wire.ts';
import { makeFolder } from '../tools/temporary-folder.ts';

const folder = makeFolder();
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'zone-groups.json');
const zone = (id: string) => ({ name: 'example.jp', id });
const [one, two] = ['arn:aws:iam::111111111111:role/one', 'arn:aws:iam::111111111111:role/two'];

test('none: the function’s own rights', () => {
  expect(zonesRoleOf({})(zone('Z1'))).toBeUndefined();
});

test('one: for every zone', () => {
  expect(zonesRoleOf({ SELKIE_ZONES_ROLES: one })(zone('Z1'))).toBe(one);
});

test('several: each for its own zones', () => {
  writeFileSync(file, JSON.stringify([['Z1', 'Z2'], ['Z3']]));
  const roleOf = zonesRoleOf({ SELKIE_ZONES_ROLES: `${one},${two}`, SELKIE_ZONE_GROUPS: file });
  expect(['Z1', 'Z2', 'Z3'].map((id) => roleOf(zone(id)))).toEqual([one, one, two]);
});

test('settings of two deployments are refused', () => {
  writeFileSync(file, JSON.stringify([['Z1']]));
  const settings = { SELKIE_ZONES_ROLES: `${one},${two}`, SELKIE_ZONE_GROUPS: file };
  expect(() => zonesRoleOf(settings)).toThrow('2 roles change records, and zones are given to 1');
  expect(() => zonesRoleOf({ SELKIE_ZONES_ROLES: `${one},${two}` })).toThrow('SELKIE_ZONE_GROUPS is not set');
});
