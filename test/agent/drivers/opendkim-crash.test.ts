import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { DriverKey } from '../../../agent/drivers/driver.ts';
import { driverKey, signaturesOf } from '../../contracts/driver.ts';
import { describeWith } from '../../tools/machine.ts';
import { startOpendkim, type TestOpendkim } from '../../tools/opendkim.ts';
import { applyInChild } from '../../tools/opendkim-child.ts';

const domain = 'example.jp';
const other = 'example.org';

/** What a message is signed with; every signature holds, and none is put off. */
const signer = async (opendkim: TestOpendkim, from: string, known: readonly DriverKey[]): Promise<string> => {
  const mailer = await opendkim.connect();
  const { verdict, raw } = await mailer.send(`user@${from}`);
  await mailer.close();
  expect(verdict).toBe('accept');
  const signatures = await signaturesOf(raw, known);
  expect(signatures.every((one) => one.endsWith(' pass'))).toBe(true);
  return signatures.map((one) => one.split(' ')[0]).join();
};

describeWith(['opendkim'], 'the keeper of OpenDKIM, killed', () => {
  test('after any of its steps: mail is signed meanwhile, after a restart of OpenDKIM too, and the next call comes to the same end', async () => {
    const opendkim = await startOpendkim({ signingTable: '# mine\n', keyTable: '# mine too\n' });
    try {
      const [a, b] = ['240101', '240128'];
      const gone = driverKey(other, '240101', 'signing');
      const at = (signing: string | undefined): DriverKey[] => [
        ...[a, b].map((selector) =>
          driverKey(domain, selector, selector === signing ? 'signing' : 'standby'),
        ),
        ...(signing === a ? [gone] : []),
      ];
      const known = [...at(a)];
      expect(await applyInChild(opendkim, at(a))).toMatchObject({ left: {} });
      let from = a;
      let step = 1;
      const deaths: number[] = [];
      for (; ; step += 1) {
        const to = from === a ? b : a;
        const died = (await applyInChild(opendkim, at(to), { dieAfter: step })) === undefined;
        // Switched or not, and with what other domains have or had: never put off, never without.
        expect([a, b]).toContain(await signer(opendkim, domain, known));
        await opendkim.kill();
        await opendkim.start();
        expect([a, b]).toContain(await signer(opendkim, domain, known));
        expect(['', '240101']).toContain(await signer(opendkim, other, known));
        expect(await applyInChild(opendkim, at(to))).toMatchObject({ left: {} });
        expect(await signer(opendkim, domain, known)).toBe(to);
        expect(await signer(opendkim, other, known)).toBe(to === a ? '240101' : '');
        from = to;
        if (!died) break;
        deaths.push(step);
      }
      // Keys, state, copies, two tables, signal, reload seen, domains, removals, purge, sweep.
      expect(deaths.length).toBeGreaterThanOrEqual(9);
    } finally {
      await opendkim.end();
    }
  }, 240_000);

  test('while a stopped key was to be taken out: it signs no more after the next call, nor after OpenDKIM was started anew', async () => {
    const opendkim = await startOpendkim();
    try {
      const key = driverKey(domain, '240101', 'signing');
      const stopped = { [`${domain}/240101`]: 'Its record is revoked.' };
      for (let step = 1; ; step += 1) {
        expect(await applyInChild(opendkim, [key])).toMatchObject({ left: {} });
        expect(await signer(opendkim, domain, [key])).toBe('240101');
        const died = (await applyInChild(opendkim, [], { stopped, dieAfter: step })) === undefined;
        await opendkim.kill();
        // OpenDKIM is down: it must not come back with the key.
        const answer = await applyInChild(opendkim, [], { stopped });
        expect(answer).toMatchObject({ left: expect.anything() });
        await opendkim.start();
        expect(await signer(opendkim, domain, [key])).toBe('');
        expect(await applyInChild(opendkim, [], { stopped })).toMatchObject({ left: {} });
        expect(await signer(opendkim, domain, [key])).toBe('');
        if (!died) break;
      }
    } finally {
      await opendkim.end();
    }
  }, 240_000);
});

describeWith(['opendkim'], "the keeper of OpenDKIM, run as OpenDKIM's own user", () => {
  test('keeps keys and tables, and signals', async () => {
    if (process.getuid?.() !== 0) return;
    const opendkim = await startOpendkim();
    try {
      const as = { uid: opendkim.uid, gid: opendkim.gid };
      mkdirSync(join(opendkim.folder, 'keys'), { mode: 0o700 });
      chownSync(join(opendkim.folder, 'keys'), as.uid, as.gid);
      for (const selector of ['240101', '240128']) {
        const key = driverKey(domain, selector, 'signing');
        expect(await applyInChild(opendkim, [key], { as })).toMatchObject({ left: {} });
        expect(await signer(opendkim, domain, [key])).toBe(selector);
      }
      const stranger = await applyInChild(opendkim, [driverKey(domain, '240101', 'signing')], {
        as: { uid: 65_534, gid: 65_534 },
      });
      expect(stranger).toMatch(/OpenDKIM runs as opendkim; .* run selkie-agent as opendkim, or as root\./);
    } finally {
      await opendkim.end();
    }
  }, 60_000);
});
