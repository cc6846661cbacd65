// `selkie restore` on this machine, as a user runs it: the ledger's file of yesterday in the place of today's.
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { selkie, startUp } from '../tools/selkie.ts';
import { makeFolder } from '../tools/temporary-folder.ts';

const domain = 'mail.dev.example.jp';

interface Key {
  readonly selector: string;
  readonly state: string;
}

describe('a restored ledger of this machine', () => {
  const folder = makeFolder();
  const dir = join(folder, 'state');
  const [ledger, backup] = [join(dir, 'ledger.sqlite'), join(folder, 'backup.sqlite')];
  let [oldest, newest]: [readonly string[], readonly string[]] = [[], []];
  const running: ReturnType<typeof startUp>[] = [];
  const up = async () => {
    const process = startUp(dir);
    running.push(process);
    await process.prints('selkie is up');
    return process;
  };
  const keys = async (): Promise<readonly Key[]> => {
    const { stdout } = await selkie('status', domain, '--dir', dir, '--json');
    return (JSON.parse(stdout) as { keys: readonly Key[] }).keys;
  };
  const signing = async (): Promise<readonly string[]> =>
    (await keys()).filter(({ state }) => state === 'active').map(({ selector }) => selector);
  const restored = (from: string): void => {
    for (const end of ['', '-wal', '-shm']) rmSync(`${ledger}${end}`, { force: true });
    copyFileSync(from, ledger);
  };

  beforeAll(async () => {
    const first = await up();
    await first.prints(`${domain} signs with`);
    oldest = await signing();
    await first.stop('SIGTERM');
    copyFileSync(ledger, backup);
    const second = await up();
    expect(await selkie('rotate', domain, '--dir', dir, '--wait')).toMatchObject({ status: 0 });
    newest = await signing();
    await second.stop('SIGTERM');
  }, 120_000);
  afterAll(async () => {
    for (const one of running) await one.stop('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  test('one that is in use is left alone', async () => {
    expect(await selkie('restore', '--dir', dir)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('this ledger is in use'),
    });
  }, 60_000);

  test('selkie up refuses it, and says the command', async () => {
    restored(backup);
    const said = await selkie(
      'up',
      '--dir',
      dir,
      '--dns-port',
      '0',
      '--api-port',
      '0',
      '--push-port',
      '0',
      '--milter-port',
      '0',
    );
    expect(said.status).toBe(1);
    expect(said.stderr).toContain('came back from a backup');
    expect(said.stderr).toContain(`selkie restore --dir ${dir}`);
  }, 60_000);

  test('it is shown, then done, and the keys that the backup knew sign on', async () => {
    const shown = await selkie('restore', '--dir', dir);
    expect(shown).toMatchObject({ status: 0, stderr: '' });
    for (const selector of newest)
      expect(shown.stdout).toContain(
        `${selector} of ${domain}, which the backup did not know, drains from now on`,
      );
    expect(shown.stdout).toContain('Nothing was changed');

    const done = await selkie('restore', '--dir', dir, '--apply', '--reason', 'a disk failed');
    expect(done.stdout).toContain('Epoch 2: the ledger is in use');
    expect(done).toMatchObject({ status: 0, stderr: '' });

    const again = await up();
    await again.prints(`${domain} signs with`);
    expect(await signing()).toEqual(oldest);
    expect(await selkie('restore', '--dir', dir)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('stop it first'),
    });
    const used = new Set((await keys()).map(({ selector }) => selector));
    expect(await selkie('rotate', domain, '--dir', dir, '--wait')).toMatchObject({ status: 0 });
    for (const selector of await signing()) expect(used.has(selector)).toBe(false);
    const trail = await selkie('audit', 'show', domain, '--dir', dir);
    expect(trail.stdout).toMatch(/restore.*\n?.*a disk failed/);
    await again.stop('SIGTERM');
  }, 120_000);

  test('without any backup, what the vault and the zones have is taken back, and the oldest keys sign', async () => {
    for (const end of ['', '-wal', '-shm']) rmSync(`${ledger}${end}`, { force: true });
    const done = await selkie('restore', '--dir', dir, '--apply', '--reason', 'no backup');
    expect(done).toMatchObject({ status: 0, stderr: '' });
    for (const selector of oldest)
      expect(done.stdout).toContain(`${selector} of ${domain}, which the backup did not know, signs on`);
    const again = await up();
    await again.prints(`${domain} signs with`);
    expect(await signing()).toEqual(oldest);
  }, 120_000);
});
