// The local control plane over restarts: what it finds in its folder, and what it makes of a clock that went back.
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { openMilter } from '../../agent/milter/client.ts';
import { type LocalWorld, startLocalWorld } from '../../cli/local-world.ts';
import { requestRotation } from '../../engine/commands.ts';
import { statusOf } from '../../engine/status.ts';
import { openSession } from '../../engine/world.ts';
import { readFleet } from '../../fleet/read.ts';
import { freePort } from '../tools/free-port.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

const domain = 'mail.dev.example.jp';
const hour = 3_600_000;
let dir: string;
let log: string[];
let local: LocalWorld | undefined;

beforeEach(() => {
  dir = temporaryFolder();
  log = [];
});

const start = async (api = 0): Promise<LocalWorld> => {
  local = await startLocalWorld({
    dir,
    fleet: readFleet('fleet.yaml'),
    ports: { dns: 0, api, push: 0, milter: 0 },
    report: ({ says }) => void log.push(says),
    log: (line) => void log.push(line),
  });
  return local;
};
const stop = async (): Promise<void> => {
  await local?.close();
  local = undefined;
};
afterEach(stop);

const until = async (holds: () => Promise<boolean>, patience = 20_000): Promise<void> => {
  for (const end = Date.now() + patience; !(await holds()); await sleep(20))
    if (Date.now() > end) throw new Error(`it did not come about:\n${log.slice(-10).join('\n')}`);
};

const lastRotation = async ({ world }: LocalWorld): Promise<string> => {
  const status = await statusOf(world, await openSession(world), domain).catch(() => undefined);
  return status?.rotations.at(-1)?.state ?? 'none';
};

/** A folder in which a key signs. */
const lived = async (): Promise<void> => {
  const first = await start();
  await until(async () => (await lastRotation(first)) === 'done');
  await stop();
};

const ledger = (sql: string): void => {
  const db = new DatabaseSync(join(dir, 'ledger.sqlite'));
  db.exec(sql);
  db.close();
};

const signatures = async ({ ports }: LocalWorld): Promise<number> => {
  const milter = await openMilter({ host: '127.0.0.1', port: ports.milter });
  const raw = Buffer.from(`From: a@${domain}\r\nTo: b@example.com\r\nSubject: s\r\n\r\nHello.\r\n`);
  const answer = await milter.send({ from: `a@${domain}`, to: ['b@example.com'], raw });
  await milter.close();
  expect(answer.verdict).toBe('accept');
  return Buffer.from(answer.raw).toString('latin1').split('DKIM-Signature:').length - 1;
};

describe('a clock that went back', () => {
  it('by hours: it starts, signs, and says why it does nothing else (invariant 10)', async () => {
    await lived();
    // As if the ledger's last times had been told two hours from now.
    ledger(`UPDATE head SET latest = latest + ${2 * hour}`);
    const again = await start();
    expect(await signatures(again)).toBe(2);
    await expect(openSession(again.world)).rejects.toThrow('set the clock');
    expect(log.join('\n')).toContain('set the clock');
  });

  it('by minutes, over a restart: rotations go on', async () => {
    await lived();
    ledger(`UPDATE head SET fleet_version = fleet_version + ${hour / 30}`);
    const again = await start();
    await requestRotation(again.world, await openSession(again.world), domain, {});
    await until(async () => (await lastRotation(again)) === 'done');
    const { keys } = await statusOf(again.world, await openSession(again.world), domain);
    expect(keys.map(({ state }) => state)).toEqual(['draining', 'draining', 'active', 'active']);
  });
});

/** A file system of its own, of 4 MB; undefined where this user may not mount one. */
const smallDisk = (): string | undefined => {
  const folder = temporaryFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  onTestFinished(() => void execFileSync('umount', [folder]));
  return folder;
};

it('on a full disk: it says so, and starts where there is room again', async (context) => {
  const disk = smallDisk();
  if (disk === undefined) return context.skip('mounting a tmpfs needs root');
  dir = join(disk, 'state');
  await lived();
  const filler = join(disk, 'filler');
  for (const size of [65_536, 4_096, 1])
    try {
      for (;;) appendFileSync(filler, Buffer.alloc(size));
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOSPC' });
    }
  await expect(start()).rejects.toThrow(/ledger\.sqlite.*is its disk full/);
  rmSync(filler);
  expect(await signatures(await start())).toBe(2);
  await stop();
});

it('says where it cannot write how to reach its API', async () => {
  mkdirSync(join(dir, 'api.json.new'), { recursive: true });
  await expect(start()).rejects.toThrow(/api\.json cannot be written: EISDIR/);
});

it('needs no room for the address of its API where that is the same as before', async () => {
  const api = await freePort();
  await start(api);
  await stop();
  mkdirSync(join(dir, 'api.json.new'));
  expect((await start(api)).ports.api).toBe(api);
});

describe('a file of the folder that lost something', () => {
  const file = (name: string): string => join(dir, name);

  it.each([
    ['the ledger, gone', () => rmSync(file('ledger.sqlite'))],
    ['the ledger, emptied', () => truncateSync(file('ledger.sqlite'), 0)],
    ['the ledger, cut', () => truncateSync(file('ledger.sqlite'), 20_000)],
    ['the zones, gone', () => rmSync(file('zones.sqlite'))],
    ['the zones, emptied', () => truncateSync(file('zones.sqlite'), 0)],
    ['the zones, cut', () => truncateSync(file('zones.sqlite'), 9_000)],
  ])('%s: it is refused, and the sentence says what to do', async (what, damage) => {
    await lived();
    damage();
    await expect(start()).rejects.toThrow(
      what.startsWith('the ledger') ? /ledger\.sqlite.*restore it/ : /zones\.sqlite.*restore it/,
    );
  });

  it('a first start that was killed before it had a ledger goes on', async () => {
    await lived();
    for (const name of ['ledger.sqlite', 'ledger.sqlite.seen', 'vault', 'agent'])
      rmSync(file(name), { recursive: true });
    const zones = new DatabaseSync(file('zones.sqlite'));
    zones.exec('DELETE FROM txt');
    zones.close();
    const again = await start();
    await until(async () => (await lastRotation(again)) === 'done');
    expect(await signatures(again)).toBe(2);
  });
});
