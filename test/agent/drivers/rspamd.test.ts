// The rspamd driver where things are not as they should be: each on a real rspamd of its own.
import { randomUUID } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Driver, DriverKey } from '../../../agent/drivers/driver.ts';
import { parseEntrance } from '../../../agent/drivers/rspamd/canary.ts';
import { keyFileName } from '../../../agent/drivers/rspamd/configuration.ts';
import { createRspamdDriver, type RspamdDriverOptions } from '../../../agent/drivers/rspamd/driver.ts';
import { sendThroughMilter } from '../../../agent/milter/client.ts';
import { driverKey, signaturesOf, wanted } from '../../contracts/driver.ts';
import { fillDisk, mayMount } from '../../tools/disk.ts';
import { describeWith } from '../../tools/machine.ts';
import { makeSharedFolder, type Rspamd, type RspamdOptions, startRspamd } from '../../tools/rspamd.ts';
import { temporaryFolder } from '../../tools/temporary-folder.ts';

const domain = 'example.com';
const [old, next] = [driverKey(domain, '240128', 'signing'), driverKey(domain, '240428', 'standby')];
const turned = (key: DriverKey, duty: DriverKey['duty']): DriverKey => ({ ...key, duty });
const before = [old, next];
const after = [turned(old, 'standby'), turned(next, 'signing')];
const none = new Map();

const start = async (options: RspamdOptions = {}): Promise<Rspamd> => {
  const rspamd = await startRspamd(options);
  onTestFinished(() => rspamd.close());
  return rspamd;
};

const driverOf = (rspamd: Rspamd, more: Partial<RspamdDriverOptions> = {}): Promise<Driver> =>
  createRspamdDriver({
    folder: rspamd.folder,
    entrances: [`inet:${rspamd.milterPort}@127.0.0.1`],
    now: Date.now,
    pause: (ms) => pause(ms),
    id: randomUUID,
    patience: 10_000,
    ...more,
  });

const send = (rspamd: Rspamd, from = `jo@${domain}`) =>
  sendThroughMilter(
    { host: '127.0.0.1', port: rspamd.milterPort },
    {
      from,
      to: ['rcpt@example.org'],
      raw: Buffer.from(`From: ${from}\r\nSubject: a test\r\n\r\nHello.\r\n`),
    },
  );

const signedBy = async (rspamd: Rspamd): Promise<string[]> => signaturesOf((await send(rspamd)).raw, before);

const mapOf = (rspamd: Rspamd): string => join(rspamd.folder, 'selectors.map');
const rowsOf = (rspamd: Rspamd): string[] =>
  readFileSync(mapOf(rspamd), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !/^#|^generation\./.test(line));
const keysOf = (rspamd: Rspamd): string[] =>
  readdirSync(join(rspamd.folder, 'keys')).filter((name) => !name.includes('generation.selkie.invalid'));

/** Its workers of a kind, as the process table has them. */
const workers = (rspamd: Rspamd, kind: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const [, parent = ''] = /\) \S (\d+) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
        return Number(parent) === rspamd.pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(kind);
      } catch {
        return false;
      }
    })
    .map(Number);

describeWith(['rspamd'], 'the rspamd driver', () => {
  it('says nothing of a switch before every worker has read the map, and keeps the old key until then', async () => {
    const rspamd = await start({ proxy: 3 });
    const driver = await driverOf(rspamd);
    expect(await driver.apply(wanted(before))).toEqual(none);
    const [slow] = workers(rspamd, 'rspamd_proxy');
    if (slow === undefined) throw new Error('no worker found');
    process.kill(slow, 'SIGSTOP');
    try {
      const left = await driver.apply(wanted([turned(next, 'signing')]));
      expect([...left.keys()]).toEqual([`${domain}/240428`]);
      expect([...left.values()][0]).toMatch(/not read its maps in all workers yet \(rspamd_proxy \d\)/);
      expect(keysOf(rspamd)).toContain(keyFileName(domain, '240128'));
    } finally {
      process.kill(slow, 'SIGCONT');
    }
    expect(await driver.apply(wanted([turned(next, 'signing')]))).toEqual(none);
    expect(keysOf(rspamd)).toEqual([keyFileName(domain, '240428')]);
    expect(await signedBy(rspamd)).toEqual([`240428 ${domain} pass`]);
  });

  it('drives normal workers through HTTP', async () => {
    const rspamd = await start({ normal: 3 });
    const driver = await driverOf(rspamd, { entrances: [rspamd.url, `inet:${rspamd.milterPort}@127.0.0.1`] });
    expect(await driver.apply(wanted(before))).toEqual(none);
    expect(await driver.apply(wanted(after))).toEqual(none);
    expect(await signedBy(rspamd)).toEqual([`240428 ${domain} pass`]);
  });

  it('goes on when rspamd comes back, and says so meanwhile of what changed only', async () => {
    const rspamd = await start();
    const driver = await driverOf(rspamd);
    expect(await driver.apply(wanted(before))).toEqual(none);
    await rspamd.stop();
    expect(await driver.apply(wanted(before))).toEqual(none);
    const left = await driver.apply(wanted(after));
    expect([...left.keys()]).toEqual([`${domain}/240428`]);
    expect([...left.values()][0]).toMatch(/does not answer/);
    await rspamd.start();
    expect(await driver.apply(wanted(after))).toEqual(none);
    expect(await signedBy(rspamd)).toEqual([`240428 ${domain} pass`]);
  });

  it('a driver that starts while rspamd is away says of every signing key that nobody saw it sign', async () => {
    const rspamd = await start();
    expect(await (await driverOf(rspamd)).apply(wanted(before))).toEqual(none);
    await rspamd.stop();
    const left = await (await driverOf(rspamd)).apply(wanted(before));
    expect([...left.keys()]).toEqual([`${domain}/240128`]);
  });

  it('keeps the rows of others, in their order and with their comments', async () => {
    const rspamd = await start();
    writeFileSync(mapOf(rspamd), '# ours since 2019\nother.example  dkim\n');
    const driver = await driverOf(rspamd);
    await driver.apply(wanted(before));
    writeFileSync(mapOf(rspamd), `${readFileSync(mapOf(rspamd), 'utf8')}late.example dkim # new\n`);
    await driver.apply(wanted(after));
    const text = readFileSync(mapOf(rspamd), 'utf8');
    expect(text.startsWith('# ours since 2019\nother.example  dkim\n# selkie: begin')).toBe(true);
    expect(text.endsWith('# selkie: end\nlate.example dkim # new\n')).toBe(true);
    expect(rowsOf(rspamd)).toContain(`${domain} 240428`);
  });

  it('leaves the key of an administrator’s row alone', async () => {
    const rspamd = await start();
    writeFileSync(mapOf(rspamd), 'other.example dkim\n');
    const driver = await driverOf(rspamd);
    const theirs = join(rspamd.folder, 'keys', keyFileName('other.example', 'dkim'));
    writeFileSync(theirs, 'theirs');
    await driver.apply(wanted(before));
    expect(readFileSync(theirs, 'utf8')).toBe('theirs');
  });

  it('goes back to the old key where another setting of rspamd takes the domain away', async () => {
    const rspamd = await start();
    const driver = await driverOf(rspamd);
    expect(await driver.apply(wanted(before))).toEqual(none);
    // A row below Selkie's counts more.
    const text = readFileSync(mapOf(rspamd), 'utf8');
    writeFileSync(mapOf(rspamd), `${text}${domain} 240128\n`);
    const left = await driver.apply(wanted(after));
    expect([...left.keys()]).toEqual([`${domain}/240428`]);
    expect([...left.values()][0]).toMatch(
      /signs mail of example\.com with s=240128 where this key should sign: another row/,
    );
    expect(rowsOf(rspamd)).toEqual([`${domain} 240128`, `${domain} 240128`]);
    expect(await signedBy(rspamd)).toEqual([`240128 ${domain} pass`]);
    writeFileSync(mapOf(rspamd), text);
    expect(await driver.apply(wanted(after))).toEqual(none);
    expect(await signedBy(rspamd)).toEqual([`240428 ${domain} pass`]);
  });

  it('does not take a key that rspamd cannot sign with, and the old one signs on', async () => {
    const rspamd = await start();
    const driver = await driverOf(rspamd);
    expect(await driver.apply(wanted(before))).toEqual(none);
    const wrong: DriverKey = { ...driverKey(domain, '240601', 'signing'), publicKey: next.publicKey };
    const left = await driver.apply(wanted([turned(old, 'standby'), wrong]));
    expect([...left]).toEqual([
      [`${domain}/240601`, expect.stringMatching(/does not verify with the key's record/)],
    ]);
    expect(rowsOf(rspamd)).toEqual([`${domain} 240128`]);
    expect(await signedBy(rspamd)).toEqual([`240128 ${domain} pass`]);
  });

  it('a key that cannot be loaded is said to be so, and the old one signs on', async () => {
    const rspamd = await start();
    const driver = await driverOf(rspamd);
    expect(await driver.apply(wanted(before))).toEqual(none);
    const lost: DriverKey = {
      ...driverKey(domain, '240601', 'signing'),
      load: () => Promise.reject(new Error('The key file of example.com/240601 is missing or damaged.')),
    };
    const left = await driver.apply(wanted([turned(old, 'standby'), lost]));
    expect([...left.values()]).toEqual([expect.stringMatching(/missing or damaged/)]);
    expect(await signedBy(rspamd)).toEqual([`240128 ${domain} pass`]);
  });

  it('writes again a key file that somebody damaged', async () => {
    const rspamd = await start();
    expect(await (await driverOf(rspamd)).apply(wanted(before))).toEqual(none);
    const file = join(rspamd.folder, 'keys', keyFileName(domain, '240128'));
    const content = readFileSync(file, 'utf8');
    writeFileSync(file, content.slice(0, 300));
    expect(await (await driverOf(rspamd)).apply(wanted(before))).toEqual(none);
    expect(readFileSync(file, 'utf8')).toBe(content);
    expect(await signedBy(rspamd)).toEqual([`240128 ${domain} pass`]);
  });

  it('clears away what a crash left', async () => {
    const rspamd = await start();
    expect(await (await driverOf(rspamd)).apply(wanted(before))).toEqual(none);
    const trial = 'aaaaaaaaaaaaaaaaaaaaaaaa.standby.selkie.invalid';
    for (const name of [keyFileName(trial, '240501'), `${keyFileName(domain, '240501')}.tmp`])
      writeFileSync(join(rspamd.folder, 'keys', name), 'half a key');
    const text = readFileSync(mapOf(rspamd), 'utf8');
    writeFileSync(mapOf(rspamd), text.replace('generation.', `${trial} 240501\ngeneration.`));
    expect(await (await driverOf(rspamd)).apply(wanted(before))).toEqual(none);
    expect(rowsOf(rspamd)).toEqual([`${domain} 240128`]);
    expect(keysOf(rspamd).sort()).toEqual([keyFileName(domain, '240128'), keyFileName(domain, '240428')]);
  });

  it('mail of a domain whose key must not sign waits; or leaves unsigned where that was chosen', async () => {
    const rspamd = await start();
    const driver = await driverOf(rspamd);
    const stopped = new Map([[`${domain}/240128`, 'Its record is revoked.']]);
    expect(await driver.apply(wanted(before))).toEqual(none);
    expect(await driver.apply(wanted([next], stopped))).toEqual(none);
    expect((await send(rspamd)).verdict).toBe('tempfail');
    expect((await send(rspamd, 'jo@other.example')).verdict).toBe('accept');
    const lax = await driverOf(rspamd, { onUnusableKey: 'unsigned' });
    expect(await lax.apply(wanted([next], stopped))).toEqual(none);
    expect((await send(rspamd)).verdict).toBe('accept');
    expect(await signedBy(rspamd)).toEqual([]);
    expect(await driver.apply(wanted(before))).toEqual(none);
    expect(await signedBy(rspamd)).toEqual([`240128 ${domain} pass`]);
  });

  it('names what rspamd’s configuration lacks', async () => {
    const noLua = await start({ files: { 'rspamd.local.lua': '' } });
    expect([...(await (await driverOf(noLua)).apply(wanted([old]))).values()]).toEqual([
      expect.stringMatching(/lacks selkie\.lua, or rspamd was not restarted/),
    ]);
    const noMap = await start({ files: { 'local.d/dkim_signing.conf': '' } });
    expect([...(await (await driverOf(noMap)).apply(wanted([old]))).values()]).toEqual([
      expect.stringMatching(/not read its maps in all workers yet.*local\.d\/dkim_signing\.conf/),
    ]);
  });

  it.skipIf(!mayMount())('with a full disk, the old key signs on; with room again, the new one', async () => {
    const rspamd = await start({ disk: '512k' });
    const driver = await driverOf(rspamd);
    expect(await driver.apply(wanted(before))).toEqual(none);
    const filler = join(rspamd.folder, 'filler');
    fillDisk(filler);
    const third = driverKey(domain, '240728', 'standby');
    const left = await driver.apply(wanted([...after, third]));
    expect([...left.keys()].sort()).toEqual([`${domain}/240428`, `${domain}/240728`]);
    for (const why of left.values()) expect(why).toMatch(/ENOSPC/);
    expect(await signedBy(rspamd)).toEqual([`240128 ${domain} pass`]);
    rmSync(filler);
    expect(await driver.apply(wanted([...after, third]))).toEqual(none);
    expect(await signedBy(rspamd)).toEqual([`240428 ${domain} pass`]);
  });

  it('refuses a map whose comments were broken, and leaves it', async () => {
    const rspamd = await start();
    const driver = await driverOf(rspamd);
    await driver.apply(wanted(before));
    const broken = readFileSync(mapOf(rspamd), 'utf8').replace('# selkie: end', '');
    writeFileSync(mapOf(rspamd), broken);
    await expect(driver.apply(wanted(after))).rejects.toMatchObject({ code: 'invalid' });
    expect(readFileSync(mapOf(rspamd), 'utf8')).toBe(broken);
  });

  it('the folder must be there, for the agent and rspamd alone', async () => {
    const folder = join(temporaryFolder(), 'shared');
    const make = () =>
      createRspamdDriver({ folder, entrances: [], now: Date.now, pause: async () => {}, id: randomUUID });
    await expect(make()).rejects.toThrow(/is not there: install -d/);
    makeSharedFolder(folder);
    chmodSync(folder, 0o2755);
    await expect(make()).rejects.toThrow(/others may enter .* chmod 2750/);
    rmSync(folder, { recursive: true });
    writeFileSync(folder, '');
    await expect(make()).rejects.toThrow(/is not there/);
  });
});

describe('where mail enters rspamd', () => {
  it.each([
    ['inet:11332@127.0.0.1', { host: '127.0.0.1', port: 11_332 }],
    ['inet:11332@::1', { host: '::1', port: 11_332 }],
    ['inet:11332@localhost', { host: 'localhost', port: 11_332 }],
    ['unix:/run/rspamd/milter.sock', { path: '/run/rspamd/milter.sock' }],
    ['http://127.0.0.1:11333', { url: 'http://127.0.0.1:11333' }],
  ])('is read: %s', (text, entrance) => expect(parseEntrance(text)).toEqual(entrance));

  it.each([
    '',
    '127.0.0.1:11332',
    'inet:@127.0.0.1',
    'inet:99999999@x',
    'inet:99999@127.0.0.1',
    'unix:run/x',
    'https://x',
    'http://x/path',
  ])('is refused, with what it may be: %s', (text) =>
    expect(() => parseEntrance(text)).toThrow(/say inet:11332@127\.0\.0\.1/),
  );
});
