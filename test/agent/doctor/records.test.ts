// Does DNS show the keys that sign? On a real key store, with name servers' answers as they may come.
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ServerAnswer } from '../../../adapters/dns/authority.ts';
import { readHeld, recordsCheck } from '../../../agent/doctor/records.ts';
import { type HeldKey, openKeyStore } from '../../../agent/key-store.ts';
import { makeKey } from '../../tools/sealed.ts';
import { temporaryFolder } from '../../tools/temporary-folder.ts';

const keys = [makeKey('example.com', '240128e', 'signing'), makeKey('example.com', '240428e', 'standby')];
const [key] = keys;
const record = '240128e._domainkey.example.com';
const ours = `v=DKIM1; k=ed25519; p=${key?.publicKey}`;

let dir: string;
beforeEach(async () => {
  dir = temporaryFolder();
  const store = await openKeyStore(join(dir, 'store'), () => 'incarnation-one');
  const held = new Map<string, HeldKey>();
  for (const { domain, selector, algorithm, publicKey, privateKey, duty } of keys) {
    const { file } = await store.put({ domain, selector, algorithm, publicKey, privateKey, duty });
    if (duty !== 'none')
      held.set(`${domain}/${selector}`, { domain, selector, algorithm, publicKey, file, duty });
  }
  await store.commit({ ...store.state, keys: held, failed: new Map([['example.org/1', 'its test failed']]) });
});

const txt = (server: string, ...values: string[]): ServerAnswer =>
  ({
    server,
    address: '192.0.2.1',
    answer: { kind: 'txt', set: { values, ttl: 300 } },
  }) as unknown as ServerAnswer;
const none = (server: string): ServerAnswer =>
  ({ server, address: '192.0.2.1', answer: { kind: 'no-such-name' } }) as unknown as ServerAnswer;

const unit = 'selkie-agent-opendkim';

const problems = async (...answers: readonly ServerAnswer[]) => {
  const asked: string[] = [];
  const check = recordsCheck(
    async () => ({ ...(await readHeld(dir)), failed: new Map() }),
    async (name) => {
      asked.push(name);
      return answers;
    },
    unit,
  );
  const { findings } = await check.run();
  expect(asked).toEqual([record]);
  return findings.map(({ problem }) => problem);
};

describe('the key store', () => {
  it('is read while an agent may be at work on it', async () => {
    const { signing, failed } = await readHeld(dir);
    expect(signing?.map(({ selector }) => selector)).toEqual(['240128e']);
    expect([...failed]).toEqual([['example.org/1', 'its test failed']]);
    expect(await readHeld(join(dir, 'none'))).toEqual({ signing: undefined, failed: new Map() });
  });
});

describe('the record of a key that signs', () => {
  it('is shown', async () => expect(await problems(txt('ns1', ours), txt('ns2', ours))).toEqual([]));

  it.each([
    [
      'revoked',
      [txt('ns1', ours), txt('ns2', 'v=DKIM1; p=')],
      /is revoked .* at ns2: mail signed with it fails/,
    ],
    ['missing', [none('ns1'), none('ns2')], /is on none of its name servers/],
    ['missing at one', [txt('ns1', ours), none('ns2')], /is missing or another at ns2 only/],
    ['another', [txt('ns1', 'v=DKIM1; p=AAAA')], /does not have this key/],
  ])('%s is wrong', async (_, answers, sentence) => {
    expect(await problems(...answers)).toEqual([expect.stringMatching(sentence)]);
  });

  it('that nobody tells of is said', async () => {
    const check = recordsCheck(
      () => readHeld(dir),
      () => Promise.reject(new Error('no resolver answers')),
      unit,
    );
    const { findings } = await check.run();
    expect(findings[0]?.mends).toEqual([expect.stringContaining(`journalctl -u ${unit} -n 50`)]);
    expect(findings.map(({ problem }) => problem)).toEqual([
      'the key example.org/1 cannot be used: its test failed',
      '1 of 1 records cannot be looked at from here: no resolver answers',
    ]);
  });

  it('is not looked for where there is none', async () => {
    const check = recordsCheck(
      async () => ({ signing: [], failed: new Map() }),
      () => Promise.reject(new Error('asked')),
      unit,
    );
    expect(await check.run()).toMatchObject({ findings: [], skipped: expect.any(String) });
  });
});
