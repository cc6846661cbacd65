// Adopted keys in the key store: taken in, kept until the control plane speaks of them, and then its.
import { createPrivateKey, randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { createNodeKeys } from '../../../adapters/node-keys.ts';
import { takeKeys } from '../../../agent/adopt/take.ts';
import { createApplier } from '../../../agent/apply.ts';
import { createBuiltinDriver } from '../../../agent/drivers/builtin.ts';
import { createDuties } from '../../../agent/duties.ts';
import { openKeyStore } from '../../../agent/key-store.ts';
import { lockFolder } from '../../../agent/lock.ts';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import type { KeyChange, Manifest } from '../../../contract/manifest.ts';
import { instant, seconds } from '../../../core/time.ts';
import { makeKey, noon } from '../../tools/sealed.ts';
import { temporaryFolder } from '../../tools/temporary-folder.ts';

const domain = 'example.com';
const keys = createNodeKeys();
const [mail, other, ours] = [
  makeKey(domain, 'mail', 'signing', 'rsa2048'),
  makeKey(domain, 'other', 'signing', 'rsa2048'),
  makeKey(domain, '240128', 'standby', 'rsa2048'),
];

let dir: string;
beforeEach(() => {
  dir = temporaryFolder();
});

const take = (...wanted: (typeof mail)[]) =>
  takeKeys(
    dir,
    wanted.map(({ selector, algorithm, publicKey, privateKey }) => ({
      domain,
      selector,
      file: '/k',
      by: 'a test',
      warnings: [],
      read: {
        algorithm,
        publicKey,
        key: createPrivateKey({ key: Buffer.from(privateKey, 'base64'), type: 'pkcs8', format: 'der' }),
      },
    })),
    keys,
  );

/** The agent's parts on this folder, as at a start. */
const open = async () => {
  const store = await openKeyStore(join(dir, 'store'), randomUUID);
  const ring = createKeyRing();
  const duties = createDuties(store, createBuiltinDriver(ring), () => {});
  await duties.enforce();
  const applier = createApplier({ host: 'mx1', store, duties, keys, now: () => noon });
  let n = 0;
  const apply = (
    from: number | null,
    to: number,
    changes: readonly KeyChange[],
    more: Partial<Manifest> = {},
  ) => {
    n += 1;
    const manifest: Manifest = {
      aud: 'mx1',
      place: { epoch: 1, n: to },
      from: from === null ? null : { epoch: 1, n: from },
      nonce: randomUUID(),
      iat: instant(noon + seconds(n)) / 1000,
      exp: instant(noon + seconds(n)) / 1000 + 60,
      sha256: '',
      ...more,
    };
    return applier.apply({ manifest, payload: { changes } });
  };
  return {
    store,
    apply,
    signs: () => ring.signingKeys(domain).map(({ selector }) => selector),
    holds: () => [...store.state.keys].map(([name, { duty }]) => `${name.split('/')[1]} ${duty}`).toSorted(),
  };
};

/** As the engine tells it: without a private key. */
const told = ({ privateKey: _, ...change }: typeof mail, duty: KeyChange['duty']): KeyChange => ({
  ...change,
  duty,
  adopted: true,
});

describe('an adopted key', () => {
  it('signs from the first start on, before any control plane has spoken', async () => {
    expect(await take(mail)).toEqual([{ name: 'example.com/mail', as: 'signing' }]);
    const agent = await open();
    expect(agent.signs()).toEqual(['mail']);
    expect(agent.store.state.cursor).toBeNull();
  });

  it('taken again is as it was', async () => {
    await take(mail);
    const before = readFileSync(join(dir, 'store/index.json'), 'utf8');
    expect(await take(mail)).toEqual([{ name: 'example.com/mail', as: 'held' }]);
    expect(readFileSync(join(dir, 'store/index.json'), 'utf8')).toBe(before);
  });

  it('outlives snapshots that do not speak of it, and starts in between', async () => {
    await take(mail);
    const first = await open();
    await first.apply(null, 0, []);
    const second = await open();
    await second.apply(null, 3, [], { snapshot: { id: 'snapshot-1', part: 1, parts: 1 } });
    expect(second.signs()).toEqual(['mail']);
  });

  it('is the control plane’s once it has spoken; yet only its word erases it, no older snapshot', async () => {
    await take(mail);
    const agent = await open();
    const answer = await agent.apply(null, 1, [told(mail, 'signing')]);
    expect(answer.failed).toEqual({});
    expect(agent.signs()).toEqual(['mail']);
    // Two workers: this one was made before the adoption, and sealed after it.
    await agent.apply(null, 0, []);
    expect(agent.signs()).toEqual(['mail']);
    await agent.apply(null, 2, [told(mail, 'standby')]);
    await agent.apply(null, 2, []);
    expect(agent.holds()).toEqual(['mail standby']);
    await agent.apply(null, 3, [told(mail, 'none')]);
    expect(agent.holds()).toEqual([]);
    expect(agent.store.state).not.toHaveProperty('adopted');
    expect(readdirSync(join(dir, 'store/keys'))).toEqual([]);
  });

  it('gives way to its successor, waits for a rollback, and is erased when it is told', async () => {
    await take(mail);
    const agent = await open();
    await agent.apply(null, 1, [told(mail, 'signing')]);
    await agent.apply(1, 2, [ours]);
    expect(agent.signs()).toEqual(['mail']);
    const { privateKey: _, ...successor } = ours;
    await agent.apply(2, 3, [{ ...successor, duty: 'signing' }, told(mail, 'standby')]);
    expect(agent.signs()).toEqual(['240128']);
    expect(agent.holds()).toEqual(['240128 signing', 'mail standby']);
    await agent.apply(3, 4, [told(mail, 'signing'), { ...successor, duty: 'standby' }]);
    expect(agent.signs()).toEqual(['mail']);
    await agent.apply(4, 5, [told(mail, 'none')]);
    expect(agent.holds()).toEqual(['240128 standby']);
    expect(readdirSync(join(dir, 'store/keys'))).toHaveLength(1);
  });

  it('that nobody speaks of gives way to a successor too, in a snapshot and in a delta', async () => {
    await take(mail);
    const agent = await open();
    await agent.apply(null, 1, [{ ...ours, duty: 'signing' }]);
    expect(agent.holds()).toEqual(['240128 signing', 'mail standby']);
    dir = temporaryFolder();
    await take(mail);
    const later = await open();
    await later.apply(null, 1, []);
    await later.apply(1, 2, [{ ...ours, duty: 'signing' }]);
    expect(later.holds()).toEqual(['240128 signing', 'mail standby']);
  });

  it('in a snapshot of two parts is held through both, whichever speaks of it', async () => {
    await take(mail, other);
    const agent = await open();
    const part = (n: number) => ({ snapshot: { id: 'snapshot-1', part: n, parts: 2 } });
    await agent.apply(null, 5, [told(mail, 'signing')], part(1));
    expect(agent.signs()).toEqual(['mail']);
    await agent.apply(null, 5, [told(other, 'none')], part(2));
    expect(agent.holds()).toEqual(['mail signing']);
  });

  it('that this host does not have is one that failed, with what to do; taken in, it is in order', async () => {
    const agent = await open();
    const { failed } = await agent.apply(null, 1, [told(mail, 'signing')]);
    expect(failed).toEqual({
      'example.com/mail':
        'This host never had the adopted key example.com/mail: adopt it here with selkie-agent adopt, or wait for the first rotation.',
    });
    expect(await take(mail)).toEqual([{ name: 'example.com/mail', as: 'told' }]);
    const next = await open();
    expect(next.store.state.cursor).toEqual({ epoch: 1, n: 0 });
    // What it was told is not remembered: it answers as before, and so is told again.
    expect(next.signs()).toEqual([]);
    expect(Object.keys((await next.apply(0, 1, [])).failed)).toEqual(['example.com/mail']);
    expect((await next.apply(1, 1, [told(mail, 'signing')])).failed).toEqual({});
    expect(next.signs()).toEqual(['mail']);
  });

  it('of which the record shows another is told so', async () => {
    await take(mail);
    const agent = await open();
    const { failed } = await agent.apply(null, 1, [{ ...told(other, 'signing'), selector: 'mail' }]);
    expect(failed['example.com/mail']).toBe(
      'This host holds another key as example.com/mail than the record shows: adopt the right one with selkie-agent adopt.',
    );
    expect(agent.signs()).toEqual([]);
  });
});

describe('taking keys', () => {
  it('beside a key that signs already is for standby', async () => {
    const agent = await open();
    await agent.apply(null, 1, [{ ...ours, duty: 'signing' }]);
    expect(await take(mail)).toEqual([{ name: 'example.com/mail', as: 'standby' }]);
    expect((await open()).signs()).toEqual(['240128']);
  });

  it('of both types for a domain has both sign; of two of one type, the first', async () => {
    const ed = makeKey(domain, 'e2020', 'signing');
    expect((await take(mail, ed, other)).map(({ as }) => as)).toEqual(['signing', 'signing', 'standby']);
    expect((await open()).signs()).toEqual(['mail', 'e2020']);
  });

  it('is refused while the agent runs', async () => {
    const unlock = await lockFolder(dir);
    await expect(take(mail)).rejects.toMatchObject({ code: 'busy' });
    await unlock();
    expect(existsSync(join(dir, 'store'))).toBe(false);
  });

  it('is all or nothing: another key of the same name leaves all as it was', async () => {
    await take(mail);
    await expect(take(ours, { ...other, selector: 'mail' })).rejects.toMatchObject({ code: 'exists' });
    expect((await open()).holds()).toEqual(['mail signing']);
    expect(readdirSync(join(dir, 'store/keys'))).toHaveLength(1);
  });

  it('that do not fit their record is refused', async () => {
    await expect(take({ ...mail, publicKey: other.publicKey })).rejects.toMatchObject({
      code: 'unavailable',
    });
    expect((await open()).holds()).toEqual([]);
  });
});
