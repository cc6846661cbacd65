// The services, as systemd's own analysis sees them: systemd.exec(5).
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeWith } from '../tools/machine.ts';

const files = join(import.meta.dirname, '../../packaging/files');

describeWith(['systemd-analyze'], 'a service', () => {
  it.each(['selkie-agent.service', 'selkie-agent-opendkim.service'])('%s is exposed little', (unit) => {
    const said = execFileSync(
      'systemd-analyze',
      ['security', '--offline=true', '--no-pager', '--threshold=20', join(files, unit)],
      { encoding: 'utf8' },
    );
    const level = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(said)?.[1]);
    expect(level).toBeLessThanOrEqual(2);
    expect(level).toBeGreaterThan(0);
  });

  it.each(['selkie-agent.service', 'selkie-agent-opendkim.service'])(
    '%s leaves no core with keys in it',
    (unit) => {
      const text = readFileSync(join(files, unit), 'utf8');
      expect(text).toMatch(/^LimitCORE=0$/m);
      expect(text).toMatch(/^UMask=0077$/m);
      expect(text).toMatch(/^StateDirectoryMode=0700$/m);
    },
  );
});
