// The contract of `Driver`, for every signer: real messages go through the real signer, and mailauth says what they are
// signed with.
import { createPublicKey } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Driver, DriverKey, Wanted } from '../../agent/drivers/driver.ts';
import type { MilterAnswer } from '../../agent/milter/client.ts';
import { type Algorithm, algorithms } from '../../core/algorithm.ts';
import { verify } from '../oracles/mailauth.ts';
import { type Records, recordsOf, testKey } from '../oracles/records.ts';

/** A way into the signer that stays as it is: a milter connection, where the signer has those. */
export interface Mailer {
  /** Hands the signer a message as an internal client does: envelope and From are this address. */
  send(from: string): Promise<MilterAnswer>;
  close(): Promise<void>;
}

export interface DriverHarness {
  /** The driver as the agent would make it, on the one signer of this harness; the one made before is closed first. */
  readonly start: () => Promise<Driver>;
  readonly connect: () => Promise<Mailer>;
  /** Ends the signer and removes what was made. */
  readonly end: () => Promise<void>;
  /** Milliseconds that the signer may take to do as wanted; 10 s unless told otherwise. */
  readonly patience?: number;
  /** Milliseconds between two looks; 100 unless told otherwise. */
  readonly pause?: number;
}

type Duty = DriverKey['duty'];

/** A key with its duty and public half, as the key store hands it out; made once for its name. */
export const driverKey = (
  domain: string,
  selector: string,
  duty: Duty,
  algorithm: Algorithm = 'rsa2048',
): DriverKey => {
  const { key, ...facts } = testKey(domain, selector, algorithm);
  const der = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const publicKey = (algorithms[algorithm].keyType === 'rsa' ? der : der.subarray(-32)).toString('base64');
  return { ...facts, publicKey, duty };
};

export const wanted = (keys: readonly DriverKey[], stopped: Wanted['stopped'] = new Map()): Wanted => ({
  keys,
  stopped,
});

const algorithmOf = { rsa: 'rsa2048', ed25519: 'ed25519' } as const;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What the message's signatures say, `240128 example.com pass`; records of all keys given are in the DNS. */
export const signaturesOf = async (raw: Uint8Array, keys: readonly DriverKey[]): Promise<string[]> => {
  const records: Records = Object.assign(
    {},
    ...keys.map(({ domain, selector, algorithm }) => recordsOf(testKey(domain, selector, algorithm))),
  );
  return (await verify(raw, records)).map((found) => `${found.selector} ${found.domain} ${found.result}`);
};

let count = 0;
/** A domain that no other test uses. */
const fresh = (): string => {
  count += 1;
  return `d${count}.example`;
};

export const driverContract = (name: string, make: () => Promise<DriverHarness>): void => {
  describe(`${name} as Driver`, () => {
    let harness: DriverHarness;
    let driver: Driver;
    let types: Driver['keyTypes'];

    beforeAll(async () => {
      harness = await make();
      driver = await harness.start();
      types = driver.keyTypes;
    }, 60_000);
    afterAll(async () => {
      await driver?.close();
      await harness?.end();
    }, 60_000);

    /** One key for each type that the signer can: what rotates together. */
    const set = (domain: string, selector: string, duty: Duty): DriverKey[] =>
      types.map((type) => {
        const algorithm = algorithmOf[type];
        return driverKey(domain, `${selector}${algorithms[algorithm].suffix}`, duty, algorithm);
      });

    /** Applies until no more than `expected` is left to wait for. @returns what still is, when patience ends */
    const settle = async (what: Wanted, expected = 0): Promise<ReadonlyMap<string, string>> => {
      const patience = harness.patience ?? 10_000;
      const pause = harness.pause ?? 100;
      for (let waited = 0; ; waited += pause) {
        const left = await driver.apply(what);
        for (const why of left.values()) {
          expect(why.length).toBeLessThanOrEqual(500);
          expect(why).not.toMatch(/PRIVATE KEY|[A-Za-z0-9+/]{100}/);
        }
        if (left.size <= expected || waited >= patience) return left;
        await wait(pause);
      }
    };

    const send = async (from: string): Promise<MilterAnswer> => {
      const mailer = await harness.connect();
      try {
        return await mailer.send(from);
      } finally {
        await mailer.close();
      }
    };

    const passes = (keys: readonly DriverKey[]): string[] =>
      keys.map(({ selector, domain }) => `${selector} ${domain} pass`).sort();

    /** One message from this domain is signed by these keys and by no others of `known`. */
    const expectSigned = async (
      domain: string,
      by: readonly DriverKey[],
      known: readonly DriverKey[] = by,
    ): Promise<void> => {
      const { verdict, raw } = await send(`user@${domain}`);
      expect(verdict).toBe('accept');
      expect((await signaturesOf(raw, known)).sort()).toEqual(passes(by));
    };

    test('signs with the signing keys, one of each type, and with no standby', async () => {
      const domain = fresh();
      const [old, next] = [set(domain, '240101', 'signing'), set(domain, '240128', 'standby')];
      expect(await settle(wanted([...old, ...next]))).toEqual(new Map());
      await expectSigned(domain, old, [...old, ...next]);
    });

    test('switches to the successor, and back', async () => {
      const domain = fresh();
      const both = (a: Duty, b: Duty) => [set(domain, '240101', a), set(domain, '240128', b)] as const;
      const before = both('signing', 'standby');
      const after = both('standby', 'signing');
      for (const [keys, signs] of [
        [before, before[0]],
        [after, after[1]],
        [before, before[0]],
      ] as const) {
        expect(await settle(wanted(keys.flat()))).toEqual(new Map());
        await expectSigned(domain, signs, keys.flat());
      }
    });

    test('a new signing key may come without having been standby', async () => {
      const domain = fresh();
      const first = set(domain, '240101', 'signing');
      expect(await settle(wanted(first))).toEqual(new Map());
      const second = set(domain, '240128', 'signing');
      expect(await settle(wanted(second))).toEqual(new Map());
      await expectSigned(domain, second, [...first, ...second]);
    });

    test('again is the same', async () => {
      const domain = fresh();
      const keys = set(domain, '240101', 'signing');
      for (let i = 0; i < 3; i += 1) expect(await settle(wanted(keys))).toEqual(new Map());
      await expectSigned(domain, keys);
    });

    test('many domains at once, each with its own key', async () => {
      const domains = Array.from({ length: 20 }, fresh);
      const keys = domains.flatMap((domain) => set(domain, '240101', 'signing'));
      expect(await settle(wanted(keys))).toEqual(new Map());
      for (const domain of [domains[0], domains[7], domains[19]])
        if (domain !== undefined)
          await expectSigned(
            domain,
            keys.filter((key) => key.domain === domain),
            keys,
          );
    }, 60_000);

    test('an author in upper case is signed for', async () => {
      const domain = fresh();
      const keys = set(domain, '240101', 'signing');
      expect(await settle(wanted(keys))).toEqual(new Map());
      const { raw } = await send(`User@${domain.toUpperCase()}`);
      expect((await signaturesOf(raw, keys)).sort()).toEqual(passes(keys));
    });

    test('mail of other domains goes through as it is, sub-domains included', async () => {
      const domain = fresh();
      const keys = set(domain, '240101', 'signing');
      expect(await settle(wanted(keys))).toEqual(new Map());
      for (const other of [fresh(), `sub.${domain}`, `x${domain}`]) {
        const { verdict, raw } = await send(`user@${other}`);
        expect(verdict).toBe('accept');
        expect(await signaturesOf(raw, keys)).toEqual([]);
      }
    });

    test('a stopped key signs nothing; the others sign on', async () => {
      const [stopped, other] = [fresh(), fresh()];
      const [key, kept] = [set(stopped, '240101', 'signing'), set(other, '240101', 'signing')];
      expect(await settle(wanted([...key, ...kept]))).toEqual(new Map());
      await expectSigned(stopped, key);
      const why = new Map(
        key.map(({ domain, selector }) => [`${domain}/${selector}`, 'Its record is revoked.']),
      );
      expect(await settle(wanted(kept, why))).toEqual(new Map());
      const { raw } = await send(`user@${stopped}`);
      expect(await signaturesOf(raw, key)).toEqual([]);
      await expectSigned(other, kept);
      expect(await settle(wanted([...key, ...kept]))).toEqual(new Map());
      await expectSigned(stopped, key);
    });

    test('the mail of a domain whose keys are gone is not signed; again and again', async () => {
      const [gone, other] = [fresh(), fresh()];
      const [key, kept] = [set(gone, '240101', 'signing'), set(other, '240101', 'signing')];
      expect(await settle(wanted([...key, ...kept]))).toEqual(new Map());
      for (let i = 0; i < 2; i += 1) {
        expect(await settle(wanted(kept))).toEqual(new Map());
        const { verdict, raw } = await send(`user@${gone}`);
        expect(verdict).toBe('accept');
        expect(await signaturesOf(raw, key)).toEqual([]);
        await expectSigned(other, kept);
      }
    });

    test('a new driver on the same signer goes on where the last one stood', async () => {
      const [domain, removed] = [fresh(), fresh()];
      const old = set(domain, '240101', 'signing');
      const other = set(removed, '240101', 'signing');
      expect(await settle(wanted([...old, ...other]))).toEqual(new Map());
      await driver.close();
      driver = await harness.start();
      const next = [...set(domain, '240101', 'standby'), ...set(domain, '240128', 'signing')];
      expect(await settle(wanted(next))).toEqual(new Map());
      await expectSigned(
        domain,
        next.filter(({ duty }) => duty === 'signing'),
        next,
      );
      const { raw } = await send(`user@${removed}`);
      expect(await signaturesOf(raw, other)).toEqual([]);
    });

    test('says that a key signs only when it signs on connections that were open before, too', async () => {
      const domain = fresh();
      const old = set(domain, '240101', 'signing');
      expect(await settle(wanted(old))).toEqual(new Map());
      const mailer = await harness.connect();
      let left = 0;
      try {
        expect(await signaturesOf((await mailer.send(`user@${domain}`)).raw, old)).toHaveLength(old.length);
        const next = set(domain, '240128', 'signing');
        const all = [...old, ...next];
        left = (await driver.apply(wanted(next))).size;
        const signed = await signaturesOf((await mailer.send(`user@${domain}`)).raw, all);
        // The old key's record is still there: both pass. What counts is what the driver said.
        if (left === 0) expect(signed.sort()).toEqual(passes(next));
        else expect(signed.every((one) => one.endsWith(' pass'))).toBe(true);
      } finally {
        await mailer.close();
      }
      const next = set(domain, '240128', 'signing');
      expect(await settle(wanted(next))).toEqual(new Map());
      await expectSigned(domain, next, [...old, ...next]);
    });

    test('switching under load: none lost, none put off, none unsigned, each verifies', async () => {
      const domain = fresh();
      const selectors = ['240101', '240102', '240103', '240104'];
      const all = selectors.flatMap((selector) => set(domain, selector, 'signing'));
      const at = (signing: string): DriverKey[] =>
        selectors.flatMap((selector) => set(domain, selector, selector === signing ? 'signing' : 'standby'));
      expect(await settle(wanted(at('240101')))).toEqual(new Map());
      const answers: MilterAnswer[] = [];
      let ended = false;
      const failures: unknown[] = [];
      /** As an MTA: some messages, then a new connection. */
      const load = async (): Promise<void> => {
        while (!ended) {
          const mailer = await harness.connect();
          for (let i = 0; i < 5; i += 1) answers.push(await mailer.send(`user@${domain}`));
          await mailer.close();
        }
      };
      const loads = Array.from({ length: 4 }, () => load().catch((error: unknown) => failures.push(error)));
      try {
        for (const signing of ['240102', '240103', '240104', '240101', '240102']) {
          const before = answers.length;
          while (answers.length < before + 20 && failures.length === 0) await wait(5);
          expect(await settle(wanted(at(signing)))).toEqual(new Map());
        }
      } finally {
        ended = true;
        await Promise.all(loads);
      }
      expect(failures).toEqual([]);
      expect(answers.length).toBeGreaterThanOrEqual(100);
      expect(answers.filter(({ verdict }) => verdict !== 'accept')).toEqual([]);
      const good = new Set(selectors.map((selector) => passes(set(domain, selector, 'signing')).join()));
      const found = new Set<string>();
      for (const { raw } of answers) found.add((await signaturesOf(raw, all)).sort().join());
      expect([...found].filter((signed) => !good.has(signed))).toEqual([]);
      await expectSigned(domain, set(domain, '240102', 'signing'), all);
    }, 120_000);

    test('a key of a type that the signer cannot use is said to be so; the others are put to work', async () => {
      if (types.includes('ed25519')) return;
      const domain = fresh();
      const [rsa, other] = [
        driverKey(domain, '240101', 'signing'),
        driverKey(domain, '240101e', 'signing', 'ed25519'),
      ];
      const left = await settle(wanted([rsa, other]), 1);
      expect([...left.keys()]).toEqual([`${domain}/240101e`]);
      await expectSigned(domain, [rsa], [rsa, other]);
    }, 60_000);
  });
};
