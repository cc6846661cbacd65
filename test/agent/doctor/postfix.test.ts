// Whether the agent's user may ask Postfix's queue: the answers of id(1) and getent(1) are given here, the real ones are in
// test/packaging.
import { describe, expect, it } from 'vitest';
import { queueAccessCheck } from '../../../agent/doctor/postfix.ts';
import { fakeExec, fakeInstance } from '../postfix/fake.ts';

const exec = fakeExec({ 'getent group postdrop': 'postdrop:x:106:\n', 'getent group none': { code: 2 } });
const service = { unit: 'selkie-agent-opendkim', user: 'opendkim' } as const;
const opendkim = { name: 'opendkim', uid: 115, groups: [121] };
const check = (user: typeof opendkim, group = 'postdrop') =>
  queueAccessCheck(exec, [fakeInstance({ setgid_group: group })], user, service).run();

describe('the queue', () => {
  it('may be asked by who is in its group, and by root', async () => {
    for (const user of [
      { ...opendkim, groups: [121, 106] },
      { name: 'root', uid: 0, groups: [0] },
    ])
      expect((await check(user)).findings).toEqual([]);
  });

  it('may not be asked by another: a service gets no group by postqueue', async () => {
    expect((await check(opendkim)).findings).toEqual([
      {
        problem: expect.stringMatching(/^opendkim, who the agent runs as, is not in the group postdrop: /),
        mends: ['usermod -aG postdrop opendkim && systemctl restart selkie-agent-opendkim'],
      },
    ]);
  });

  it('of a group that this host does not have is not judged', async () =>
    expect((await check(opendkim, 'none')).findings).toEqual([]));
});
