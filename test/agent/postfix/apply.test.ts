// What apply and uninstall do to a real Postfix's files: taken back whole where Postfix does not take them, and never over what
// others have changed. One instance for all; each test begins with the same files.
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { applyPlan } from '../../../agent/postfix/apply.ts';
import { type Exec, systemExec } from '../../../agent/postfix/exec.ts';
import { readJournal } from '../../../agent/postfix/journal.ts';
import { planInstance } from '../../../agent/postfix/plan.ts';
import { readInstance } from '../../../agent/postfix/read.ts';
import { applyRemoval, planRemoval } from '../../../agent/postfix/uninstall.ts';
import type { Wish } from '../../../agent/postfix/wish.ts';
import { instant } from '../../../core/time.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Postfix, startPostfix } from '../../tools/postfix.ts';

// postconf(1) waits a second with each edit, until the file is older than its clock's grain.
vi.setConfig({ testTimeout: 90_000 });

const noon = instant(Date.UTC(2024, 0, 28, 12));
const exec = systemExec();
const wishFor = (port: number): Wish => ({
  milter: { host: '127.0.0.1', port },
  service: 'selkie-agent',
  replace: [],
  signers: new Map(),
});

let postfix: Postfix;
let fresh: { readonly main: string; readonly master: string };
const path = (file: string): string => join(postfix.configDirectory, file);
const read = (file: string): string => readFileSync(path(file), 'utf8');
const both = () => ({ main: read('main.cf'), master: read('master.cf') });
const planned = async (wish: Wish) => planInstance(await readInstance(exec, postfix.configDirectory), wish);

/** main.cf settings, and `-o` options of the smtp service. */
const begin = async (
  settings: Record<string, string> = {},
  smtpd: Record<string, string> = {},
): Promise<void> => {
  const name = `127.0.0.1:${postfix.port}/inet`;
  const assign = (values: Record<string, string>, prefix = ''): string[] =>
    Object.entries(values).map(([parameter, value]) => `${prefix}${parameter}=${value}`);
  if (Object.keys(settings).length > 0) await postfix.postconf('-e', ...assign(settings));
  if (Object.keys(smtpd).length > 0) await postfix.postconf('-P', ...assign(smtpd, `${name}/`));
};

const withPostfix = (name: string, suite: () => void): void =>
  describeWith(['postfix'], name, () => {
    beforeAll(async () => {
      postfix = await startPostfix();
      fresh = both();
    });
    afterAll(() => postfix.close());
    beforeEach(() => {
      // In one step: a daemon that found no main.cf would be throttled by master for a minute.
      for (const [file, text] of [
        ['main.cf', fresh.main],
        ['master.cf', fresh.master],
      ] as const) {
        writeFileSync(path('draft'), text, { mode: 0o644 });
        renameSync(path('draft'), path(file));
      }
      for (const file of readdirSync(postfix.configDirectory))
        if (!['main.cf', 'master.cf'].includes(file)) rmSync(path(file));
    });
    suite();
  });

withPostfix('a setup that Postfix does not take', () => {
  const failing =
    (call: RegExp): Exec =>
    (name, args, onLine) =>
      call.test([name, ...args].join(' '))
        ? Promise.resolve({ code: 1, out: '', err: 'postfix: fatal: as it happens\n' })
        : exec(name, args, onLine);

  it.each([
    ['postfix check fails', / check$/],
    ['postconf fails on main.cf', / -e /],
    ['postconf fails on master.cf', / -P .*=/],
  ])('leaves everything as it was: %s', async (_, call) => {
    await begin({}, { smtpd_milters: '' });
    const before = both();
    const wish = wishFor(8893);
    await expect(applyPlan(failing(call), await planned(wish), wish, noon)).rejects.toThrow(
      /as it happens.*is as it was\.$/,
    );
    expect(both()).toEqual(before);
    expect(await readJournal(postfix.configDirectory)).toBeUndefined();
    expect(read('main.cf.org')).toBe(before.main);
    // The next time it is taken; what was before is kept again, with the date.
    await applyPlan(exec, await planned(wish), wish, noon);
    expect((await planned(wish)).changes).toEqual([]);
    expect(read('main.cf.2024-01-28')).toBe(before.main);
  });

  it('comes back to the setup before it', async () => {
    await applyPlan(exec, await planned(wishFor(8893)), wishFor(8893), noon);
    const [set, journal] = [both(), await readJournal(postfix.configDirectory)];
    const wish = { ...wishFor(8894), replace: ['inet:127.0.0.1:8893'] };
    await expect(applyPlan(failing(/ check$/), await planned(wish), wish, noon)).rejects.toThrow();
    expect(both()).toEqual(set);
    expect(await readJournal(postfix.configDirectory)).toEqual(journal);
  });
});

withPostfix('uninstall', () => {
  const wish = wishFor(8893);
  const ours = 'inet:127.0.0.1:8893';
  const setUp = async (): Promise<void> => {
    await applyPlan(exec, await planned(wish), wish, noon);
  };
  const remove = async () => {
    const journal = await readJournal(postfix.configDirectory);
    if (journal === undefined) throw new Error('no journal');
    const removal = await planRemoval(await readInstance(exec, postfix.configDirectory), journal);
    await applyRemoval(exec, removal, noon);
    return removal;
  };
  const value = async (parameter: string): Promise<string> =>
    (await postfix.postconf('-h', parameter)).trim();

  it('leaves what an administrator has changed since, and says so', async () => {
    await begin({ milter_default_action: 'accept', smtpd_milters: 'inet:localhost:11332' });
    await setUp();
    await postfix.postconf(
      '-e',
      'milter_default_action=quarantine',
      'mydestination=other.example',
      `smtpd_milters=inet:localhost:11332, ${ours}, unix:/new`,
    );
    const { remarks } = await remove();
    expect(remarks).toEqual([expect.stringContaining('milter_default_action was changed since setup')]);
    expect(await value('milter_default_action')).toBe('quarantine');
    expect(await value('mydestination')).toBe('other.example');
    // Postfix would put off all mail if ours stayed.
    expect(await value('smtpd_milters')).toBe('inet:localhost:11332, unix:/new');
    expect(await value('non_smtpd_milters')).toBe('');
    expect(await postfix.postconf('-n', 'internal_mail_filter_classes')).toBe('');
  });

  it('takes both of two setups back, byte by byte where nobody else was at work', async () => {
    await begin({}, { smtpd_milters: 'unix:/s' });
    const before = both();
    await setUp();
    const second = { ...wishFor(8894), replace: [ours] };
    await applyPlan(exec, await planned(second), second, noon);
    expect(await value('smtpd_milters')).toBe('inet:127.0.0.1:8894');
    await remove();
    expect(both()).toEqual(before);
  });

  it('does not bring an older file back over what changed between two setups', async () => {
    await setUp();
    await postfix.postconf('-e', 'mydestination=other.example');
    await postfix.postconf('-X', 'internal_mail_filter_classes');
    await setUp();
    await remove();
    expect(await value('mydestination')).toBe('other.example');
    expect(await value('smtpd_milters')).toBe('');
    expect(await value('internal_mail_filter_classes')).toBe('');
  });

  it('knows what was meant after a setup that was cut off', async () => {
    await begin({}, { smtpd_milters: '' });
    const before = both();
    const cut: Exec = (name, args, onLine) => {
      // The power goes after main.cf was written: nothing is restored either.
      if (args.includes('-P') && args.some((arg) => arg.includes('='))) return new Promise(() => {});
      return exec(name, args, onLine);
    };
    void applyPlan(cut, await planned(wish), wish, noon);
    await expect.poll(() => value('smtpd_milters'), { timeout: 10_000 }).toBe(ours);
    await remove();
    expect(both()).toEqual(before);
  });

  it('keeps modes and owners, and a copy of everything', async () => {
    const { mode, uid, gid } = statSync(path('main.cf'));
    await setUp();
    await remove();
    expect(statSync(path('main.cf'))).toMatchObject({ mode, uid, gid });
    expect(readdirSync(postfix.configDirectory).toSorted()).toEqual([
      'main.cf',
      'main.cf.2024-01-28',
      'main.cf.org',
      'master.cf',
    ]);
  });

  it('refuses a damaged journal', async () => {
    writeFileSync(path('selkie-agent.json'), '{"changes": 1}');
    await expect(readJournal(postfix.configDirectory)).rejects.toThrow(/selkie-agent\.json/);
  });
});
