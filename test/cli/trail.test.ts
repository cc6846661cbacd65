// What was ordered and what was found: `selkie compromise`, `audit` and `drift`, through the real API.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { judgeTrail } from '../../cli/commands/audit.ts';
import { wrap } from '../../cli/out.ts';
import { sha256 } from '../../contract/audit.ts';
import { type AuditEvent, nextEvent, tailOf } from '../../core/audit.ts';
import { minutes } from '../../core/time.ts';
import { describeWith } from '../tools/machine.ts';
import { type Ran, selkieIn } from '../tools/selkie.ts';
import { type Gateway, operator, region, startGateway } from '../tools/signed-gateway.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

const chain = (length: number, why = 'because'): AuditEvent[] => {
  const events: AuditEvent[] = [];
  for (let n = 1; n <= length; n += 1) {
    const last = events.at(-1);
    const event = { subject: domain, at: '2024-01-28T09:00:00.000Z', who: 'a', what: 'rotate', why };
    events.push(nextEvent(last && tailOf(last), { ...event, before: null, after: n }, sha256));
  }
  return events;
};
const tail = (events: readonly AuditEvent[]) => {
  const last = events.at(-1);
  if (last === undefined) throw new Error('no event');
  return tailOf(last);
};

describe('a trail', () => {
  const events = chain(3);
  const last = tail(events);

  it('that is whole, or empty, is as it was written', () => {
    expect(judgeTrail({ events, last })).toEqual({ ok: true });
    expect(judgeTrail({ events: [] })).toEqual({ ok: true });
    expect(judgeTrail({ events, last }, tail(events.slice(0, 2)))).toEqual({ ok: true });
  });

  it('is broken by a change, a gap, and a missing end', () => {
    const changed = events.map((event) => (event.n === 2 ? { ...event, who: 'b' } : event));
    expect(judgeTrail({ events: changed, last })).toMatchObject({ ok: false, n: 2 });
    expect(judgeTrail({ events: events.filter(({ n }) => n !== 2), last })).toMatchObject({
      ok: false,
      n: 2,
    });
    expect(judgeTrail({ events: events.slice(0, 2), last })).toEqual({
      ok: false,
      n: 3,
      says: 'it ends with event 2, and not with 3',
    });
    expect(judgeTrail({ events: [], last })).toMatchObject({ ok: false, n: 1 });
    expect(judgeTrail({ events })).toMatchObject({ ok: false });
  });

  it('that was written anew from its beginning is told by an end that was noted', () => {
    const other = chain(3, 'a lie');
    expect(judgeTrail({ events: other, last: tail(other) })).toEqual({ ok: true });
    expect(judgeTrail({ events: other, last: tail(other) }, tail(events.slice(0, 2)))).toEqual({
      ok: false,
      n: 2,
      says: 'event 2 is not the one that was noted',
    });
    expect(judgeTrail({ events: other, last: tail(other) }, { n: 9, hash: last.hash })).toMatchObject({
      n: 9,
    });
  });
});

it('breaks lines of a terminal at spaces', () => {
  expect(wrap('  - one two three four', 14, 4)).toBe('  - one two\n    three four');
  expect(wrap('word-without-any-space', 10, 2)).toBe('word-without-any-space');
});

describeWith(['botocore'], 'through the API', () => {
  let world: Simulation;
  let gateway: Gateway;
  beforeEach(async () => {
    world = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
    await world.run(minutes(60));
    gateway = await startGateway(createApi(world.world, () => {}));
  });
  afterEach(async () => {
    await gateway.stop();
    world.close();
  });
  const selkie = (...args: string[]): Promise<Ran> =>
    selkieIn({ ...process.env, ...operator, AWS_REGION: region }, ...args, '--api', gateway.url);

  it('orders leave events, which are shown and verified', { timeout: 120_000 }, async () => {
    expect((await selkie('audit', 'show', domain)).stdout).toContain('nobody has ordered anything');
    expect((await selkie('rotate', domain, '--reason', 'a new administrator')).status).toBe(0);
    const noted = (await selkie('audit', 'verify', domain)).stdout.trim().split(/\s+/).at(-1) ?? '';
    expect(noted).toMatch(/^1:[0-9a-f]{64}$/);
    await world.run(minutes(60));
    const selector = (await world.world.ledger.domain(domain))?.keys[0]?.selector ?? '';
    const compromised = await selkie('compromise', domain, selector, '--reason', 'found in a backup');
    expect(compromised.stderr).toBe('');
    expect(compromised.stdout).toContain(`look again with: selkie status ${domain}`);
    const shown = (await selkie('audit', 'show', domain)).stdout;
    expect(shown).toContain('a new administrator');
    expect(shown).toMatch(
      /2 {2}2024-01-28 \d\d:\d\dZ {2}compromise {2}by local operator\n {6}found in a backup/,
    );
    const verified = await selkie('audit', 'verify', domain, '--noted', noted);
    expect(verified.stdout).toMatch(/^example\.com: 2 events, unbroken up to\n {2}2:[0-9a-f]{64}\n$/);
    const lie = await selkie('audit', 'verify', domain, '--noted', `1:${'0'.repeat(64)}`);
    expect([lie.status, lie.stderr]).toEqual([
      1,
      expect.stringContaining('event 1 is not the one that was noted'),
    ]);
    expect((await selkie('audit', 'verify', domain, '--noted', 'x')).status).toBe(2);
    expect((await selkie('host', 'exclude', 'mx1.example.com', '--reason', 'repair')).status).toBe(0);
    expect((await selkie('audit', 'show', 'host/mx1.example.com')).stdout).toContain('repair');
    expect((await selkie('compromise', domain, 'nosuch')).status).toBe(1);
  });

  it('an audit is ordered, and what it found is shown', { timeout: 120_000 }, async () => {
    const none = await selkie('drift');
    expect([none.status, none.stderr]).toEqual([1, expect.stringContaining('selkie drift --run')]);
    world.dns.put('stray._domainkey.example.com', { ttl: minutes(5), values: ['v=DKIM1; p=AAAA'] });
    expect((await selkie('drift', '--run', '--zone', 'elsewhere.example')).status).toBe(1);
    const asked = await selkie('drift', '--run', '--reason', 'before the holidays');
    expect(asked.stderr).toBe('');
    const trail = await selkie('audit', 'show', 'fleet');
    expect(trail.stdout).toMatch(
      /1 {2}2024-01-28 10:00Z {2}audit {2}by local operator\n {6}before the holidays\n {6}everything: never audited → audit asked for/,
    );
    expect((await selkie('audit', 'verify', 'fleet')).stdout).toMatch(
      /^fleet: 1 event, unbroken up to\n {2}1:/,
    );
    expect((await selkie('drift', '--reason', 'why')).status).toBe(1);
    await world.run(minutes(10));
    const found = await selkie('drift', '--zone', domain.toUpperCase());
    expect(found.stdout).toContain(`zone ${domain}  audited 2024-01-28`);
    expect(found.stdout).toContain('stray');
    const { audits } = JSON.parse((await selkie('drift', '--json')).stdout);
    expect(audits.map(({ subject }: { subject: string }) => subject)).toContain(`zone/${domain}`);
  });
});
