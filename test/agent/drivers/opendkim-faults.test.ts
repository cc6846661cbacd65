import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Driver, DriverKey, Wanted } from '../../../agent/drivers/driver.ts';
import { createOpendkimDriver, type OpendkimDriverOptions } from '../../../agent/drivers/opendkim/driver.ts';
import { driverKey, signaturesOf, wanted } from '../../contracts/driver.ts';
import { testKey } from '../../oracles/records.ts';
import { describeWith } from '../../tools/machine.ts';
import { type OpendkimOptions, startOpendkim, type TestOpendkim } from '../../tools/opendkim.ts';
import { applyInChild } from '../../tools/opendkim-child.ts';

const domain = 'example.jp';
const old = driverKey(domain, '240101', 'signing');
const next = driverKey(domain, '240128', 'signing');
const oldStandby = driverKey(domain, '240101', 'standby');
const nextStandby = driverKey(domain, '240128', 'standby');
const oldName = `${domain}/240101`;
const nextName = `${domain}/240128`;

interface Place {
  readonly opendkim: TestOpendkim;
  readonly driver: Driver;
  readonly again: () => Promise<Driver>;
  /** Selectors of the Selkie keys that a message is signed with; all of them verify. */
  readonly signer: (from?: string, more?: readonly DriverKey[]) => Promise<string>;
}

const place = async (
  options: OpendkimOptions = {},
  more: Partial<OpendkimDriverOptions> = {},
): Promise<Place> => {
  const opendkim = await startOpendkim(options);
  onTestFinished(opendkim.end);
  const again = () =>
    createOpendkimDriver({
      config: opendkim.config,
      folder: join(opendkim.folder, 'keys'),
      now: () => Date.now(),
      settleWithin: 300,
      reloadWithin: 1_000,
      ...more,
    });
  return {
    opendkim,
    driver: await again(),
    again,
    async signer(from = `user@${domain}`, known = []) {
      const mailer = await opendkim.connect();
      const { verdict, raw } = await mailer.send(from);
      await mailer.close();
      expect(verdict).toBe('accept');
      const signatures = await signaturesOf(raw, [old, next, ...known]);
      expect(signatures.filter((one) => !one.endsWith(' pass'))).toEqual([]);
      return signatures.map((one) => one.split(' ')[0]).join();
    },
  };
};

const none = new Map<string, string>();
const apply = (driver: Driver, keys: readonly DriverKey[], stopped?: Wanted['stopped']) =>
  driver.apply(wanted(keys, stopped));

describeWith(['opendkim'], 'the keeper of OpenDKIM: connections that were open before a reload', () => {
  test.each(['unix', 'inet'] as const)(
    '%s: they are counted and waited for, by another driver too, one that remembers nothing too',
    async (socket) => {
      const { opendkim, driver, again, signer } = await place({ socket });
      expect(await apply(driver, [old, nextStandby])).toEqual(none);
      const mailers = [await opendkim.connect(), await opendkim.connect()];
      for (const mailer of mailers) await mailer.send(`user@${domain}`);
      const two = new Map([
        [nextName, '2 connections opened before the reload still sign with 240101; waits until they end.'],
      ]);
      expect(await apply(driver, [oldStandby, next])).toEqual(two);
      // New connections sign with the new key, and the old ones go on with the old one.
      expect(await signer()).toBe('240128');
      for (const mailer of mailers) {
        const { verdict, raw } = await mailer.send(`user@${domain}`);
        expect(verdict).toBe('accept');
        expect(await signaturesOf(raw, [old, next])).toEqual([`240101 ${domain} pass`]);
      }
      expect(await apply(await again(), [oldStandby, next])).toEqual(two);
      await mailers[0]?.close();
      expect(await apply(driver, [oldStandby, next])).toEqual(
        new Map([
          [nextName, '1 connection opened before the reload still signs with 240101; waits until it ends.'],
        ]),
      );
      // Not the connection that was opened since.
      const later = await opendkim.connect();
      rmSync(join(opendkim.folder, 'keys/state.json'));
      const forgetful = await again();
      // What it does not know it does not believe: the later one is waited for as well.
      expect([...(await apply(forgetful, [oldStandby, next])).values()]).toEqual([
        '2 connections opened before the reload do not sign with it yet; waits until they end.',
      ]);
      await mailers[1]?.close();
      await later.close();
      expect(await apply(forgetful, [oldStandby, next])).toEqual(none);
    },
  );

  test('a key that was taken out is reported until they end, and its file is there as long', async () => {
    const { opendkim, driver } = await place();
    const file = join(opendkim.folder, 'keys', `240101._domainkey.${domain}.pem`);
    expect(await apply(driver, [old])).toEqual(none);
    const mailer = await opendkim.connect();
    await mailer.send(`user@${domain}`);
    const left = new Map([
      [oldName, '1 connection opened before the reload still signs with 240101; waits until it ends.'],
    ]);
    expect(await apply(driver, [])).toEqual(left);
    expect(await apply(driver, [])).toEqual(left);
    const { verdict, raw } = await mailer.send(`user@${domain}`);
    expect(verdict).toBe('accept');
    expect(await signaturesOf(raw, [old])).toEqual([`240101 ${domain} pass`]);
    expect(readFileSync(file, 'utf8')).toMatch(/^-----BEGIN/);
    await mailer.close();
    expect(await apply(driver, [])).toEqual(none);
    expect(() => readFileSync(file)).toThrow(/ENOENT/);
    expect(readFileSync(opendkim.keyTable, 'utf8')).not.toContain(domain);
  });
});

describeWith(['opendkim'], 'the keeper of OpenDKIM: what goes wrong', () => {
  test('a reload that OpenDKIM refuses: the old tables are back, the old key signs, and the reason is said', async () => {
    const { opendkim, driver, signer } = await place();
    expect(await apply(driver, [old, nextStandby])).toEqual(none);
    const conf = readFileSync(opendkim.config, 'utf8');
    const before = readFileSync(opendkim.keyTable, 'utf8');
    appendFileSync(opendkim.config, 'NoSuchParameter yes\n');
    const left = await apply(driver, [oldStandby, next]);
    expect([...left.keys()]).toEqual([nextName]);
    expect(left.get(nextName)).toMatch(
      /^OpenDKIM did not take new tables within 1 s .* The old tables are back\.$/,
    );
    expect(readFileSync(opendkim.keyTable, 'utf8')).toBe(before);
    expect(await signer()).toBe('240101');
    writeFileSync(opendkim.config, conf);
    expect(await apply(driver, [oldStandby, next])).toEqual(none);
    expect(await signer()).toBe('240128');
  });

  test.each([
    ['KeyTable', 'mine example.net:mail\n', /KeyTable line \d+ \(mine\) is no NAME DOMAIN:SELECTOR:KEYFILE/],
    [
      'SigningTable',
      '*@example.net nothing\n',
      /SigningTable line \d+ \(\*@example\.net\) names nothing, which KeyTable does not have/,
    ],
    ['SigningTable', '*@example.net\n', /SigningTable line \d+ \(\*@example\.net\) names no key of KeyTable/],
  ] as const)(
    "somebody's broken row in %s is not put into force by our reload: %j",
    async (table, row, why) => {
      const { opendkim, driver, signer } = await place();
      expect(await apply(driver, [old, nextStandby])).toEqual(none);
      const path = table === 'KeyTable' ? opendkim.keyTable : opendkim.signingTable;
      const good = readFileSync(path, 'utf8');
      writeFileSync(path, `${good}${row}`);
      const left = await apply(driver, [oldStandby, next]);
      expect(left.get(nextName)).toMatch(why);
      expect(readFileSync(path, 'utf8')).toBe(`${good}${row}`);
      expect(await signer()).toBe('240101');
      writeFileSync(path, good);
      expect(await apply(driver, [oldStandby, next])).toEqual(none);
      expect(await signer()).toBe('240128');
    },
  );

  test('a key that cannot be loaded, or is another than its record says: the old one signs', async () => {
    const { driver, signer } = await place();
    expect(await apply(driver, [old])).toEqual(none);
    const lost = { ...next, load: () => Promise.reject(new Error('The disk does not give it back.')) };
    expect(await apply(driver, [oldStandby, lost])).toEqual(
      new Map([[nextName, 'The key was not put where OpenDKIM reads it: The disk does not give it back.']]),
    );
    expect(await signer()).toBe('240101');
    const wrong = { ...next, publicKey: old.publicKey };
    expect(await apply(driver, [oldStandby, wrong])).toEqual(
      new Map([
        [nextName, "OpenDKIM signs with it, but the signature does not hold with the key's public half."],
      ]),
    );
    expect(await signer()).toBe('240101');
    expect(await apply(driver, [oldStandby, next])).toEqual(none);
    expect(await signer()).toBe('240128');
  });

  test('a domain that OpenDKIM is told not to sign: said, and not tried again each minute', async () => {
    const clock = { now: Date.now() };
    const { opendkim, driver } = await place(
      { lines: [`ExemptDomains ${domain}`] },
      { now: () => clock.now },
    );
    const left = await apply(driver, [old]);
    expect(left.get(oldName)).toMatch(
      /^OpenDKIM did not sign a test message with it: look for ExemptDomains/,
    );
    expect(await apply(driver, [old])).toEqual(left);
    const table = readFileSync(opendkim.keyTable, 'utf8');
    expect(table).not.toContain(`selkie/${domain} `);
    writeFileSync(opendkim.config, readFileSync(opendkim.config, 'utf8').replace(/^ExemptDomains.*$/m, ''));
    process.kill(opendkim.pid(), 'SIGUSR1');
    // OpenDKIM notices in its own time.
    await expect
      .poll(() => {
        clock.now += 600_000;
        return apply(driver, [old]);
      })
      .toEqual(none);
  });

  test('OpenDKIM is down: said for each key; when it is back, all is as it was', async () => {
    const { opendkim, driver, signer } = await place();
    expect(await apply(driver, [old, nextStandby])).toEqual(none);
    await opendkim.kill();
    const left = await apply(driver, [oldStandby, next]);
    expect([...left.keys()].sort()).toEqual([oldName, nextName]);
    expect(left.get(nextName)).toBe(
      `OpenDKIM does not run with ${opendkim.config}: start it (systemctl start opendkim).`,
    );
    await opendkim.start();
    expect(await signer()).toBe('240101');
    expect(await apply(driver, [oldStandby, next])).toEqual(none);
    expect(await signer()).toBe('240128');
    await opendkim.kill();
    await opendkim.start();
    expect(await apply(driver, [oldStandby, next])).toEqual(none);
  });

  test("somebody's change of our rows, put into force by himself, is found and mended", async () => {
    const { opendkim, driver, signer } = await place();
    expect(await apply(driver, [old, nextStandby])).toEqual(none);
    const tables = readFileSync(opendkim.keyTable, 'utf8');
    writeFileSync(
      opendkim.keyTable,
      tables
        .replace(`selkie/${domain} ${domain}:240101:`, `selkie/${domain} ${domain}:240128:`)
        .replace('240101._domainkey', '240128._domainkey'),
    );
    process.kill(opendkim.pid(), 'SIGUSR1');
    await expect.poll(() => signer()).toBe('240128');
    const mailer = await opendkim.connect();
    expect(await apply(driver, [old, nextStandby])).toEqual(
      new Map([[oldName, expect.stringMatching(/^1 connection opened before the reload/)]]),
    );
    await mailer.close();
    expect(await apply(driver, [old, nextStandby])).toEqual(none);
    expect(await signer()).toBe('240101');
  });

  test('a key file that was lost or opened to others is mended', async () => {
    const { opendkim, driver, signer } = await place();
    const file = join(opendkim.folder, 'keys', `240101._domainkey.${domain}.pem`);
    expect(await apply(driver, [old])).toEqual(none);
    chmodSync(file, 0o644);
    expect(await apply(driver, [old])).toEqual(none);
    expect(await signer()).toBe('240101');
    rmSync(file);
    expect(await apply(driver, [old])).toEqual(none);
    expect(await signer()).toBe('240101');
  });

  test('a directory that everybody may write to: refused by name, with the command that mends it', async () => {
    const { opendkim, driver, again, signer } = await place();
    expect(await apply(driver, [old])).toEqual(none);
    chmodSync(opendkim.folder, 0o777);
    const why = new RegExp(
      `OpenDKIM would not take keys from .*: everybody may write to the directory ${opendkim.folder} .*: chmod o-w ${opendkim.folder}`,
    );
    await expect(apply(driver, [next])).rejects.toThrow(why);
    await expect(again()).rejects.toMatchObject({ code: 'unsafe' });
    chmodSync(opendkim.folder, 0o755);
    expect(await signer()).toBe('240101');
    expect(await apply(driver, [next])).toEqual(none);
    expect(await signer()).toBe('240128');
  });

  test('tables in a directory that the keeper may not write to: said, with what to do; the old key signs', async () => {
    if (process.getuid?.() !== 0) return;
    const { opendkim, signer } = await place();
    const as = { uid: opendkim.uid, gid: opendkim.gid };
    const etc = join(opendkim.folder, 'etc');
    expect(await applyInChild(opendkim, [old], { as })).toMatchObject({ left: {} });
    chownSync(etc, 0, 0);
    expect(await applyInChild(opendkim, [oldStandby, next], { as })).toMatchObject({
      left: {
        [nextName]: expect.stringMatching(
          new RegExp(
            `SigningTable cannot be replaced|KeyTable cannot be replaced: selkie-agent's user may not write to the directory ${etc}`,
          ),
        ),
      },
    });
    expect(await signer()).toBe('240101');
    chownSync(etc, as.uid, as.gid);
    expect(await applyInChild(opendkim, [oldStandby, next], { as })).toMatchObject({ left: {} });
    expect(await signer()).toBe('240128');
  });

  test.each(['etc', 'keys'] as const)(
    'a full disk under %s: said; the old key signs; room again, and the new one does',
    async (name) => {
      const { opendkim, driver, signer } = await place();
      const folder = join(opendkim.folder, name);
      expect(await apply(driver, [old])).toEqual(none);
      const kept = readdirSync(folder).map((file) => [file, readFileSync(join(folder, file))] as const);
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder], { stdio: 'ignore' });
      } catch {
        process.stderr.write('LEFT OUT: a full disk under the keeper of OpenDKIM (mount is refused here)\n');
        return;
      }
      onTestFinished(() => {
        execFileSync('umount', ['-l', folder]);
      });
      chmodSync(folder, 0o755);
      chownSync(folder, opendkim.uid, opendkim.gid);
      for (const [file, content] of kept) {
        writeFileSync(join(folder, file), content, { mode: 0o600 });
        chownSync(join(folder, file), opendkim.uid, opendkim.gid);
      }
      expect(await apply(driver, [old])).toEqual(none);
      const ballast = join(folder, 'ballast');
      for (let size = 64; size > 0; size -= 4)
        try {
          appendFileSync(ballast, Buffer.alloc(4_096));
        } catch {
          break;
        }
      const left = await apply(driver, [oldStandby, next]);
      expect([...left.keys()]).toContain(nextName);
      expect(left.get(nextName)).toMatch(/ENOSPC: no space left on device/);
      expect(await signer()).toBe('240101');
      rmSync(ballast);
      expect(await apply(driver, [oldStandby, next])).toEqual(none);
      expect(await signer()).toBe('240128');
    },
  );
});

describeWith(['opendkim'], 'the keeper of OpenDKIM: beside rows of others', () => {
  /** An installation as tutorials have it, with a key of its own for another domain. */
  const installed = async (options: OpendkimOptions = {}) => {
    const here = await place(options);
    const { opendkim } = here;
    const own = join(opendkim.folder, 'own');
    mkdirSync(own, { mode: 0o700 });
    chownSync(own, opendkim.uid, opendkim.gid);
    const write = (host: string, selector: string): string => {
      const file = join(own, `${selector}.${host}.private`);
      writeFileSync(file, testKey(host, selector).key.export({ type: 'pkcs8', format: 'pem' }), {
        mode: 0o600,
      });
      chownSync(file, opendkim.uid, opendkim.gid);
      return file;
    };
    return { ...here, write };
  };

  test.each(['file', 'refile'] as const)(
    '%s: they are kept, in order, with their comments, and sign as before',
    async (signingType) => {
      const { opendkim, driver, signer, write } = await installed({ signingType });
      const mine = driverKey('example.net', 'mail', 'signing');
      const keyTable = `# my keys\n\nmail._domainkey.example.net\texample.net:mail:${write('example.net', 'mail')} # old\n`;
      const pattern = signingType === 'refile' ? '*@example.net' : 'example.net';
      const signingTable = `# who signs\n${pattern}   mail._domainkey.example.net   # all of them\n\n# the end`;
      writeFileSync(opendkim.keyTable, keyTable);
      writeFileSync(opendkim.signingTable, signingTable);
      for (const keys of [[old, nextStandby], [oldStandby, next], [next], []]) {
        expect(await apply(driver, keys)).toEqual(none);
        expect(readFileSync(opendkim.keyTable, 'utf8').startsWith(keyTable)).toBe(true);
        expect(readFileSync(opendkim.signingTable, 'utf8').startsWith(`${signingTable}\n`)).toBe(true);
        expect(await signer('user@example.net', [mine])).toBe('mail');
      }
      expect(readFileSync(`${opendkim.keyTable}.org`, 'utf8')).toBe(keyTable);
      expect(readFileSync(`${opendkim.signingTable}.org`, 'utf8')).toBe(signingTable);
    },
  );

  test('a row for everybody that stands first: ours comes before it', async () => {
    const { opendkim, driver, signer, write } = await installed();
    const mine = driverKey('example.net', 'mail', 'signing');
    writeFileSync(opendkim.keyTable, `all example.net:mail:${write('example.net', 'mail')}\n`);
    writeFileSync(opendkim.signingTable, '* all\n');
    expect(await apply(driver, [old, nextStandby])).toEqual(none);
    expect(await signer()).toBe('240101');
    expect(await signer('user@somewhere.example', [mine])).toBe('mail');
  });

  test('a row of his own that names our domain follows the rotation; a stopped key takes it out, and brings it back', async () => {
    const { opendkim, driver, signer } = await place();
    expect(await apply(driver, [old])).toEqual(none);
    const row = `*@news.${domain} selkie/${domain} # the newsletter`;
    writeFileSync(opendkim.signingTable, `${row}\n${readFileSync(opendkim.signingTable, 'utf8')}`);
    for (const [keys, selector] of [
      [[old, nextStandby], '240101'],
      [[oldStandby, next], '240128'],
    ] as const) {
      expect(await apply(driver, keys)).toEqual(none);
      expect(await signer(`user@news.${domain}`)).toBe(selector);
    }
    expect(await apply(driver, [oldStandby], new Map([[nextName, 'Its record is revoked.']]))).toEqual(none);
    expect(await signer(`user@news.${domain}`)).toBe('');
    expect(await signer()).toBe('');
    expect(readFileSync(opendkim.signingTable, 'utf8')).toContain(`#selkie-stopped# ${row}\n`);
    expect(await apply(driver, [oldStandby, next])).toEqual(none);
    expect(await signer(`user@news.${domain}`)).toBe('240128');
    expect(readFileSync(opendkim.signingTable, 'utf8').startsWith(`${row}\n`)).toBe(true);
  });

  test('an adopted key signs by the rows that it had, and the first rotation moves them', async () => {
    const { opendkim, driver, signer, write } = await installed();
    const adopted = driverKey(domain, 'mail', 'signing');
    writeFileSync(opendkim.keyTable, `mail._domainkey.${domain} ${domain}:mail:${write(domain, 'mail')}\n`);
    writeFileSync(
      opendkim.signingTable,
      `*@${domain} mail._domainkey.${domain}\n*@mx.${domain} mail._domainkey.${domain} # hosts\n`,
    );
    process.kill(opendkim.pid(), 'SIGUSR1');
    for (const from of [`user@${domain}`, `user@mx.${domain}`])
      await expect.poll(() => signer(from, [adopted])).toBe('mail');
    expect(await apply(driver, [adopted])).toEqual(none);
    for (const from of [`user@${domain}`, `user@mx.${domain}`])
      expect(await signer(from, [adopted])).toBe('mail');
    expect(await apply(driver, [{ ...adopted, duty: 'standby' }, next])).toEqual(none);
    for (const from of [`user@${domain}`, `user@mx.${domain}`])
      expect(await signer(from, [adopted])).toBe('240128');
    expect(await apply(driver, [])).toEqual(none);
    for (const from of [`user@${domain}`, `user@mx.${domain}`])
      expect(await signer(from, [adopted])).toBe('');
  });

  test('dated copies are kept, a bounded number of them', async () => {
    const clock = { now: Date.UTC(2026, 10, 3, 9, 15) };
    const { opendkim, driver } = await place({}, { now: () => clock.now, backups: 3 });
    for (let i = 0; i < 8; i += 1) {
      clock.now += 61_000;
      expect(await apply(driver, i % 2 === 0 ? [old, nextStandby] : [oldStandby, next])).toEqual(none);
    }
    const copies = readdirSync(join(opendkim.folder, 'etc')).filter((name) => name.startsWith('KeyTable'));
    expect(copies.filter((name) => /^KeyTable\.\d{8}-\d{6}$/.test(name))).toHaveLength(3);
    expect(copies).toHaveLength(5);
    expect(readFileSync(`${opendkim.keyTable}.org`, 'utf8')).toBe('');
  });

  test('a host without keys leaves the tables as they are', async () => {
    const { opendkim, driver } = await place({ keyTable: '# mine\n' });
    expect(await apply(driver, [])).toEqual(none);
    expect(readFileSync(opendkim.keyTable, 'utf8')).toBe('# mine\n');
    expect(readdirSync(join(opendkim.folder, 'etc')).sort()).toEqual(['KeyTable', 'SigningTable']);
  });

  test('more keys than one call puts to work: the rest is said to follow, and does', async () => {
    const { driver, signer } = await place({}, { atOnce: 3 });
    const keys = ['a', 'b', 'c', 'd', 'e'].map((name) => driverKey(`${name}.example`, '240101', 'signing'));
    const left = await apply(driver, keys);
    expect(left.size).toBeGreaterThan(0);
    expect(new Set(left.values())).toEqual(
      new Set(['Other keys are put to work first; this one follows within minutes.']),
    );
    await expect.poll(() => apply(driver, keys), { timeout: 10_000 }).toEqual(none);
    for (const { domain: author } of keys) expect(await signer(`user@${author}`, keys)).toBe('240101');
  });

  test('AutoRestart: the parent is told, and its child reloads', async () => {
    const { driver, signer } = await place({ lines: ['AutoRestart yes'] });
    for (const [keys, selector] of [
      [[old, nextStandby], '240101'],
      [[oldStandby, next], '240128'],
    ] as const) {
      expect(await apply(driver, keys)).toEqual(none);
      expect(await signer()).toBe(selector);
    }
  });
});
