// An agent that starts on a state folder which takes no writes: it signs with what is there, alone, and says so.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runningCheck } from '../../agent/doctor/state-folder.ts';
import { orLater } from '../../agent/drivers/late.ts';
import { openIdentities } from '../../agent/identities.ts';
import { loadIdentity, loadOrMakeIdentity, places } from '../../agent/identity.ts';
import { openKeyStore } from '../../agent/key-store.ts';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import type { Timer } from '../../agent/pull.ts';
import { type Agent, startAgent } from '../../agent/start.ts';
import { SelkieError } from '../../core/errors.ts';
import { minutes } from '../../core/time.ts';
import { mayMount, mountDisk, unmountDisk } from '../tools/disk.ts';
import { makeKey, noon } from '../tools/sealed.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

const name = 'mx1.example.com';
const domain = 'example.com';
const readOnly: NodeJS.ErrnoException = Object.assign(new Error('EROFS: read-only file system'), {
  code: 'EROFS',
});

describe.skipIf(!mayMount())('on a read-only disk', () => {
  let dir: string;
  let lines: string[];
  let due: (() => void)[];
  let agents: Agent[];
  const timer: Timer = {
    after(delay, run) {
      // Others are shorter.
      if (delay !== minutes(1)) return () => {};
      due.push(run);
      return () => {
        due = due.filter((one) => one !== run);
      };
    },
  };
  const remount = (how: 'ro' | 'rw'): void => {
    execFileSync('mount', ['-o', `remount,${how}`, dir]);
  };
  const start = async (): Promise<Agent> => {
    const agent = await startAgent({
      dir,
      name,
      endpointHost: '127.0.0.1',
      pushPort: 0,
      pushAddress: '127.0.0.1',
      signer: { milter: { listen: { host: '127.0.0.1', port: 0 } } },
      trusted: () => [],
      now: () => noon,
      log: (line) => lines.push(line),
      timer,
    });
    agents.push(agent);
    return agent;
  };
  const isSigned = async ({ ports }: Agent): Promise<boolean> => {
    const raw = Buffer.from(`From: someone@${domain}\r\nTo: you@other.example\r\n\r\nGood day.\r\n`);
    const message = { from: `someone@${domain}`, to: ['you@other.example'], raw };
    const sent = await sendThroughMilter({ host: '127.0.0.1', port: ports.milter ?? 0 }, message);
    return Buffer.from(sent.raw).toString('latin1').includes('s=240128e');
  };

  beforeEach(async () => {
    [lines, due, agents] = [[], [], []];
    dir = join(temporaryFolder(), 'state');
    mountDisk(dir, '2m');
    const key = makeKey(domain, '240128e');
    const store = await openKeyStore(join(dir, 'store'), () => 'incarnation-of-the-test');
    const { file } = await store.put(key);
    const { privateKey: _, ...facts } = key;
    await store.commit({
      ...store.state,
      keys: new Map([[`${domain}/${key.selector}`, { ...facts, duty: 'signing', file }]]),
    });
    await loadOrMakeIdentity(dir, '127.0.0.1', noon);
  });
  afterEach(async () => {
    for (const agent of agents) await agent.close();
    unmountDisk(dir);
  });

  it('signs, whatever a crash has left', async () => {
    const script = `require('node:net').createServer().listen('${join(dir, 'agent.sock')}', () => console.log('on'))`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    const half = join(dir, 'store', 'keys', `${'0'.repeat(64)}.key`);
    writeFileSync(half, 'half');
    writeFileSync(join(dir, 'store', 'index.json.tmp'), 'half');
    remount('ro');
    expect(await isSigned(await start())).toBe(true);
    expect(lines.slice(0, 2)).toEqual([
      expect.stringMatching(
        /^state folder: .* cannot be written to .*EROFS.*: this host signs with the keys/,
      ),
      expect.stringMatching(/^key store: .* stays on the disk: .*EROFS/),
    ]);
    expect(existsSync(half)).toBe(true);
  });

  it('is one agent, which the doctor sees; and holds the folder as always when it may write', async () => {
    remount('ro');
    const agent = await start();
    await expect(start()).rejects.toMatchObject({ code: 'busy' });
    expect((await runningCheck(dir, 'selkie-agent').run()).findings).toEqual([]);
    const tryAgain = async (): Promise<void> => {
      const [again] = due.splice(0, 1);
      again?.();
      // It is set up again, or done.
      await expect.poll(() => due.length > 0 || lines.at(-1)?.endsWith('again')).toBe(true);
    };
    await tryAgain();
    expect(existsSync(join(dir, 'agent.sock'))).toBe(false);
    remount('rw');
    await tryAgain();
    expect(lines.at(-1)).toBe(`state folder: ${dir} can be written to again`);
    expect(existsSync(join(dir, 'agent.sock'))).toBe(true);
    await agent.close();
    expect((await runningCheck(dir, 'selkie-agent').run()).findings).toHaveLength(1);
    expect(await isSigned(await start())).toBe(true);
  });

  it('turns to the new keys of the host where a crash has cut the switch in two', async () => {
    const next = await loadOrMakeIdentity(dir, '127.0.0.1', noon, places.next);
    renameSync(join(dir, places.present), join(dir, places.old));
    remount('ro');
    const open = () =>
      openIdentities({
        dir,
        endpointHost: '127.0.0.1',
        now: () => noon,
        timer,
        log: (line) => lines.push(line),
      });
    const identities = await open();
    expect(identities.present).toEqual(next);
    expect(lines).toContainEqual(expect.stringContaining('the switch to the new keys of this host'));
    identities.close();
    remount('rw');
    const after = await open();
    expect(after.present).toEqual(next);
    after.close();
    expect(await loadIdentity(dir)).toEqual(next);
  });
});

describe('a driver whose folder cannot be written to', () => {
  const wanted = { keys: [], stopped: new Map() };

  it('is made when it can be, and the agent starts before', async () => {
    const lines: string[] = [];
    let writable = false;
    const create = async () => {
      if (!writable) throw new SelkieError('unavailable', 'The folder cannot be used.', { cause: readOnly });
      return {
        keyTypes: ['rsa'] as const,
        apply: async () => new Map([['done', 'yes']]),
        close: async () => {},
      };
    };
    const driver = await orLater(create, { keyTypes: ['rsa'], log: (line) => lines.push(line) });
    expect(lines).toEqual([expect.stringContaining('The folder cannot be used.')]);
    await expect(driver.apply(wanted)).rejects.toMatchObject({ code: 'unavailable' });
    writable = true;
    expect(await driver.apply(wanted)).toEqual(new Map([['done', 'yes']]));
    await driver.close();
  });

  it('that is refused for another reason ends the start', async () => {
    const create = () => Promise.reject(new SelkieError('unsafe', 'Others may enter.'));
    await expect(orLater(create, { keyTypes: ['rsa'], log: () => {} })).rejects.toMatchObject({
      code: 'unsafe',
    });
  });
});
