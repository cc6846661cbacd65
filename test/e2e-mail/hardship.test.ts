// A mail host in trouble: killed in the middle of a swap, its disk full or read-only, its clock wrong. Its mail goes on being signed
// with a key that verifies, or waits; and when the trouble is over, it comes to do what it was told.
import { execFileSync } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { days } from '../../core/time.ts';
import { fillDisk, mayMount, mountDisk, unmountDisk } from '../tools/disk.ts';
import { describeWith } from '../tools/machine.ts';
import { turned } from '../tools/sealed.ts';
import { sendSmtp } from '../tools/smtp.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import { movedClock } from '../torture/clock.ts';
import { type MailHostOptions, startMailHost } from './host.ts';
import { judge, selectorsOf } from './judge.ts';
import { startLoad } from './load.ts';
import { submission } from './messages.ts';
import { keySet, rotate } from './rotation.ts';
import type { DriverName } from './signers.ts';
import { createZone } from './zone.ts';

const domain = 'example.com';
const [old, next] = ['240128', '240428'];

const enrolled = async (driver: DriverName, more: Partial<MailHostOptions> = {}) => {
  const host = await startMailHost({ driver, domain, ...more });
  onTestFinished(() => host.end());
  const zone = createZone();
  const [first, second] = [
    keySet(domain, old, host.signer.keyTypes),
    keySet(domain, next, host.signer.keyTypes),
  ];
  await rotate(host.agent, zone, first);
  zone.publish(second, Date.now());
  await host.agent.settle(second);
  /** The whole set, this one signing. */
  const signing = (which: typeof first) => [
    ...first.map((key) => ({ ...key, duty: which === first ? ('signing' as const) : ('standby' as const) })),
    ...second.map((key) => ({
      ...key,
      duty: which === second ? ('signing' as const) : ('standby' as const),
    })),
  ];
  const change = (to: typeof first) => signing(to).map((key) => turned(key, key.duty));
  return { host, zone, first, second, signing, change };
};

/** Every message that arrived since the first `from` bears this host's signatures, and they verify. @returns the selectors of the last */
const expectSigned = async (
  { host, zone }: Awaited<ReturnType<typeof enrolled>>,
  from: number,
): Promise<string[]> => {
  const messages = host.sink.messages.slice(from);
  const judged = messages.map(({ raw }, i) => ({
    raw,
    what: `message ${from + i}`,
    domain,
    at: [Date.now()],
    signatures: host.signer.keyTypes.length,
  }));
  expect((await judge(judged, zone.at)).problems).toEqual([]);
  const last = messages.at(-1);
  return last === undefined ? [] : selectorsOf(last, domain);
};

/** One message through Postfix. @returns the RSA selector that it arrives with, verified */
const signedBy = async (world: Awaited<ReturnType<typeof enrolled>>): Promise<string | undefined> => {
  const { postfix, sink } = world.host;
  const before = sink.messages.length;
  await sendSmtp(postfix.port, submission(0, domain));
  await sink.received(before + 1);
  return (await expectSigned(world, before))[0];
};

/** The same, but nobody verifies: RFC 6376 §3.5 lets verifiers refuse a `t=` in the future, and dkimpy and OpenDKIM do. */
const signedUnjudged = async ({
  host,
}: Awaited<ReturnType<typeof enrolled>>): Promise<string | undefined> => {
  const { postfix, sink } = host;
  const before = sink.messages.length;
  await sendSmtp(postfix.port, submission(0, domain));
  const message = (await sink.received(before + 1)).at(-1);
  return message === undefined ? undefined : selectorsOf(message, domain)[0];
};

/** Enrolled, with the agent's state on a disk of its own. */
const onOwnDisk = (driver: DriverName) =>
  enrolled(driver, {
    prepare: (dir) => {
      mountDisk(dir, '2m');
      return () => unmountDisk(dir);
    },
  });

const refusedOrFailed = async (push: Promise<{ readonly failed: object }>): Promise<boolean> =>
  push.then(
    ({ failed }) => Object.keys(failed).length > 0,
    () => true,
  );

const suite = (driver: DriverName): void => {
  describe(driver, () => {
    it('killed at any moment of a swap, it comes back signing', async () => {
      const world = await enrolled(driver);
      const { host, first, second, signing, change } = world;
      const { agent, postfix, sink } = host;
      const from = sink.messages.length;
      // Our own milter dies with the agent, and mail waits at the client; the others sign on.
      const load =
        driver === 'builtin'
          ? undefined
          : startLoad({ postfix, least: 100, pause: 200, domainOf: () => domain });
      let [now, other] = [first, second];
      for (const delay of [0, 5, 15, 30, 60, 100, 150, 250]) {
        const pushing = agent.push(change(other)).catch(() => undefined);
        await wait(delay);
        await agent.kill();
        await pushing;
        if (driver === 'builtin') await expect(signedBy(world)).rejects.toThrow(/SMTP: 4\d\d/);
        await agent.start();
        // Before the control plane says anything: one of both.
        expect([now[0]?.selector, other[0]?.selector]).toContain(await signedBy(world));
        await agent.snapshot(signing(other));
        await agent.settle([]);
        expect(await signedBy(world)).toBe(other[0]?.selector);
        [now, other] = [other, now];
      }
      await load?.end();
      await sink.received(from + (load?.sent.size ?? 0));
      await postfix.drained();
      await expectSigned(world, from);
    }, 180_000);

    it.skipIf(!mayMount())(
      'with a full disk, it signs on, and turns its keys when there is room',
      async () => {
        const world = await onOwnDisk(driver);
        const { agent } = world.host;
        const filler = join(agent.dir, 'filler');
        fillDisk(filler);
        const third = keySet(domain, '240728', world.host.signer.keyTypes);
        expect(await refusedOrFailed(agent.push(third))).toBe(true);
        expect(await refusedOrFailed(agent.push(world.change(world.second)))).toBe(true);
        expect(await signedBy(world)).toBe(old);
        await agent.kill();
        await agent.start();
        expect(await signedBy(world)).toBe(old);
        rmSync(filler);
        await agent.snapshot(world.signing(world.second));
        await agent.settle([]);
        expect(await signedBy(world)).toBe(next);
      },
      120_000,
    );

    it.skipIf(!mayMount())(
      'with a read-only disk, it signs on, after a restart too, and turns its keys when it may write',
      async () => {
        const world = await onOwnDisk(driver);
        const { agent } = world.host;
        execFileSync('mount', ['-o', 'remount,ro', agent.dir]);
        expect(await refusedOrFailed(agent.push(world.change(world.second)))).toBe(true);
        expect(await signedBy(world)).toBe(old);
        // A crash leaves its lock behind, which cannot be taken away now; a stop leaves none, and none can be made.
        await agent.kill();
        await agent.start();
        expect(await signedBy(world)).toBe(old);
        expect(await refusedOrFailed(agent.push(world.change(world.second)))).toBe(true);
        expect(agent.said()).toContain(`state folder: ${agent.dir} cannot be written to`);
        execFileSync('mount', ['-o', 'remount,rw', agent.dir]);
        await agent.stop();
        execFileSync('mount', ['-o', 'remount,ro', agent.dir]);
        await agent.start();
        expect(await signedBy(world)).toBe(old);
        execFileSync('mount', ['-o', 'remount,rw', agent.dir]);
        await agent.snapshot(world.signing(world.second));
        await agent.settle([]);
        expect(await signedBy(world)).toBe(next);
      },
      120_000,
    );

    it('with a wrong clock, it refuses bundles and signs on, after a restart too', async () => {
      const folder = temporaryFolder();
      // The agent may be another user.
      chmodSync(folder, 0o755);
      const clock = movedClock(join(folder, 'clock'));
      const world = await enrolled(driver, {
        env: {
          SELKIE_TORTURE_CLOCK: clock.file,
          NODE_OPTIONS: `--import ${join(import.meta.dirname, '../torture/clock-preload.ts')}`,
        },
      });
      const { agent } = world.host;
      for (const offset of [days(2), -days(2)]) {
        clock.set(offset);
        await wait(100);
        await expect(agent.push(world.change(world.second))).rejects.toThrow(/expired|clock|future|issued/i);
        expect(await signedUnjudged(world)).toBe(old);
        await agent.kill();
        await agent.start();
        expect(await signedUnjudged(world)).toBe(old);
      }
      clock.set(0);
      await wait(100);
      await agent.snapshot(world.signing(world.second));
      await agent.settle([]);
      expect(await signedBy(world)).toBe(next);
    }, 120_000);
  });
};

describeWith(['postfix', 'opendkim', 'dkimpy'], 'a mail host in trouble', () => {
  suite('builtin');
  suite('opendkim');
});
describeWith(['postfix', 'opendkim', 'dkimpy', 'rspamd'], 'a mail host in trouble, rspamd signing', () =>
  suite('rspamd'),
);
