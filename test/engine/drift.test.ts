// Audits in a world that the real engine drives: what is ours is put back exactly, what is not is left exactly as it is.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { verifyAuditChain } from '../../contract/audit.ts';
import { fleetSubject } from '../../core/audit.ts';
import { SelkieError } from '../../core/errors.ts';
import { emptyRow } from '../../core/key/row.ts';
import { stateOf } from '../../core/key/state.ts';
import { keyRecordName } from '../../core/names.ts';
import { days, hours, milliseconds, minutes, seconds } from '../../core/time.ts';
import { requestRotation } from '../../engine/commands.ts';
import { driftStatus, orderAudit } from '../../engine/drift.ts';
import type {
  Change,
  DnsWriter,
  DriftReport,
  Finding,
  Happening,
  StoredSecret,
  TxtSet,
  Unit,
} from '../../engine/ports.ts';
import { workOn } from '../../engine/tick.ts';
import { openSession, type World } from '../../engine/world.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

const mx1 = 'mx1.example.com';
const zone = { name: domain, id: 'Z1' };
let simulation: Simulation;
let said: Happening[];
let counted: number[];

beforeEach(async () => {
  simulation = await simulate('2024-01-28T09:00:00Z', { rotateEvery: days(90) }, [mx1]);
  said = [];
  counted = [];
  const { reporter } = simulation.world;
  const told = reporter.report;
  Object.assign(reporter, {
    report: (happening: Happening) => {
      said.push(happening);
      told(happening);
    },
    count: (metric: string, n: number) => {
      if (metric === 'DriftFound') counted.push(n);
    },
  });
  await simulation.run(hours(3));
});
afterEach(() => simulation.close());

const standing = (name: string): Promise<TxtSet | undefined> => simulation.world.writer.lookup(zone, name);
const alarms = (): readonly string[] =>
  said
    .splice(0)
    .filter(({ level }) => level === 'alarm')
    .map(({ says }) => says);
const report = async (subject = `zone/${domain}`): Promise<DriftReport> => {
  const found = await simulation.world.ledger.driftOf(subject);
  if (found === undefined) throw new Error(`nobody has audited ${subject}`);
  return found;
};
const trail = () => simulation.world.ledger.audit(fleetSubject, { limit: 99 });
const findings = async (subject?: string): Promise<readonly Finding[]> => (await report(subject)).findings;
/** Audits the zone, and waits for what follows of it. */
const audit = async (): Promise<readonly Finding[]> => {
  await orderAudit(simulation.world, { zone: domain });
  await simulation.run(minutes(20));
  return findings();
};
const keys = async () => (await simulation.world.ledger.domain(domain))?.keys ?? [];
const activeName = async (): Promise<string> => {
  const key = (await keys()).find((each) => stateOf(each) === 'active');
  if (key === undefined) throw new Error('no key is active');
  return keyRecordName(key.selector, domain);
};
const there = async (name: string): Promise<TxtSet> => {
  const set = await standing(name);
  if (set === undefined) throw new Error(`nothing stands at ${name}`);
  return set;
};

test('where all is as it should be, nothing is found, changed or told', async () => {
  const writes: unknown[] = [];
  const { submit } = simulation.dns;
  simulation.dns.submit = async (...call) => {
    writes.push(call);
    return submit(...call);
  };
  expect(await audit()).toEqual([]);
  expect(await report()).toMatchObject({ complete: true, compared: 1, found: 0, alarms: 0 });
  expect(alarms()).toEqual([]);
  expect(counted).toEqual([0]);
  expect(writes).toEqual([]);
});

describe('a record of ours is put back', () => {
  const edits: readonly [string, (set: TxtSet) => TxtSet | undefined, string, RegExp][] = [
    ['deleted', () => undefined, 'record-missing', /is gone/],
    [
      'changed',
      (set) => ({ ...set, values: ['v=DKIM1; p=AAAA'] }),
      'record-edited',
      /says "v=DKIM1; p=AAAA"/,
    ],
    ['joined by another', (set) => ({ ...set, values: [...set.values, 'x'] }), 'record-edited', /2 records/],
    [
      'given another TTL',
      (set) => ({ ...set, ttl: seconds(86_400) }),
      'record-edited',
      /86400 s instead of 3600 s/,
    ],
    ['given a space more', (set) => ({ ...set, values: [`${set.values[0]} `] }), 'record-edited', /says/],
  ];

  test.each(edits)('that was %s', async (_, edit, kind, sentence) => {
    const name = await activeName();
    const before = await there(name);
    simulation.dns.put(name, edit(before));
    const [finding, ...more] = await audit();
    expect(more).toEqual([]);
    expect(await standing(name)).toEqual(before);
    expect(finding).toMatchObject({ kind, name, domain, level: 'alarm' });
    expect(finding?.says).toMatch(sentence);
    // Every name server was seen to show it again.
    expect(finding?.mended?.shown).toBeGreaterThan(finding?.mended?.at ?? Number.POSITIVE_INFINITY);
    expect(alarms()).toEqual([finding?.says]);
    expect(counted).toEqual([1]);
    // The next audit finds it whole, and hosts sign on.
    expect(await audit()).toEqual([]);
    expect(alarms()).toEqual([]);
  });

  test('but for one that was revoked by hand: it stays so, with an alarm', async () => {
    const name = await activeName();
    const tombstone: TxtSet = { ttl: hours(1), values: ['v=DKIM1; k=ed25519; p='] };
    simulation.dns.put(name, tombstone);
    const [finding, ...more] = await audit();
    expect(more).toEqual([]);
    expect(await standing(name)).toEqual(tombstone);
    expect(finding).toMatchObject({
      kind: 'record-edited',
      level: 'alarm',
      command: 'selkie emergency example.com',
    });
    expect(finding?.mended).toBeUndefined();
    expect(alarms()).toHaveLength(1);
  });

  test('that is a tombstone, or drains', async () => {
    const [old] = await keys();
    await requestRotation(simulation.world, await openSession(simulation.world), domain, {});
    await simulation.run(days(1));
    const name = keyRecordName(old?.selector ?? '', domain);
    const key = await there(name);
    const draining = (await keys()).find(({ selector }) => selector === old?.selector);
    expect(draining === undefined ? '' : stateOf(draining)).toBe('draining');
    simulation.dns.put(name, undefined);
    expect((await audit()).map(({ kind }) => kind)).toEqual(['record-missing']);
    expect(await standing(name)).toEqual(key);

    await simulation.run(days(8));
    const tombstone = await there(name);
    expect(tombstone.values).toEqual(['v=DKIM1; k=ed25519; p=']);
    simulation.dns.put(name, key);
    expect((await audit()).map(({ kind }) => kind)).toEqual(['record-edited']);
    expect(await standing(name)).toEqual(tombstone);
  });

  test('until every name server shows it: one that lags is waited for', async () => {
    const name = await activeName();
    simulation.dns.put(name, undefined);
    simulation.dns.lags = [seconds(0), hours(2)];
    await simulation.run(hours(3));
    const [finding] = await audit();
    expect(finding?.mended).toBeDefined();
    expect(finding?.mended?.shown).toBeUndefined();
    await simulation.run(hours(3));
    expect((await findings())[0]?.mended?.shown).toBeGreaterThan(0);
    expect(simulation.timeline()).toMatch(/stands again on every name server/);
  });

  test('where the provider refuses, it is said with what to do, and the rest of the audit goes on', async () => {
    const name = await activeName();
    simulation.dns.put(name, undefined);
    const { submit } = simulation.dns;
    simulation.dns.submit = async () => {
      throw new SelkieError('rejected', 'a CNAME stands at this name');
    };
    const [finding] = await audit();
    expect(finding?.says).toMatch(
      /could not be put back: a CNAME stands at this name.*selkie rotate example\.com/,
    );
    expect(finding?.mended).toBeUndefined();
    expect(await report()).toMatchObject({ complete: true });
    expect(alarms()).toHaveLength(1);
    // Said once, counted each day.
    expect((await audit())[0]?.since).toBe(finding?.since);
    expect(alarms()).toEqual([]);
    expect(counted).toEqual([1, 1]);
    simulation.dns.submit = submit;
    expect((await audit())[0]?.mended).toBeDefined();
    expect(await standing(name)).toBeDefined();
  });

  test('an answer that was lost is no harm: the next try finds it whole, and it was said', async () => {
    const name = await activeName();
    const before = await there(name);
    simulation.dns.put(name, undefined);
    const { submit } = simulation.dns;
    let lost = 1;
    simulation.dns.submit = async (...call) => {
      const id = await submit(...call);
      lost -= 1;
      if (lost >= 0) throw new SelkieError('unavailable', 'the answer was lost');
      return id;
    };
    await audit();
    expect(await standing(name)).toEqual(before);
    expect(
      said.some(({ level, says }) => level === 'trouble' && /is gone; putting it back failed/.test(says)),
    ).toBe(true);
  });
});

describe('beside a zone unit', () => {
  /** The world as an audit sees it, with something that happens around one of its calls. */
  const audited = async (writer: Partial<DnsWriter>): Promise<void> => {
    const world: World = { ...simulation.world, writer: { ...simulation.dns, ...writer } };
    await workOn(world, { kind: 'audit', zone: domain });
  };
  /** Somebody says at this moment that the key is compromised, and its unit goes on until its tombstone stands. */
  const compromise = async (): Promise<void> => {
    await requestRotation(simulation.world, await openSession(simulation.world), domain, {
      kind: 'emergency',
      unsigned: true,
      reason: 'stolen',
    });
    await simulation.run(minutes(5));
  };
  const tombstone = ['v=DKIM1; k=ed25519; p='];

  test.each<[string, 'lookup' | 'submit', TxtSet | undefined]>([
    ['it was deleted, and is revoked before the audit looks', 'lookup', undefined],
    ['it was deleted, and is revoked before the audit writes', 'submit', undefined],
    ['it was edited, and is revoked before the audit looks', 'lookup', { ttl: hours(1), values: ['x'] }],
    ['it was edited, and is revoked before the audit writes', 'submit', { ttl: hours(1), values: ['x'] }],
    [
      'it was entombed by hand, and is revoked before the audit looks',
      'lookup',
      { ttl: hours(1), values: tombstone },
    ],
  ])('%s: it stays revoked', async (_, call, edited) => {
    const name = await activeName();
    simulation.dns.put(name, edited);
    let happened = false;
    const around = async (): Promise<void> => {
      if (happened) return;
      happened = true;
      await compromise();
    };
    const revived: string[] = [];
    await audited({
      lookup: async (...args) => {
        if (call === 'lookup') await around();
        return simulation.dns.lookup(...args);
      },
      submit: async (where, changes) => {
        if (call === 'submit') await around();
        const id = await simulation.dns.submit(where, changes);
        revived.push(
          ...changes.flatMap(({ set }) => set.values).filter((value) => !tombstone.includes(value)),
        );
        return id;
      },
    });
    expect(happened).toBe(true);
    expect(revived).toEqual([]);
    expect((await there(name)).values).toEqual(tombstone);
    await simulation.run(hours(1));
    expect((await there(name)).values).toEqual(tombstone);
  });

  test('a tombstone that was deleted by hand, and whose removal is done before the audit writes: it is taken away again', async () => {
    const [old] = await keys();
    const name = keyRecordName(old?.selector ?? '', domain);
    await requestRotation(simulation.world, await openSession(simulation.world), domain, {});
    await simulation.run(days(9));
    expect((await there(name)).values).toEqual(tombstone);
    simulation.dns.put(name, undefined);
    const writes: string[] = [];
    await audited({
      submit: async (where, changes) => {
        // What stands there is what the audit saw, nothing: only the look at the row after the change can tell.
        if (writes.length === 0) await simulation.run(days(20));
        writes.push(...changes.map((change) => change.do));
        return simulation.dns.submit(where, changes);
      },
    });
    const gone = (await keys()).find(({ selector }) => selector === old?.selector);
    expect(gone === undefined ? 'none' : stateOf(gone)).toBe('removed');
    expect(writes).toEqual(['create', 'delete']);
    expect(await standing(name)).toBeUndefined();
  });

  test('two audits at once do one work', async () => {
    const name = await activeName();
    simulation.dns.put(name, undefined);
    const writes: (readonly Change[])[] = [];
    const submit: DnsWriter['submit'] = async (where, changes) => {
      writes.push(changes);
      return simulation.dns.submit(where, changes);
    };
    await Promise.all([audited({ submit }), audited({ submit })]);
    await simulation.run(minutes(5));
    expect(writes).toHaveLength(1);
    expect(await standing(name)).toBeDefined();
  });
});

describe('what is not ours is left alone', () => {
  test('a record beside ours is noted once it is there, without alarm', async () => {
    const name = keyRecordName('mailchimp', domain);
    const set: TxtSet = { ttl: hours(2), values: ["v=DKIM1; p=it's theirs"] };
    simulation.dns.put(name, set);
    const [finding] = await audit();
    expect(finding).toMatchObject({ kind: 'record-foreign', level: 'note', name });
    expect(await standing(name)).toEqual(set);
    expect(alarms()).toEqual([]);
    expect(counted).toEqual([0]);
    // The command deletes exactly that, from a shell too.
    expect(deletion(finding)).toEqual({ name, set });
  });

  test('names of other kinds are not even noted', async () => {
    for (const name of [
      domain,
      `_dmarc.${domain}`,
      `a.b._domainkey.${domain}`,
      '240128._domainkey.other.example',
    ])
      simulation.dns.put(name, { ttl: hours(1), values: ['x'] });
    expect(await audit()).toEqual([]);
  });

  test('a domain that has no keys yet is told how to adopt', async () => {
    const fresh = await simulate('2024-01-28T09:00:00Z', {}, [mx1]);
    try {
      fresh.change({ leaving: true });
      await fresh.run(minutes(10));
      fresh.dns.put(keyRecordName('mail', domain), { ttl: hours(1), values: ['v=DKIM1; p=AAAA'] });
      await orderAudit(fresh.world, { zone: domain });
      await fresh.run(minutes(10));
      const [finding] = (await fresh.world.ledger.driftOf(`zone/${domain}`))?.findings ?? [];
      expect(finding?.says).toMatch(/selkie-agent adopt/);
      expect(finding?.command).toBeUndefined();
    } finally {
      fresh.close();
    }
  });

  test('a record at the name of a key that was removed: an alarm with the command that deletes it', async () => {
    const [old] = await keys();
    const name = keyRecordName(old?.selector ?? '', domain);
    const key = await there(name);
    await requestRotation(simulation.world, await openSession(simulation.world), domain, {});
    await simulation.run(days(30));
    expect(await standing(name)).toBeUndefined();
    expect(await audit()).toEqual([]);
    simulation.dns.put(name, key);
    const [finding] = await audit();
    expect(finding).toMatchObject({ kind: 'record-orphan', level: 'alarm', name });
    expect(finding?.says).not.toContain('published');
    expect(await standing(name)).toEqual(key);
    expect(deletion(finding)).toEqual({ name, set: key });
    const [first = ''] = alarms();
    expect(first).toContain(finding?.command ?? 'no command');
    expect(await audit()).toHaveLength(1);
    expect(alarms()).toEqual([]);
  });
});

/** What a shell that ran the command would ask Route 53 for. */
const deletion = (finding: Finding | undefined): { name: string; set: TxtSet } => {
  const [, batch = ''] = / --change-batch '(.*)'$/.exec(finding?.command ?? '') ?? [];
  const { Changes } = JSON.parse(batch.replaceAll(`'\\''`, "'"));
  const [{ Action, ResourceRecordSet: set }] = Changes;
  expect([Changes.length, Action, set.Type]).toEqual([1, 'DELETE', 'TXT']);
  return {
    name: set.Name,
    set: {
      ttl: milliseconds(set.TTL * 1_000),
      values: set.ResourceRecords.map(({ Value }: { Value: string }) => JSON.parse(Value)),
    },
  };
};

describe('a zone', () => {
  const failing = (error: SelkieError): void => {
    simulation.dns.list = async () => {
      throw error;
    };
  };

  test('that is gone is said once, with what to do', async () => {
    failing(new SelkieError('not-found', 'no such hosted zone'));
    expect(await audit()).toMatchObject([{ kind: 'zone-gone', level: 'alarm', name: domain }]);
    expect(alarms()).toEqual([expect.stringMatching(/gone at its provider.*fleet\.yaml/)]);
    await audit();
    expect(alarms()).toEqual([]);
    expect(counted).toEqual([1, 1]);
  });

  test('that may not be listed is said', async () => {
    failing(new SelkieError('denied', 'not authorized'));
    expect(await audit()).toMatchObject([{ kind: 'zone-refused', level: 'alarm' }]);
    expect(alarms()).toEqual([expect.stringMatching(/may not be listed: not authorized/)]);
  });

  test('that is throttled is tried again', async () => {
    const { list } = simulation.dns;
    let refusals = 3;
    simulation.dns.list = async (...call) => {
      refusals -= 1;
      if (refusals >= 0) throw new SelkieError('throttled', 'Rate exceeded');
      return list(...call);
    };
    expect(await audit()).toEqual([]);
    expect(await report()).toMatchObject({ complete: true, compared: 1 });
  });

  test('to which its parent no longer points is said', async () => {
    const { observe } = simulation.dns;
    simulation.dns.observe = async () => ({
      answers: [
        { server: 'ns.registrar.example', address: '192.0.2.9#53', answer: { kind: 'no-such-name' } },
      ],
    });
    expect(await audit()).toMatchObject([{ kind: 'delegation', level: 'alarm', name: domain }]);
    expect(alarms()).toEqual([expect.stringMatching(/ns\.registrar\.example.*NS records/)]);
    simulation.dns.observe = async () => {
      throw new SelkieError('unavailable', 'no server of the parent answers');
    };
    expect((await audit())[0]?.says).toMatch(/cannot be learned: no server of the parent answers/);
    simulation.dns.observe = observe;
    expect(await audit()).toEqual([]);
  });

  test('that the fleet does not have is nobody’s to audit', async () => {
    await expect(orderAudit(simulation.world, { zone: 'other.example' })).rejects.toMatchObject({
      code: 'not-found',
    });
    await workOn(simulation.world, { kind: 'audit', zone: 'other.example' });
    expect(await simulation.world.ledger.driftOf('zone/other.example')).toBeUndefined();
  });

  test('is asked for once under one Idempotency-Key, and sent until an audit has told', async () => {
    const sent: Unit[] = [];
    let refusals = 1;
    const world = {
      ...simulation.world,
      queue: {
        send: async (units: readonly Unit[]) => {
          if (refusals > 0) {
            refusals -= 1;
            throw new SelkieError('unavailable', 'the queue takes nothing');
          }
          sent.push(...units);
          await simulation.world.queue.send(units);
        },
      },
    };
    const ask = (zone?: string) =>
      orderAudit(world, { ...(zone === undefined ? {} : { zone }), by: 'ann', idempotencyKey: 'a' });
    await expect(ask(domain)).rejects.toMatchObject({ code: 'unavailable' });
    expect(await ask(domain)).toEqual([`zone/${domain}`]);
    expect(sent).toEqual([{ kind: 'audit', zone: domain }]);
    await simulation.run(minutes(10));
    expect(await Promise.all([ask(domain), ask(domain)])).toEqual([[`zone/${domain}`], [`zone/${domain}`]]);
    expect(sent).toHaveLength(1);
    await expect(ask()).rejects.toMatchObject({ code: 'conflict', field: 'Idempotency-Key' });
    expect(await trail()).toHaveLength(1);
  });

  test('that somebody asks for is in the fleet’s trail: who, what, why, and when it was audited before', async () => {
    const ask = (zone: string | undefined, reason?: string) =>
      orderAudit(simulation.world, {
        ...(zone === undefined ? {} : { zone }),
        ...(reason === undefined ? {} : { reason }),
        by: 'ann',
      });
    await ask(domain, 'somebody was at the console');
    await simulation.run(minutes(10));
    await ask(domain);
    // The schedule's are no orders.
    await orderAudit(simulation.world);
    await ask(undefined);
    const events = await trail();
    expect(events.map(({ who, what, why, before, after }) => [who, what, why, before, after])).toEqual([
      [
        'ann',
        'audit',
        'somebody was at the console',
        { [`zone/${domain}`]: 'never audited' },
        { [`zone/${domain}`]: 'audit asked for' },
      ],
      [
        'ann',
        'audit',
        undefined,
        { [`zone/${domain}`]: expect.stringMatching(/^audited 20\d\d-/) },
        { [`zone/${domain}`]: 'audit asked for' },
      ],
      ['ann', 'audit', undefined, { everything: 'never audited' }, { everything: 'audit asked for' }],
    ]);
    expect(verifyAuditChain(events)).toEqual({ ok: true });
    expect((await simulation.world.ledger.trail(fleetSubject))?.audit).toEqual({
      n: 3,
      hash: events.at(-1)?.hash,
    });
  });

  test('many at once: each order is in the trail, which is one chain', async () => {
    await Promise.all(
      Array.from({ length: 6 }, (_, n) =>
        orderAudit(simulation.world, { zone: domain, by: `operator ${n}` }),
      ),
    );
    const events = await trail();
    expect(new Set(events.map(({ who }) => who)).size).toBe(6);
    expect(verifyAuditChain(events)).toEqual({ ok: true });
  });

  test('a unit that comes late, of an audit that went on without it, changes nothing', async () => {
    await audit();
    const before = await report();
    await workOn(simulation.world, { kind: 'audit', zone: domain, after: 'somewhere' });
    expect(await report()).toEqual(before);
  });
});

describe('everything', () => {
  const everything = async (): Promise<void> => {
    // As the sweep of each hour does.
    await workOn(simulation.world, { kind: 'host', host: mx1 });
    await orderAudit(simulation.world);
    await simulation.run(minutes(20));
  };

  test('nothing amiss', async () => {
    await everything();
    const { audits, next } = await driftStatus(simulation.world, { limit: 10 });
    expect(next).toBeUndefined();
    expect(
      audits.map(({ subject, complete, compared, alarms: n }) => [subject, complete, compared, n]),
    ).toEqual([
      ['domains', true, 1, 0],
      ['hosts', true, 1, 0],
      ['secrets', true, 1, 0],
      [`zone/${domain}`, true, 1, 0],
    ]);
  });

  test('a secret that nothing wants, and one that is gone', async () => {
    const [key] = await keys();
    await simulation.world.vault.destroy(key?.evidence.stored?.secret ?? '');
    await simulation.world.vault.store([
      { domain: 'old.example', selector: '200101', privateKey: new Uint8Array(1) },
    ]);
    await everything();
    expect(await findings('domains')).toMatchObject([
      { kind: 'secret-missing', name: `${domain}/${key?.selector}`, command: `selkie rotate ${domain}` },
    ]);
    expect(await findings('secrets')).toMatchObject([{ kind: 'secret-orphan', name: 'old.example/200101' }]);
    expect(alarms()).toHaveLength(2);
    await everything();
    expect(alarms()).toEqual([]);
  });

  test('keys that share a secret: it is deleted when none of them is wanted, and not before', async () => {
    const [key] = await keys();
    const shard = 'selkie/shard/5b0c41d6-7d6f-4b39-9b46-b4d8d9d1a1f2';
    const old = (n: number) => ({
      secret: `${shard}#old.example/20010${n}`,
      domain: 'old.example',
      selector: `20010${n}`,
    });
    const stands = {
      secret: key?.evidence.stored?.secret ?? '',
      domain,
      selector: key?.selector ?? '',
    };
    const audit = async (...secrets: readonly StoredSecret[]) => {
      const { world } = simulation;
      const vault = { ...world.vault, list: async () => ({ secrets }) };
      await workOn({ ...world, vault }, { kind: 'inventory', of: 'secrets' });
      return findings('secrets');
    };
    // The ledger's reference of the key that signs is what makes it wanted.
    const wanted = { ...stands, secret: `${shard}#${domain}/${stands.selector}` };
    await simulation.world.ledger.domain(domain).then((row) =>
      simulation.world.ledger.commit({
        domains: [
          {
            ...(row ?? emptyRow(domain, domain, 'main')),
            keys: (row?.keys ?? []).map((each) =>
              each.evidence.stored === undefined
                ? each
                : {
                    ...each,
                    evidence: {
                      ...each.evidence,
                      stored: { ...each.evidence.stored, secret: wanted.secret },
                    },
                  },
            ),
          },
        ],
      }),
    );
    const beside = await audit(old(1), wanted);
    expect(beside).toMatchObject([
      {
        kind: 'secret-orphan',
        level: 'note',
        says: expect.stringContaining('Another key of that secret is wanted'),
      },
    ]);
    expect(beside[0]).not.toHaveProperty('command');
    const command = `aws secretsmanager delete-secret --secret-id '${shard}' --recovery-window-in-days 30`;
    expect(await audit(old(1), old(2))).toMatchObject([
      { level: 'alarm', command },
      { level: 'alarm', command },
    ]);
  });

  test('the secret of a key under way is wanted, and the old one’s until it is destroyed', async () => {
    await requestRotation(simulation.world, await openSession(simulation.world), domain, {});
    for (const wait of [minutes(0), seconds(30), minutes(10), days(3), days(7), days(8), days(30)]) {
      await simulation.run(wait);
      await everything();
      expect([wait, await findings('secrets'), await findings('domains')]).toEqual([wait, [], []]);
    }
  });

  test('a domain that vanished, and a host', async () => {
    const { world } = simulation;
    const fleet = { ...world.fleet, domains: new Map(), hosts: new Map() };
    for (const of of ['domains', 'hosts'] as const)
      await workOn({ ...world, fleet } as World, { kind: 'inventory', of });
    expect(await findings('domains')).toMatchObject([
      { kind: 'domain-unknown', name: domain, level: 'alarm' },
    ]);
    expect(await findings('hosts')).toMatchObject([{ kind: 'host-unknown', name: mx1, level: 'note' }]);
    const withoutZone = { ...world, fleet: { ...fleet, zones: new Map() } } as World;
    await workOn(withoutZone, { kind: 'inventory', of: 'domains' });
    expect((await findings('domains'))[0]?.says).toMatch(/zone example\.com, which is not in fleet\.yaml/);
  });

  test('a host that says little and has less than it was told', async () => {
    const { ledger } = simulation.world;
    const row = await ledger.host(mx1);
    if (row?.manifest === undefined) throw new Error('the host was told nothing');
    await simulation.run(hours(2));
    const behind = { ...row, lastSeen: simulation.now(), cursor: { epoch: 1, n: 0 } };
    await ledger.commit({ hosts: [behind] });
    await workOn(simulation.world, { kind: 'inventory', of: 'hosts' });
    expect(await findings('hosts')).toMatchObject([{ kind: 'host-behind', name: mx1, level: 'alarm' }]);
    expect(alarms()).toEqual([expect.stringMatching(/applied 0 of 2 things that its pool mx was told/)]);
    await ledger.commit({ hosts: [{ ...behind, version: row.version + 1, cursor: row.manifest.upTo }] });
    await workOn(simulation.world, { kind: 'inventory', of: 'hosts' });
    expect(await findings('hosts')).toEqual([]);
  });

  test('a host that is silent', async () => {
    simulation.host(mx1).down = true;
    await simulation.run(hours(3));
    await everything();
    expect(await findings('hosts')).toMatchObject([{ kind: 'host-silent', name: mx1 }]);
    expect(alarms().some((says) => says.includes('selkie host exclude'))).toBe(true);
  });
});
