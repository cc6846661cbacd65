// Which service the agent is, and whose, by what signs on the host.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../agent/config.ts';
import { serviceOf } from '../../agent/service.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

describe('the service of the agent', () => {
  it.each(['builtin', 'rspamd'])('is its own, of its own user, with driver %s', async (driver) => {
    expect(await serviceOf(parseConfig(`driver: ${driver}`, 'test'))).toEqual({
      unit: 'selkie-agent',
      user: 'selkie-agent',
    });
  });

  it.each([
    ['UserID opendkim', 'opendkim'],
    ['UserID milter:mail', 'milter'],
    ['UserID milter.mail', 'milter'],
    ['Mode s', 'opendkim'],
  ])('is the keeper, of OpenDKIM’s user, with an OpenDKIM that has %s', async (line, user) => {
    const file = join(temporaryFolder(), 'opendkim.conf');
    writeFileSync(file, `${line}\n`);
    const config = parseConfig(JSON.stringify({ driver: 'opendkim', opendkim: { config: file } }), 'test');
    expect(await serviceOf(config)).toEqual({ unit: 'selkie-agent-opendkim', user });
  });

  it('is the keeper where opendkim.conf is missing: that is another finding', async () => {
    const file = join(temporaryFolder(), 'none.conf');
    const config = parseConfig(JSON.stringify({ driver: 'opendkim', opendkim: { config: file } }), 'test');
    expect(await serviceOf(config)).toEqual({ unit: 'selkie-agent-opendkim', user: 'opendkim' });
  });
});
