// Zones that people change, in the fleet file.
import { describe, expect, test } from 'vitest';
import { compileFleet, loadCompiledFleet } from '../../core/compiled-fleet.ts';
import { effectOf } from '../../core/fleet-change.ts';
import { parseFleet } from '../../fleet/read.ts';
import { evidenceUpTo, key, row } from '../core/key/made.ts';

const parse = (zones: string) =>
  parseFleet(`domains:\n  example.com:\nzones:\n${zones}pools: [outbound]\n`, { file: 'f', version: 7 });
const manual = '  example.com: { provider: manual }\n';

test('a manual zone needs no id, and is read back from its compiled form', () => {
  const fleet = parse(manual);
  expect(fleet.zones.get('example.com')).toEqual({ name: 'example.com', id: 'manual', provider: 'manual' });
  expect(loadCompiledFleet(compileFleet(fleet))).toEqual(fleet);
});

test('two of them are no rivals; one of Route 53 is as it was', () => {
  const fleet = parse(
    `${manual}  b.jp: { provider: manual, nameServers: [ns1.dns.ne.jp] }\n  c.jp: { provider: route53, id: Z1 }\n`,
  );
  expect([...fleet.zones.values()]).toEqual([
    { name: 'example.com', id: 'manual', provider: 'manual' },
    { name: 'b.jp', id: 'manual', provider: 'manual', nameServers: ['ns1.dns.ne.jp'] },
    { name: 'c.jp', id: 'Z1' },
  ]);
});

describe('what is wrong, where, and the mend', () => {
  test.each([
    [
      '{ provider: manual, id: Z1 }',
      "zones.example.com.id: 'Z1' is of Route 53, and the provider is manual; leave one of them out",
    ],
    [
      '{ provider: manual, role: { arn: "arn:aws:iam::123456789012:role/r" } }',
      'zones.example.com.role: is of AWS, and the provider is manual; leave it out',
    ],
    ['{ provider: sakura }', "zones.example.com.provider: 'sakura' may be 'route53' or 'manual'"],
    ['{ provider: route53 }', 'or provider: manual, where no program can change the zone'],
  ])('%s', (entry, message) => {
    expect(() => parse(`  example.com: ${entry}\n`)).toThrow(
      expect.objectContaining({ code: 'invalid', message: expect.stringContaining(message) }),
    );
  });
});

test('a zone that moves from Route 53 to a panel while records stand in it is refused', () => {
  const standing = {
    ...row([key('240128e', 'active', { evidence: evidenceUpTo('inSync') })]),
    zone: 'example.com',
    hostedZone: { id: 'Z1' },
  };
  expect(effectOf(standing, parse(manual)).lockedOut).toMatchObject({
    zone: 'example.com',
    why: 'is another hosted zone: manual instead of Z1',
  });
  expect(effectOf({ ...standing, hostedZone: { id: 'manual' } }, parse(manual)).lockedOut).toBeUndefined();
});
