// Enrolment, the state folder's modes and owners, and whether an agent works on it.
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { enrolmentCheck, runningCheck, stateFolderCheck } from '../../../agent/doctor/state-folder.ts';
import { loadOrMakeIdentity } from '../../../agent/identity.ts';
import { openKeyStore } from '../../../agent/key-store.ts';
import { lockFolder } from '../../../agent/lock.ts';
import { saveSettings } from '../../../agent/settings.ts';
import { trust } from '../../../agent/trust.ts';
import { makeSigner, noon } from '../../tools/sealed.ts';
import { temporaryFolder } from '../../tools/temporary-folder.ts';

let dir: string;
beforeEach(async () => {
  dir = join(temporaryFolder(), 'state');
  await saveSettings(dir, { name: 'mx1.example.com', endpointHost: 'mx1.example.com', pushPort: 8463 });
  await trust(dir, [(await makeSigner()).jwk]);
  await loadOrMakeIdentity(dir, 'mx1.example.com', noon);
  mkdirSync(join(dir, 'store', 'keys'), { recursive: true, mode: 0o700 });
  chmodSync(join(dir, 'store'), 0o700);
  writeFileSync(join(dir, 'store', 'keys', 'one'), 'x', { mode: 0o600 });
});

const problems = async (check: { run(): Promise<{ findings: readonly { problem: string }[] }> }) =>
  (await check.run()).findings.map(({ problem }) => problem);
const uid = process.getuid?.() ?? 0;

describe('enrolment', () => {
  it('is in order', async () => {
    expect(await enrolmentCheck(dir).run()).toEqual({
      findings: [],
      note: 'mx1.example.com, 1 bundle key pinned',
    });
  });

  it('that never was is said, with the command', async () => {
    const { findings } = await enrolmentCheck(join(dir, 'none')).run();
    expect(findings).toEqual([
      {
        problem: expect.stringContaining('not enrolled'),
        mends: [expect.stringContaining('selkie-agent enrol')],
      },
    ]);
  });

  it('is still to come where keys were adopted: that they sign is said', async () => {
    const folder = join(dir, 'adopted-only');
    const store = await openKeyStore(join(folder, 'store'), () => 'incarnation-of-the-test');
    await store.commit({ ...store.state, adopted: new Set(['example.com/old']) });
    expect(await problems(enrolmentCheck(folder))).toEqual([
      'this host signs with the key that it adopted, but is not enrolled: nothing rotates it',
    ]);
  });

  it('without a bundle key, or a damaged one, is said', async () => {
    writeFileSync(join(dir, 'trusted.json'), '{}');
    expect(await problems(enrolmentCheck(dir))).toEqual([expect.stringContaining('trusted.json')]);
  });
});

describe('the state folder', () => {
  const check = () => stateFolderCheck(dir, { name: 'selkie-agent', uid });

  it('is in order', async () => expect(await check().run()).toEqual({ findings: [], note: dir }));

  it('need not be there yet', async () => {
    expect(await stateFolderCheck(join(dir, 'none'), undefined).run()).toMatchObject({
      skipped: expect.stringContaining('yet'),
    });
  });

  it('that others may enter is not', async () => {
    chmodSync(dir, 0o755);
    expect(await check().run()).toEqual({
      note: dir,
      findings: [
        {
          problem: `others may enter ${dir} (mode 755), which holds private keys`,
          mends: [`chmod 700 ${dir}`],
        },
      ],
    });
  });

  it('with a key that others may read is not', async () => {
    const key = join(dir, 'store', 'keys', 'one');
    chmodSync(key, 0o640);
    expect(await problems(check())).toEqual([`others may read ${key}`]);
  });

  it.skipIf(uid !== 0)('with files of root, which the agent is not, is not', async () => {
    chownSync(join(dir, 'agent.json'), 65_534, 65_534);
    expect((await check().run()).findings).toEqual([
      {
        problem: `${join(dir, 'agent.json')} does not belong to selkie-agent: the agent cannot read it`,
        mends: [`chown -R selkie-agent: ${dir}`],
      },
    ]);
    // Without such a user, the folder's owner is who the agent is.
    expect(await problems(stateFolderCheck(dir, undefined))).toHaveLength(1);
  });
});

describe('the agent', () => {
  it('runs or does not', async () => {
    expect((await runningCheck(dir, 'selkie-agent-opendkim').run()).findings).toEqual([
      {
        problem: `no selkie-agent works on ${dir}`,
        mends: ['systemctl start selkie-agent-opendkim', 'journalctl -u selkie-agent-opendkim -n 50'],
      },
    ]);
    const letGo = await lockFolder(dir);
    expect(await runningCheck(dir, 'selkie-agent-opendkim').run()).toEqual({ findings: [], note: 'runs' });
    await letGo();
  });
});
