// The planner on made-up rows: each a valid one, changed in one thing. What it does in whole lives is in old-evidence.
import { describe, expect, it } from 'vitest';
import type { Action, Plan } from '../../../core/key/actions.ts';
import { adopted } from '../../../core/key/adoption.ts';
import { alone } from '../../../core/key/cohorts.ts';
import type { Key } from '../../../core/key/evidence.ts';
import { nextRotation, plan } from '../../../core/key/plan.ts';
import { planKey } from '../../../core/key/plan-key.ts';
import { withEvidence, withNewTurn, withTurn } from '../../../core/key/row.ts';
import { adoptedDue, rotationDue } from '../../../core/key/waits.ts';
import { add, days, minutes, seconds } from '../../../core/time.ts';
import {
  at,
  duty,
  evidenceUpTo,
  facts,
  host,
  key,
  later,
  place,
  rotation,
  row,
  situation,
  t,
  turnUpTo,
} from './made.ts';

const active = key('240127e', 'active');
const actions = (planned: Plan): readonly Action[] => planned.actions;
const every = days(90);
const slot = { domain: 'example.com', zone: 'example.com', fellows: alone };
const due = rotationDue(slot, t, every);
const { rotateEvery: _rotates, ...onRequest } = situation(row([])).policy;
const failing = (selector: string) =>
  host('mx1', { failed: new Map([[`example.com/${selector}`, 'no Ed25519']]) });

describe('a rotation begins', () => {
  it('as the first where nothing signs', () => {
    expect(plan(situation(row([])))).toEqual({ actions: [{ do: 'start', kind: 'first' }], blockedBy: [] });
  });

  it('at the domain’s slot, and is slept for until then', () => {
    expect(plan(situation(row([active])))).toEqual({ actions: [], blockedBy: [], wakeAt: due });
    expect(actions(plan(situation(row([active]), { now: due })))).toEqual([
      { do: 'start', kind: 'scheduled' },
    ]);
  });

  it('only when every key of the serving set is active', () => {
    const pair = row(
      [key('240127', 'active', { rotation: 'r' }), key('240127e', 'signIntended', { rotation: 'r' })],
      {
        rotations: [rotation('r', { algorithms: ['rsa2048', 'ed25519'], selectors: ['240127', '240127e'] })],
      },
    );
    expect(nextRotation(situation(pair, { now: later }))).toBeUndefined();
    expect(actions(plan(situation(pair, { now: later }))).some((action) => action.do === 'start')).toBe(
      false,
    );
  });

  it('counted from the last of them', () => {
    const slow = key(
      '240127e',
      { ...turnUpTo('signIntended'), active: { at: add(t, days(90)) } },
      { rotation: 'r' },
    );
    const pair = row([key('240127', 'active', { rotation: 'r' }), slow], {
      rotations: [rotation('r', { selectors: ['240127', '240127e'] })],
    });
    expect(nextRotation(situation(pair))).toBe(add(due, days(90)));
  });

  it('never by itself where the policy says no period, the domain leaves, or nothing signs', () => {
    expect(nextRotation(situation(row([active]), { policy: onRequest }))).toBeUndefined();
    expect(nextRotation(situation(row([active]), { leaving: true }))).toBeUndefined();
    expect(nextRotation(situation(row([key('240127e', 'stopped')])))).toBeUndefined();
    expect(plan(situation(row([active]), { policy: onRequest, now: later }))).toStrictEqual({
      actions: [],
      blockedBy: [],
    });
  });

  it('not again after an operator aborted the first, but after anything else', () => {
    const aborted = (by: 'operator' | 'compromised' | 'leaving') =>
      row([], { rotations: [rotation('r', { selectors: [], aborted: { ...at, reason: 'why', by } })] });
    expect(actions(plan(situation(aborted('operator'))))).toEqual([]);
    expect(actions(plan(situation(aborted('compromised'))))).toEqual([{ do: 'start', kind: 'first' }]);
    const retired = row([key('240127e', 'stopped')]);
    expect(actions(plan(situation(retired)))[0]).toEqual({ do: 'start', kind: 'first' });
  });
});

describe('adopted keys', () => {
  const wanted = [{ selector: 'mail', algorithm: 'ed25519', publicKey: 'AAAA' }] as const;
  const found = { key: wanted[0], value: 'v', ttl: minutes(60), servers: 2, negativeTtl: minutes(15) };
  const told = adopted(row([]), 'r', [found], t, place);
  const signs = withTurn(told, 'mail', { active: at });

  it('are what a domain begins with that has no key and never had', () => {
    expect(plan(situation(row([]), { adopted: wanted }))).toEqual({
      actions: [{ do: 'adopt' }],
      blockedBy: [],
    });
    expect(actions(plan(situation(row([]), { adopted: [] })))).toEqual([{ do: 'start', kind: 'first' }]);
    expect(actions(plan(situation(row([]), { adopted: wanted, leaving: true })))).toEqual([]);
    for (const of of [row([active]), row([], { rotations: [rotation('r', { selectors: [] })] })])
      expect(actions(plan(situation(of, { adopted: wanted })))).not.toContainEqual({ do: 'adopt' });
  });

  it('are told to sign at once, and a host that lacks one is told what helps', () => {
    expect(actions(plan(situation(told)))).toEqual([{ do: 'latch', selector: 'mail', gate: 'active' }]);
    const lacking = plan(situation(told, { hosts: [failing('mail')] }));
    expect(lacking.blockedBy).toEqual([
      {
        by: 'self-test',
        selector: 'mail',
        says: 'mx1 cannot use mail: no Ed25519; an adopted key is never sent: adopt it on that host (selkie-agent adopt), exclude the host, or rotate',
      },
    ]);
  });

  it('are rotated in their domain’s slot of the first week, whether every host has them or not', () => {
    const first = adoptedDue(slot, t, every);
    expect(first).toBe(rotationDue(slot, t, days(7)));
    expect(adoptedDue(slot, t, days(2))).toBe(rotationDue(slot, t, days(2)));
    for (const of of [told, signs]) {
      expect(nextRotation(situation(of))).toBe(first);
      const hosts = of === told ? [failing('mail')] : [host()];
      expect(actions(plan(situation(of, { hosts, now: first })))).toContainEqual({
        do: 'start',
        kind: 'scheduled',
      });
    }
    expect(nextRotation(situation(signs, { policy: onRequest }))).toBeUndefined();
  });

  it('called back, are proved as they are: nothing is made and nothing published', () => {
    const back = withNewTurn(
      withTurn(signs, 'mail', { stopIntended: { ...at, place }, stopped: at }),
      'mail',
      t,
    );
    const called = {
      ...back,
      keys: [...back.keys, active],
      rotations: [
        ...back.rotations,
        rotation('240127e'),
        rotation('b', { kind: 'rollback', selectors: ['mail'] }),
      ],
    };
    expect(plan(situation(called))).toEqual({
      actions: [{ do: 'prove', selector: 'mail', shows: 'key' }],
      wakeAt: add(t, minutes(1), seconds(30)),
      blockedBy: [
        {
          by: 'dns',
          selector: 'mail',
          says: 'waiting for every name server to show the key at mail._domainkey.example.com',
        },
      ],
    });
  });

  it('removed, are erased on hosts, though they were never offered', () => {
    const gone = withEvidence(signs, 'mail', { removalIntended: at, removed: at });
    expect(actions(plan(situation(gone)))).toContainEqual({ do: 'erase', selector: 'mail' });
  });
});

describe('a pending pair', () => {
  const both = rotation('r', { algorithms: ['rsa2048', 'ed25519'], selectors: ['240128', '240128e'] });
  const pair = (rsa: Key, ed: Key, kind = both.kind) =>
    row([active, { ...rsa, rotation: 'r' }, { ...ed, rotation: 'r' }], {
      rotations: [rotation('240127e'), { ...both, kind }],
    });
  const rsa = (last: keyof typeof duty): Key => key('240128', last, { algorithm: 'rsa2048' });
  const ed = (last: keyof typeof duty): Key => key('240128e', last);

  it('has a key reserved for each algorithm, and goes on with those that it has', () => {
    const half = row([active, { ...rsa('begun'), rotation: 'r', evidence: { reserved: at } }], {
      rotations: [rotation('240127e'), { ...both, selectors: ['240128'] }],
    });
    expect(actions(plan(situation(half)))).toEqual([
      { do: 'reserve', rotation: 'r', algorithm: 'ed25519' },
      { do: 'store', selector: '240128' },
    ]);
  });

  it('waits for the proof of both, and does nothing with the one that is proved', () => {
    expect(plan(situation(pair(rsa('proved'), ed('begun'))))).toEqual({
      actions: [{ do: 'prove', selector: '240128e', shows: 'key' }],
      wakeAt: add(t, minutes(1), seconds(30)),
      blockedBy: [
        {
          by: 'dns',
          selector: '240128e',
          says: 'waiting for every name server to show the key at 240128e._domainkey.example.com',
        },
      ],
    });
  });

  it('is offered together, when caches allow both', () => {
    const slow = key('240128e', { ...turnUpTo('proved'), proved: { ...duty.proved, negativeTtl: days(1) } });
    const until = add(t, days(1), minutes(5));
    expect(plan(situation(pair(rsa('proved'), slow), { now: add(t, minutes(30)) }))).toEqual({
      actions: [],
      wakeAt: until,
      blockedBy: [
        {
          by: 'wait',
          selector: '240128e',
          until,
          says: 'caches may deny 240128e until 2024-01-29T09:05:00.000Z',
        },
      ],
    });
    expect(actions(plan(situation(pair(rsa('proved'), slow), { now: until })))).toEqual([
      { do: 'offer', rotation: 'r' },
    ]);
    expect(actions(plan(situation(pair(rsa('offered'), ed('proved')), { now: until })))).toEqual([
      { do: 'offer', rotation: 'r' },
    ]);
  });

  it.each(['emergency', 'rollback'] as const)('of an %s does not wait for caches', (kind) => {
    expect(actions(plan(situation(pair(rsa('proved'), ed('proved'), kind))))).toEqual([
      { do: 'offer', rotation: 'r' },
    ]);
  });

  it('is held by every host, each key by itself', () => {
    expect(actions(plan(situation(pair(rsa('offered'), ed('offered')))))).toEqual([
      { do: 'latch', selector: '240128', gate: 'standby' },
      { do: 'latch', selector: '240128e', gate: 'standby' },
    ]);
    const planned = plan(situation(pair(rsa('offered'), ed('standby')), { hosts: [failing('240128')] }));
    expect(planned.blockedBy).toEqual([
      { by: 'self-test', selector: '240128', says: 'mx1 cannot use 240128: no Ed25519' },
    ]);
    expect(actions(planned)).toEqual([{ do: 'tell', hosts: ['mx1'] }]);
  });

  it('switches together, and whatever else signs stops', () => {
    expect(actions(plan(situation(pair(rsa('standby'), ed('standby')))))).toEqual([
      { do: 'switch', rotation: 'r', stop: ['240127e'] },
    ]);
    expect(actions(plan(situation(pair(rsa('standby'), ed('signIntended')))))).toEqual([
      { do: 'switch', rotation: 'r', stop: ['240127e'] },
    ]);
  });

  it('is not switched while a host cannot use a key that it held before', () => {
    const planned = plan(
      situation(pair(rsa('standby'), ed('standby')), { hosts: [host(), failing('240128')] }),
    );
    expect(actions(planned)).toEqual([{ do: 'tell', hosts: ['mx1'] }]);
    expect(planned.blockedBy).toEqual([
      { by: 'self-test', selector: '240128', says: 'mx1 cannot use 240128: no Ed25519' },
    ]);
  });
});

describe('in an emergency', () => {
  const silent = [host('mx1'), host('mx2', { cursor: 0 })];
  const now = add(t, minutes(10));
  const stolen = { compromised: { ...at, reason: 'stolen' } };
  const emergency = (last: keyof typeof duty, more = {}, before: Partial<Key['evidence']> = stolen) =>
    row([key('240127e', 'stopIntended', { facts: before }), key('240128e', last)], {
      rotations: [rotation('240127e'), rotation('240128e', { kind: 'emergency', ...more })],
    });
  const fences = (of: ReturnType<typeof emergency>): number =>
    actions(plan(situation(of, { hosts: silent, now }))).filter((action) => action.do === 'fence').length;

  it('a silent host is fenced, before the switch and after it', () => {
    expect(fences(emergency('offered'))).toBe(2);
    expect(fences(emergency('signIntended'))).toBe(2);
  });

  it('it is not in another rotation, in an emergency that was aborted, or in one before the last', () => {
    expect(fences(emergency('offered', { kind: 'requested' }, {}))).toBe(0);
    const aborted = { aborted: { ...at, reason: 'why', by: 'operator' } };
    expect(fences(emergency('signIntended', aborted, {}))).toBe(0);
    const over = emergency('signIntended', {}, {});
    expect(fences({ ...over, rotations: over.rotations.toReversed() })).toBe(0);
    const later = rotation('later', { selectors: ['240128e'] });
    expect(fences({ ...over, rotations: [...over.rotations, later] })).toBe(0);
    expect(fences({ ...over, rotations: [later, ...over.rotations] })).toBe(2);
  });

  it('a silent host is fenced that may sign with a compromised key, whatever rotation it is in', () => {
    expect(fences(emergency('offered', { kind: 'requested' }))).toBe(1);
  });

  it('without a rotation, nothing is one', () => {
    const orphan = row([key('240127e', 'stopIntended')], { rotations: [] });
    expect(fences(orphan)).toBe(0);
  });

  it('a key that is to be unsigned stops at once, and is revoked whether hosts confirm or not', () => {
    const compromised = { compromised: { ...at, reason: 'stolen' } };
    const unsigned = { ...compromised, unsigned: at };
    const of = (signing: Key) =>
      row([signing], {
        rotations: [rotation('240127e'), rotation('r', { kind: 'emergency', selectors: [] })],
      });
    expect(actions(plan(situation(of(key('240127e', 'active', { facts: unsigned })))))).toEqual([
      { do: 'switch', stop: ['240127e'] },
    ]);
    expect(actions(plan(situation(of(key('240127e', 'active', { facts: compromised })))))).toEqual([
      { do: 'reserve', rotation: 'r', algorithm: 'ed25519' },
    ]);
    expect(
      actions(plan(situation(of(key('240127e', 'stopIntended', { facts: unsigned })), { hosts: silent }))),
    ).toContainEqual({ do: 'revoke', selector: '240127e' });
    expect(
      actions(plan(situation(of(key('240127e', 'stopIntended', { facts: compromised })), { hosts: silent }))),
    ).toContainEqual({ do: 'tell', hosts: ['mx2'] });
  });
});

describe('a domain that leaves', () => {
  it('has what is pending aborted, and what signs stopped', () => {
    const pending = row([active, key('240128e', 'standby')]);
    expect(actions(plan(situation(pending, { leaving: true })))).toEqual([
      { do: 'abort', rotation: '240128e', reason: 'the domain leaves the fleet' },
      { do: 'switch', stop: ['240127e'] },
    ]);
    expect(plan(situation(row([]), { leaving: true }))).toEqual({ actions: [], blockedBy: [] });
  });
});

describe('a step that failed', () => {
  const begun = row([key('240128e', 'begun', { evidence: { reserved: at } })], {
    troubles: [{ step: 'store 240128e', since: t, last: t, times: 3, message: 'no answer' }],
  });
  it('is tried again when its time comes, and says why it waits', () => {
    expect(plan(situation(begun, { now: add(t, seconds(7)) }))).toEqual({
      actions: [],
      wakeAt: add(t, seconds(8)),
      blockedBy: [
        { by: 'trouble', says: 'store 240128e: no answer (3 tries since 2024-01-28T09:00:00.000Z)' },
      ],
    });
    expect(actions(plan(situation(begun, { now: add(t, seconds(8)) })))).toEqual([
      { do: 'store', selector: '240128e' },
    ]);
  });

  it('is no trouble where it is a proof: name servers take their time', () => {
    const waiting = row([key('240128e', 'begun', { evidence: evidenceUpTo('inSync') })], {
      troubles: [{ step: 'prove key 240128e', since: t, last: t, times: 1, message: 'waiting for ns2' }],
    });
    expect(plan(situation(waiting, { now: add(t, seconds(1)) }))).toEqual({
      actions: [],
      wakeAt: add(t, seconds(2)),
      blockedBy: [
        { by: 'dns', selector: '240128e', says: 'waiting for ns2 (1 look since 2024-01-28T09:00:00.000Z)' },
      ],
    });
  });

  it('holds up no other', () => {
    const other = row([key('240128e', 'begun', { evidence: { reserved: at } })], {
      troubles: [{ step: 'store 240127e', since: t, last: t, times: 3, message: 'no answer' }],
    });
    expect(actions(plan(situation(other, { now: t })))).toEqual([{ do: 'store', selector: '240128e' }]);
  });
});

describe('one key', () => {
  const step = (of: Key, more: Parameters<typeof situation>[1] = {}, emergency = false): Plan =>
    planKey(situation(row([active, of]), { now: later, ...more }), of, emergency);
  const nothing = { actions: [], blockedBy: [] };
  const drained = key('240126e', 'stopped');

  it('that is to go lets publications have the requests where they are short, unless mail is forged meanwhile', () => {
    const revoking = key('240126e', 'stopped', { facts: { revocationIntended: at } });
    const waits = step(revoking, { sparing: true, now: add(t, minutes(1)) });
    expect(waits.actions).toEqual([]);
    expect(waits.wakeAt).toBe(add(t, minutes(16)));
    expect(waits.blockedBy[0]?.says).toMatch(/requests are short/);
    expect(step(revoking).actions).toEqual([{ do: 'entomb', selector: '240126e' }]);
    const forged = key('240126e', 'stopped', { facts: { revocationIntended: at, unsigned: at } });
    expect(step(forged, { sparing: true }).actions).toEqual([{ do: 'entomb', selector: '240126e' }]);
  });

  it('that a receiver still met drains for as long as that was after the stop, and says who met it', () => {
    const seenUntil = (after: number) =>
      key('240126e', {
        ...turnUpTo('stopped'),
        reported: { at: t, until: add(t, days(after)), by: 'google.com', messages: 3 },
      });
    expect(step(seenUntil(2), { now: add(t, days(3)) })).toEqual({
      actions: [],
      wakeAt: add(t, days(9), minutes(65)),
      blockedBy: [
        {
          by: 'wait',
          selector: '240126e',
          until: add(t, days(9), minutes(65)),
          says: 'mail signed with 240126e drains until 2024-02-06T10:05:00.000Z, and not only until 2024-02-04T10:05:00.000Z: google.com reports that it still received some, up to 2024-01-30T09:00:00.000Z',
        },
      ],
    });
    expect(step(seenUntil(0), { now: add(t, days(3)) })).toMatchObject({
      blockedBy: [{ says: 'mail signed with 240126e drains until 2024-02-04T10:05:00.000Z' }],
    });
  });

  it('that stopped is revoked when its mail has drained', () => {
    expect(step(drained, { now: add(t, days(1)) })).toEqual({
      actions: [],
      wakeAt: add(t, days(7), minutes(65)),
      blockedBy: [
        {
          by: 'wait',
          selector: '240126e',
          until: add(t, days(7), minutes(65)),
          says: 'mail signed with 240126e drains until 2024-02-04T10:05:00.000Z',
        },
      ],
    });
    expect(actions(step(drained, { now: add(t, days(7), minutes(65)) }))).toEqual([
      { do: 'revoke', selector: '240126e' },
    ]);
  });

  it('is not revoked while a host is behind its stop again, as one from an old backup is', () => {
    const restored = [host('mx1'), host('mx2', { cursor: 4 }), host('mx3', { cursor: 0 })];
    expect(step(drained, { hosts: restored })).toEqual({
      actions: [{ do: 'tell', hosts: ['mx2', 'mx3'] }],
      wakeAt: add(later, minutes(1)),
      blockedBy: [
        {
          by: 'hosts',
          selector: '240126e',
          says: 'mx2, mx3 may sign with 240126e again: not revoked before they caught up',
        },
      ],
    });
  });

  it('is not revoked while a host is brought up that answered before with another key store', () => {
    const restored = host('mx2', { ready: false, unheard: true, lastSeen: t });
    expect(actions(step(drained, { hosts: [host('mx1'), restored] }))).toEqual([
      { do: 'tell', hosts: ['mx2'] },
    ]);
    // One that never answered never signed.
    const newcomer = host('mx2', { ready: false, unheard: true });
    expect(actions(step(drained, { hosts: [host('mx1'), newcomer] }))).toEqual([
      { do: 'revoke', selector: '240126e' },
    ]);
  });

  it('that is compromised is revoked without a drain', () => {
    const compromised = key('240126e', 'stopped', { facts: { compromised: { ...at, reason: 'stolen' } } });
    expect(actions(step(compromised, { now: add(t, minutes(1)) }))).toEqual([
      { do: 'revoke', selector: '240126e' },
    ]);
  });

  const withdrawn = (last: keyof typeof facts, turn: keyof typeof duty = 'stopped'): Key =>
    key('240126e', turn, { evidence: evidenceUpTo(last) });

  it('keeps its tombstone for the hold, then its record is removed', () => {
    const tombstone = { ...withdrawn('revoked') };
    const until = add(t, days(7), minutes(5));
    expect(step(tombstone, { now: add(t, days(6)) })).toEqual({
      actions: [],
      wakeAt: until,
      blockedBy: [
        {
          by: 'wait',
          selector: '240126e',
          until,
          says: 'the tombstone of 240126e stays until 2024-02-04T09:05:00.000Z',
        },
      ],
    });
    expect(actions(step(tombstone, { now: until }))).toEqual([{ do: 'remove', selector: '240126e' }]);
  });

  it('is erased from hosts that were ever offered it, in whichever turn, whether they can use it or not', () => {
    const called: Key = { ...withdrawn('removed'), turns: [turnUpTo('stopped'), { begun: at }] };
    expect(actions(step(called))).toEqual([{ do: 'erase', selector: '240126e' }]);
    const told = withdrawn('eraseTold');
    expect(actions(step(told, { hosts: [failing('240126e')] }))).toEqual([
      { do: 'latch', selector: '240126e', gate: 'erased' },
    ]);
    expect(actions(step(told, { hosts: [host('mx1'), host('mx2', { cursor: 0 })] }, true))).toEqual([
      { do: 'tell', hosts: ['mx2'] },
    ]);
    expect(actions(step(withdrawn('removed', 'proved')))).toEqual([{ do: 'destroy', selector: '240126e' }]);
    expect(actions(step(withdrawn('erased')))).toEqual([{ do: 'destroy', selector: '240126e' }]);
    expect(step(withdrawn('destroyed'))).toEqual(nothing);
  });

  it('that was given up before it signed is withdrawn: its record if there may be one, else its secret', () => {
    const abandoned = { abandoned: { ...at, reason: 'why' } };
    const of = (last: keyof typeof facts): Key =>
      key('240126e', 'begun', { evidence: { ...evidenceUpTo(last), ...abandoned } });
    expect(actions(step(of('publishIntended')))).toEqual([{ do: 'remove', selector: '240126e' }]);
    expect(actions(step(of('stored')))).toEqual([{ do: 'destroy', selector: '240126e' }]);
    expect(step({ ...of('stored'), evidence: { ...of('stored').evidence, destroyed: at } })).toEqual(nothing);
  });

  it('that was given up while it may be on its way to the vault is waited for, then destroyed', () => {
    const given = key('240126e', 'begun', {
      evidence: { reserved: at, abandoned: { at: t, reason: 'why' } },
    });
    const until = add(t, minutes(15));
    expect(step(given, { now: add(t, minutes(14)) })).toEqual({
      actions: [],
      wakeAt: until,
      blockedBy: [
        {
          by: 'wait',
          selector: '240126e',
          until,
          says: 'the key of 240126e may still be on its way to the vault until 2024-01-28T09:15:00.000Z',
        },
      ],
    });
    expect(actions(step(given, { now: until }))).toEqual([{ do: 'destroy', selector: '240126e' }]);
    const stored = { ...given, evidence: { ...given.evidence, stored: facts.stored } };
    expect(actions(step(stored, { now: t }))).toEqual([{ do: 'destroy', selector: '240126e' }]);
  });

  it('that some host may have signed with is never withdrawn', () => {
    const abandoned = { abandoned: { ...at, reason: 'why' } };
    expect(actions(step(key('240126e', 'stopped', { facts: abandoned })))).toEqual([
      { do: 'revoke', selector: '240126e' },
    ]);
    expect(step(key('240126e', 'standby'))).toEqual(nothing);
  });

  it('stops when every host says so, though it cannot use it; starts only where all can', () => {
    expect(actions(step(key('240126e', 'stopIntended'), { hosts: [failing('240126e')] }))).toEqual([
      { do: 'latch', selector: '240126e', gate: 'stopped' },
    ]);
    expect(step(key('240126e', 'signIntended'), { hosts: [failing('240126e')] }).blockedBy).toEqual([
      { by: 'self-test', selector: '240126e', says: 'mx1 cannot use 240126e: no Ed25519' },
    ]);
    expect(actions(step(key('240126e', 'signIntended')))).toEqual([
      { do: 'latch', selector: '240126e', gate: 'active' },
    ]);
  });

  it('that is active has nothing to do', () => expect(step(key('240126e', 'active'))).toEqual(nothing));
});
