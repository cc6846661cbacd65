// Checks of `selkie verify` on facts that no small world has: key records behind a CNAME, keys on their way out, many hosts, a
// switch under way.
import { describe, expect, it } from 'vitest';
import { expectedOf, judgeCanary, makeCanary } from '../../cli/verify/canary.ts';
import type { DnsView } from '../../cli/verify/dns-view.ts';
import type { Facts, HostFacts, KeyFacts } from '../../cli/verify/facts.ts';
import { hostChecks, keysCheck } from '../../cli/verify/keys.ts';
import { recordChecks } from '../../cli/verify/record.ts';
import { milliseconds, seconds } from '../../core/time.ts';
import type { ServerAnswer } from '../../engine/ports.ts';

const domain = 'customer.example';
const zone = 'keys.example';
const record = `240128e._domainkey.${domain}`;
const target = `${record}.${zone}`;
const publicKey = '11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=';
const value = `v=DKIM1; k=ed25519; p=${publicKey}`;

const key = (more: Partial<KeyFacts> = {}): KeyFacts => ({
  selector: '240128e',
  algorithm: 'ed25519',
  state: 'active',
  record,
  rotation: 'r1',
  publicKey,
  reserved: '2024-01-28T09:00:00.000Z',
  times: {},
  ...more,
});
const host = (name: string, more: Partial<HostFacts> = {}): HostFacts => ({
  host: name,
  signs: ['240128e'],
  ready: true,
  current: true,
  failed: {},
  lastUse: {},
  lastSeen: '2024-01-28T10:00:00.000Z',
  ...more,
});
const facts = (keys: readonly KeyFacts[], hosts: readonly HostFacts[], signing = ['240128e']): Facts => ({
  domain,
  status: {
    domain,
    zone,
    pool: 'mx',
    leaving: false,
    keys: [],
    rotations: [],
    taken: [],
    next: [],
    blockedBy: [],
  },
  keys,
  standing: { domain, zone, pool: 'mx', signing, hosts: [...hosts] },
  command: (words) => `selkie ${words}`,
});

const at = (answer: ServerAnswer['answer']): ServerAnswer => ({
  server: 'ns1',
  address: '192.0.2.1#53',
  answer,
});
const txt = (...values: string[]): ServerAnswer => at({ kind: 'txt', set: { ttl: seconds(60), values } });

/** A view of names that have these answers. */
const view = (names: Readonly<Record<string, ServerAnswer>>): DnsView => {
  const look = async (name: string) => [names[name] ?? at({ kind: 'no-such-name' })];
  return {
    zone,
    inZone: look,
    look,
    follow: async (name) => ({ answers: await look(name), negativeTtl: milliseconds(0) }),
    recursive: async () => [],
    resolvers: '',
    resolve: async () => [],
  };
};

const run = async (made: Facts, seen: DnsView) =>
  Promise.all(recordChecks(made, seen).map((check) => check.run()));

describe('a key record behind a CNAME', () => {
  const led = at({ kind: 'cname', target, ttl: seconds(60) });
  const made = facts([key({ target })], []);

  it('passes where the name leads to it', async () => {
    expect(await run(made, view({ [record]: led, [target]: txt(value) }))).toMatchObject([{ findings: [] }]);
  });

  it.each([
    ['leads elsewhere', at({ kind: 'cname', target: 'x.keys.example', ttl: seconds(60) })],
    ['leads nowhere', at({ kind: 'no-such-name' })],
  ])('fails where the name %s', async (_, answer) => {
    const [seen] = await run(made, view({ [record]: answer, [target]: txt(value) }));
    expect(seen?.findings).toEqual([
      {
        problem: `${record} does not lead to ${target} at ns1`,
        mends: [
          expect.stringContaining(`${record}. CNAME ${target}.`),
          `dig @192.0.2.1 +norecurse CNAME ${record}`,
        ],
      },
    ]);
  });
});

describe('a key on its way out', () => {
  it('that is revoked should be a tombstone', async () => {
    const made = facts([key({ state: 'revoked' })], []);
    expect(await run(made, view({ [record]: txt('v=DKIM1; k=ed25519; p=') }))).toMatchObject([
      { findings: [], note: 'revoked, at its name server' },
    ]);
    const [still] = await run(made, view({ [record]: txt(value) }));
    expect(still?.findings[0]?.problem).toBe('it should be revoked, but its p= still has a key at ns1');
  });

  it.each<Partial<KeyFacts>>([
    { state: 'removed' },
    { state: 'reserved' },
    { state: 'publishing' },
    { state: 'draining', times: { revocationIntended: '2024-02-10T09:00:00.000Z' } },
    { state: 'revoked', times: { removalIntended: '2024-02-18T09:00:00.000Z' } },
    { state: 'published', abandoned: 'an operator gave it up' },
  ])('%j may show anything', (more) => {
    expect(recordChecks(facts([key(more)], []), view({}))).toEqual([]);
  });
});

describe('hosts', () => {
  const judged = (hosts: readonly HostFacts[]) =>
    Promise.all(
      hostChecks(facts([key()], hosts)).map(async ({ name, run: judge }) => ({ name, ...(await judge()) })),
    );

  it('each has a line, and what it last said', async () => {
    expect(
      await judged([
        host('mx1', { lastUse: { '231130e': '2024-01-28T08:00:00.000Z' } }),
        host('mx2', { excluded: 'repair' }),
        host('mx3', { failed: { '240128e': 'its self-test failed' } }),
        host('mx4', { current: false, silent: 'mx4 was last heard of 2024-01-01T00:00:00.000Z' }),
        host('mx5', { ready: false, fenced: 'silent in an emergency' }),
      ]),
    ).toMatchObject([
      {
        name: 'host mx1',
        note: 'confirmed 240128e, heard of 2024-01-28 10:00Z, 231130e last 2024-01-28 08:00Z',
      },
      { name: 'host mx2', skipped: 'excluded: repair' },
      { findings: [{ problem: 'it cannot use 240128e: its self-test failed' }] },
      {
        findings: [
          { problem: 'mx4 was last heard of 2024-01-01T00:00:00.000Z' },
          {
            problem: 'it has not confirmed that it signs with 240128e',
            mends: ['selkie-agent doctor   (on mx4)', `selkie plan ${domain}`],
          },
        ],
      },
      { findings: [{ problem: 'it is fenced: silent in an emergency' }] },
    ]);
    expect(await judged([])).toMatchObject([
      { findings: [{ problem: expect.stringContaining('no mail host') }] },
    ]);
  });

  it('of hundreds, those that are wrong are named', async () => {
    const many = Array.from({ length: 300 }, (_, n) => host(`mx${n}`));
    expect(await judged(many)).toMatchObject([{ name: 'hosts of mx', note: '300 confirmed' }]);
    const wrong = many.map((each, n) => (n % 150 === 7 ? { ...each, current: false } : each));
    const [seen] = await judged(wrong);
    expect(seen?.findings).toMatchObject([
      { problem: 'it has not confirmed that it signs with 240128e at mx7, mx157' },
    ]);
  });
});

describe('what a host is to sign with', () => {
  const keys = [key(), key({ selector: '240128', algorithm: 'rsa2048' }), key({ selector: '231130' })];
  const hosts = [host('mx1', { signs: ['240128', '240128e'] }), host('mx2', { signs: ['240128'] })];
  const made = facts(keys, hosts, ['240128', '240128e']);

  it('is what its signer can do, of an unknown host what all can', () => {
    expect(expectedOf(made, 'mx1')).toEqual({
      selectors: ['240128', '240128e'],
      optional: [],
      before: ['231130'],
    });
    expect(expectedOf(made, 'mx9')).toEqual({
      selectors: ['240128'],
      optional: ['240128e'],
      before: ['231130'],
    });
  });

  it('an unsigned canary is told, and no receiver needed for it', async () => {
    const { raw } = makeCanary(domain, 'abc', 'x@selkie.invalid', new Date(0));
    const none = async () => Promise.reject(Object.assign(new Error('nothing'), { code: 'ENOTFOUND' }));
    const { findings } = await judgeCanary({ raw }, domain, expectedOf(made, 'mx1'), none);
    expect(findings).toMatchObject([{ problem: 'it is unsigned; 240128 + 240128e should sign it' }]);
  });
});

it('a domain that nothing signs for, a late step, a compromised key', async () => {
  const seen = async (made: Facts) => (await keysCheck(made).run()).findings.map(({ problem }) => problem);
  const made = facts([key({ compromised: 'in a backup' })], []);
  expect(await seen(made)).toEqual(['240128e is compromised and still signs']);
  expect(await seen({ ...made, standing: { ...made.standing, signing: [] } })).toEqual([
    'no key signs yet: nothing has been done for it',
  ]);
  expect(
    await seen({ ...made, keys: [], status: { ...made.status, late: ['240128e was to hold'] } }),
  ).toEqual(['240128e was to hold']);
});
