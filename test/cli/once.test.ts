// The main job as a newcomer meets it: `npm start -- --once`.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { selkie } from '../tools/selkie.ts';

it('provisions, rotates, and every message verifies by mailauth', async () => {
  const { status, stdout, stderr } = await selkie('up', '--once', '--json');
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const report = JSON.parse(stdout);
  expect(report.ok).toBe(true);
  expect(report.rotationMs).toBeGreaterThan(0);
  const [domain] = report.domains;
  expect(domain.domain).toBe('mail.dev.example.jp');
  expect(domain.selectors).toHaveLength(4);
  const signed = (when: string) =>
    domain.messages
      .filter((m: { when: string }) => m.when === when)
      .map((m: { selector: string }) => m.selector);
  expect(signed('before')).toEqual(domain.selectors.slice(0, 2));
  expect(signed('after')).toEqual(domain.selectors.slice(2));
  expect(domain.messages.every((m: { result: string }) => m.result === 'pass')).toBe(true);
  expect(domain.messages).toHaveLength(6);
}, 120_000);

it('prints the report for people', async () => {
  const { status, stdout } = await selkie('up', '--once');
  expect(status).toBe(0);
  expect(stdout).toContain('every message verifies (mailauth)');
  expect(stdout).not.toContain('PRIVATE KEY');
}, 120_000);

it('does not wait for somebody at a panel', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'selkie-once-'));
  const fleet = join(dir, 'fleet.yaml');
  writeFileSync(fleet, 'domains:\n  example.jp:\nzones:\n  example.jp: { provider: manual }\npools: [mx]\n');
  const { status, stderr } = await selkie('up', '--once', '--fleet', fleet);
  rmSync(dir, { recursive: true });
  expect(status).toBe(1);
  expect(stderr).toContain('zone example.jp waits for somebody at its panel: leave --once out');
});

it('says what is wrong with a fleet file, where, and how to mend it', async () => {
  const { status, stderr } = await selkie('up', '--once', '--fleet', 'no-such.yaml');
  expect(status).toBe(1);
  expect(stderr).toContain('no-such.yaml');
});
