// Defects that somebody could have made, each as a small patch of the code's text. The simulation has to catch every one of
// them: a check that cannot fail is none (test/simulation/defects.test.ts). Those marked `was real` were found by it.

import { worldThatFound } from '../regressions.ts';
import type { Scenario } from '../scenario.ts';
import {
  domainsThatComeAndGo,
  restoredAsTheDrainEnds,
  storedTooLate,
  wipedWhileDomainsBegin,
  zonesThatRotateTogether,
} from './worlds.ts';

export interface Patch {
  readonly file: string;
  readonly find: string;
  readonly put: string;
}

export interface Defect {
  readonly name: string;
  readonly says: string;
  readonly patches: readonly Patch[];
  readonly wasReal?: true;
  /** A world made for it. */
  readonly world?: Scenario;
}

const one = (name: string, says: string, file: string, find: string, put: string): Defect => ({
  name,
  says,
  patches: [{ file, find, put }],
});

/** The net below the planner is taken away as well: else it, and not the judge, would see the defect. */
const unguarded: Patch = {
  file: 'core/key/safety.ts',
  find: '  const [first] = violations(before, after, context);',
  put: '  const [first] = violations(before, after, context).slice(0, 0);',
};

const real = (defect: Defect): Defect => ({ ...defect, wasReal: true });

/** Found once in many thousands of worlds: it is looked for in the one that found it first. */
const rare = (defect: Defect): Defect => real({ ...defect, world: worldThatFound(defect.name) });

export const defects: readonly Defect[] = [
  // ---- gates and proofs
  one(
    'first-host-is-enough',
    'a gate passes when the first host has acknowledged',
    'core/key/gate.ts',
    '  if (behind.length > 0) {',
    '  if (behind.length === counted.length) {',
  ),
  one(
    'gate-one-early',
    'a host counts as having applied the entry before',
    'core/key/gate.ts',
    'host.cursor >= place.n;',
    'host.cursor >= place.n - 1;',
  ),
  one(
    'failed-key-ignored',
    'a host that cannot use a key does not stop the gate',
    'core/key/gate.ts',
    '  if (first === undefined) return undefined;',
    '  if (first === undefined || s.now > 0) return undefined;',
  ),
  {
    name: 'standby-skipped',
    says: 'hosts are told to sign before they have said that they hold the key',
    patches: [
      unguarded,
      {
        file: 'core/key/plan.ts',
        find: '  const waiting = keys.filter((key) => turnOf(key).standby === undefined);',
        put: '  const waiting = keys.filter(() => false);',
      },
    ],
  },
  one(
    'nothing-proved',
    'the proof holds whatever servers say',
    'engine/prove.ts',
    '  if (lagging.length === 0 && answers.length > 0) return;',
    '  return;',
  ),
  one(
    'one-server-proves',
    'one name server is taken for all',
    'engine/prove.ts',
    '  const lagging = answers.filter((answer) => !holds(answer));',
    '  const lagging = answers.slice(0, 1).filter((answer) => !holds(answer));',
  ),
  one(
    'absence-not-proved',
    'a deleted record is taken for gone',
    'engine/prove.ts',
    "      answer.answer.kind !== 'failed' && beside !== undefined && answerText(beside) === answerText(answer)",
    '      beside === undefined || answer !== undefined',
  ),
  one(
    'caches-forgotten',
    'nobody waits for caches that deny a name',
    'core/key/waits.ts',
    'proved.negativeTtl === 0 ? proved.at : add(proved.at, proved.negativeTtl, policy.skewBound)',
    'proved.at',
  ),
  real(
    one(
      'wildcard-forgotten',
      'nobody waits for caches that hold a wildcard’s answer',
      'engine/prove.ts',
      "      answer.kind === 'txt' ? answer.set.ttl :",
      "      answer.kind === 'txt' ? seen.negativeTtl ?? answer.set.ttl :",
    ),
  ),
  // ---- waits
  one(
    'ttl-forgotten',
    'a drain does not count the TTL',
    'core/key/waits.ts',
    '    longest(policy.ttl, key.evidence.publishIntended?.ttl ?? policy.ttl),\n    policy.drainMargin,',
    '    policy.drainMargin,',
  ),
  one('margin-forgotten', 'a drain has no margin', 'core/key/waits.ts', '    policy.drainMargin,\n', ''),
  one(
    'queues-forgotten',
    'a drain does not count how long hosts say that their queues hold mail',
    'core/key/waits.ts',
    '  hosts.flatMap((host) => host.queueLifetime ?? []);',
    '  hosts.slice(0, 0).flatMap((host) => host.queueLifetime ?? []);',
  ),
  real(
    one(
      'queues-leave-with-their-host',
      'the queues of a host that left the fleet no longer count',
      'engine/perform.ts',
      '{ stopped: { ...now, ...queuesOf(work.situation().hosts) } }',
      '{ stopped: now }',
    ),
  ),
  one(
    'hold-forgotten',
    'a tombstone goes at once',
    'core/key/waits.ts',
    'add(revoked, longest(policy.hold, key.evidence.publishIntended?.ttl ?? policy.ttl), policy.skewBound)',
    'add(revoked, policy.skewBound)',
  ),
  one(
    'drain-from-the-order',
    'a drain counts from the order to stop, not from the last host that did',
    'core/key/waits.ts',
    '    latest(stopped.at, ...uses),',
    '    uses.length < 0 ? stopped.at : (dutyTurn(key).stopIntended?.at ?? stopped.at),',
  ),
  one(
    'wake-up-lost',
    'what only waits is never looked at again',
    'engine/reconcile-cohort.ts',
    ': inCompany(wakeAt, now),',
    ': undefined,',
  ),
  one(
    'never-again',
    'a step that failed is not tried again for years',
    'core/key/waits.ts',
    'seconds(2), minutes(5)));',
    'minutes(5_000_000), minutes(5_000_000)));',
  ),
  one(
    'skew-ignored',
    'a worker whose clock is off goes on',
    'engine/world.ts',
    '  if (skew > tolerableSkew)',
    '  if (skew > tolerableSkew * 10_000)',
  ),
  // ---- the vault
  one(
    'no-read-back',
    'the record is made from the key in memory, not from the one that the vault holds',
    'engine/store-keys.ts',
    '        await readBack(world, one, secret);',
    '        await readBack({ ...world, vault: { ...world.vault, read: async () => one.key.privateKey } }, one, secret);',
  ),
  {
    name: 'publish-before-store',
    says: 'the record is published, and the key never stored',
    patches: [
      {
        file: 'engine/store-keys.ts',
        find: '    return await vault.store(all.map(({ key }) => key));',
        put: "    if (vault !== undefined) return all.map(({ key }) => [key.domain, key.selector].join('/'));",
      },
      {
        file: 'engine/store-keys.ts',
        find: '        await readBack(world, one, secret);',
        put: '        await readBack({ ...world, vault: { ...world.vault, read: async () => one.key.privateKey } }, one, secret);',
      },
    ],
  },
  {
    name: 'destroy-before-erase',
    says: 'the key is destroyed while hosts hold copies',
    patches: [
      unguarded,
      {
        file: 'core/key/plan-key.ts',
        find: '  if (e.erased === undefined && mayBeHeld(key)) {',
        put: '  if (e.erased === undefined && s.now < 0) {',
      },
    ],
  },
  {
    name: 'destroy-before-removal',
    says: 'the key is destroyed while its record stands',
    patches: [
      unguarded,
      {
        file: 'core/key/plan-key.ts',
        find: '  if (e.removed === undefined) {\n',
        put: "  if (e.destroyed === undefined) return act({ do: 'destroy', selector });\n  if (e.removed === undefined) {\n",
      },
    ],
  },
  real(
    one(
      'orphan-in-the-vault',
      'what a crashed try stored is never looked for',
      'engine/perform.ts',
      '    const left = await vault.find(work.row.domain, selector);',
      '    const left = undefined;',
    ),
  ),
  {
    ...one(
      'late-store',
      'nobody waits for a key that is on its way to the vault',
      'core/key/waits.ts',
      'add(abandoned, minutes(15))',
      'abandoned',
    ),
    world: storedTooLate,
  },
  // ---- records and names
  {
    name: 'selector-reused',
    says: 'a selector is free again when its key is gone',
    patches: [
      {
        file: 'engine/perform.ts',
        find: '  const known = [...row.keys, ...row.taken].map((used) => used.selector);',
        put: '  const known = row.keys\n    .filter((key) => key.evidence.destroyed === undefined)\n    .map((used) => used.selector);',
      },
      {
        file: 'engine/perform.ts',
        find: '    await work.save(next, { reserve: [{ domain: row.domain, selector }] });',
        put: '    await work.save(next);',
      },
      unguarded,
    ],
  },
  one(
    'trespass',
    'another’s record in our place is replaced',
    'engine/change-records.ts',
    '  return passOver(work, selector);',
    "  return passOver === undefined ? undefined : { do: 'replace', name, old: there, set };",
  ),
  one(
    'zones-mixed',
    'the records of a cohort are all asked of the zone of its first domain',
    'engine/change-records.ts',
    'Map.groupBy(actions, ({ work }) => work.row.zone)',
    "Map.groupBy(actions, () => 'all')",
  ),
  {
    name: 'upsert',
    says: 'CREATE writes over what stands there',
    patches: [
      {
        file: 'test/simulation/dns.ts',
        find: "change.do === 'create' ? undefined :",
        put: "change.do === 'create' ? there :",
      },
      {
        file: 'engine/perform.ts',
        find: '    if (foreign !== undefined) return',
        put: '    if (foreign !== undefined && known.length < 0) return',
      },
    ],
  },
  {
    name: 'tombstone-forgotten',
    says: 'a revoked key’s record is deleted outright',
    patches: [
      {
        file: 'core/key/plan-key.ts',
        find: "  if (e.tombstoned === undefined)\n    return afterPublications(s, key, e.revocationIntended) ?? act({ do: 'entomb', selector });",
        put: "  if (e.tombstoned === undefined) return act({ do: 'remove', selector });",
      },
      unguarded,
    ],
  },
  // ---- the switch and the drain
  one(
    'switch-without-successor',
    'hosts are told to stop, and not what to sign with',
    'engine/perform.ts',
    "      ...sign.flatMap((key) => dutyChange(work, key, 'signing')),",
    "      ...sign.slice(0, 0).flatMap((key) => dutyChange(work, key, 'signing')),",
  ),
  {
    name: 'revoke-while-behind',
    world: restoredAsTheDrainEnds,
    says: 'a key is revoked though a restored host signs with it again',
    patches: [
      {
        file: 'core/key/plan-key.ts',
        find: '  if (behind.length > 0)\n    return wait(\n      nextTelling(s.now),\n      {\n        by: ',
        put: '  if (behind.length > 0 && s.now < 0)\n    return wait(\n      nextTelling(s.now),\n      {\n        by: ',
      },
      unguarded,
    ],
  },
  {
    name: 'compromised-at-once',
    says: 'a compromised key is revoked before hosts have stopped',
    patches: [
      {
        file: 'core/key/plan-key.ts',
        find: '    if (e.unsigned !== undefined) return',
        put: '    if (e.compromised !== undefined) return',
      },
      unguarded,
    ],
  },
  real({
    name: 'unsigned-for-ever',
    says: 'one unsigned emergency makes all later ones unsigned',
    patches: [
      {
        file: 'core/key/plan.ts',
        find: '  const stop = s.row.keys.filter((key) => key.evidence.unsigned !== undefined && isServing(key));',
        put: '  const once = s.row.rotations.some((rotation) => rotation.unsigned === true);\n  const stop = s.row.keys.filter((key) => once && key.evidence.compromised !== undefined && isServing(key));',
      },
      unguarded,
    ],
  }),
  {
    name: 'drain-skipped',
    says: 'a key is revoked as soon as hosts have stopped',
    patches: [
      {
        file: 'core/key/plan-key.ts',
        find: '  if (key.evidence.compromised === undefined && s.now < ends)',
        put: '  if (key.evidence.compromised === undefined && s.now < 0)',
      },
      unguarded,
    ],
  },
  // ---- again is the same
  {
    name: 'idempotency-lost',
    says: 'a request that is sent again is done again',
    patches: [
      {
        file: 'engine/commands.ts',
        find: '  if (answered === undefined) return undefined;',
        put: '  if (answered === undefined || row.version >= 0) return undefined;',
      },
      {
        file: 'engine/commands.ts',
        find: '  idempotencyKey === undefined\n    ? {}',
        put: '  idempotencyKey !== ""\n    ? {}',
      },
    ],
  },
  one(
    'lost-update',
    'a row is written whatever version the ledger has',
    'test/simulation/ledger.ts',
    '      if ((rows.get(domain)?.version ?? 0) !== version)',
    '      if ((rows.get(domain)?.version ?? 0) < version)',
  ),
  {
    ...one(
      'log-overwritten',
      'two entries of a pool’s log bear one number',
      'test/simulation/ledger.ts',
      '      if (place.n !== tail(pool) + 1)',
      '      if (place.n > tail(pool) + 1)',
    ),
    world: zonesThatRotateTogether,
  },
  // ---- delivery
  one(
    'cursor-runs-ahead',
    'a bundle says that it leads one further than it does',
    'engine/reconcile-host.ts',
    '    upTo: { epoch, n: entries.at(-1)?.place.n ?? cursor.n },',
    '    upTo: { epoch, n: (entries.at(-1)?.place.n ?? cursor.n) + (changes.length > 1 ? 1 : 0) },',
  ),
  one(
    'acknowledged-unread',
    'a host acknowledges a bundle that begins elsewhere as applied',
    'agent/apply.ts',
    '      await store.commit({ ...state, newest });\n',
    '      await store.commit({ ...state, newest, cursor: manifest.place });\n',
  ),
  one(
    'cursor-never-goes-back',
    'a host that says it stands behind is not believed',
    'engine/hosts.ts',
    '{ cursor: ack.cursor }),',
    '{ cursor: row.cursor !== undefined && row.cursor.n > ack.cursor.n ? row.cursor : ack.cursor }),',
  ),
  one(
    'ring-left-as-it-was',
    'a host acknowledges duties, and signs on as before',
    'agent/apply.ts',
    '      await duties.enforce();',
    '      if (manifest.from === null) await duties.enforce();',
  ),
  real(
    one(
      'restored-host-unheard',
      'a pull from another place is not answered',
      'engine/reconcile-host.ts',
      '(row) => news || !samePlace(row.cursor ?? null, pull.cursor)',
      '(row) => news || (samePlace(row.cursor ?? null, null) && pull.cursor !== null)',
    ),
  ),
  real(
    one(
      'no-heartbeat',
      'a host that is only pushed to is left alone while nothing changes',
      'engine/tick.ts',
      '% 60 === 0) units',
      '% 60 === 60) units',
    ),
  ),
  real({
    name: 'failed-key-spins',
    says: 'a key that a host cannot use has its domain and its host wake each other for ever',
    patches: [
      {
        file: 'engine/hosts.ts',
        find: '    .filter((key) => before.failed[key] !== after.failed[key])\n',
        put: '',
      },
    ],
  }),
  // ---- adopted keys
  real(
    one(
      'adopted-erased-unsaid',
      'a snapshot that was made before an adoption erases the adopted key',
      'agent/apply.ts',
      '...withAdopted(set, state)',
      '...set',
    ),
  ),
  one(
    'adopted-told-standby',
    'hosts that sign with an adopted key are told to hold it first',
    'engine/adopt.ts',
    "duty: 'signing'",
    "duty: 'standby'",
  ),
  one(
    'adopted-never-erased',
    'hosts that never were sent a key are not told to erase it',
    'core/key/state.ts',
    '  key.evidence.adopted !== undefined || key.turns.some((turn) => turn.offered !== undefined);',
    '  key.turns.some((turn) => turn.offered !== undefined);',
  ),
  rare(
    one(
      'rotated-before-adoption',
      'a rotation may be asked for before the adoption, and the adopted key is nobody’s',
      'engine/orders.ts',
      'if (adopted.length > 0 && adoptable(row))',
      'if (adopted.length < 0 && adoptable(row))',
    ),
  ),
  // ---- fleets and names that change hands
  real({
    ...one(
      'newer-fleet-plans',
      'a worker plans by a fleet that is not installed yet',
      'engine/reconcile-cohort.ts',
      ' || !isInstalled(world, session)) return;',
      ') return;',
    ),
    world: domainsThatComeAndGo,
  }),
  rare(
    one(
      'vanished-without-a-key',
      'a domain that no fleet names gets its first key',
      'engine/world.ts',
      '?.leaving ?? true);',
      '?.leaving ?? false);',
    ),
  ),
  rare(
    one(
      'record-put-back',
      'a record that somebody puts back after its deletion is only waited for',
      'engine/prove.ts',
      'return deleteAgain(work, selector);',
      "throw new SelkieError('unavailable', 'the provider still has a record there');",
    ),
  ),
  real({
    ...one(
      'outrun-snapshot',
      'a snapshot leaves after a newer one, and takes back what the host was told since',
      'engine/reconcile-host.ts',
      '    if (isOutrun(row, lack))',
      '    if (isOutrun(row, lack) && session.now() < 0)',
    ),
    world: wipedWhileDomainsBegin,
  }),
  // ---- hosts that come and go
  rare(
    one(
      'unheard-copies',
      'a key is destroyed while a newcomer, whose answer was lost, holds a copy',
      'core/key/plan-key.ts',
      '      holders: true,\n',
      '',
    ),
  ),
  rare(
    one(
      'lost-key-switched',
      'hosts are switched to a key that one of them has lost since it held it',
      'core/key/plan.ts',
      '  return lost.length > 0',
      '  return lost.length < 0',
    ),
  ),
  rare(
    one(
      'other-store-forgotten',
      'a key is revoked while a host signs with it that came back from a backup of another key store',
      'core/key/gate.ts',
      'unheard === true && lastSeen !== undefined);',
      'unheard === true && lastSeen === undefined);',
    ),
  ),
  rare(
    one(
      'watches-pile-up',
      'a look at what was put back, delivered twice, goes on twice, and so on without end',
      'engine/drift/mended.ts',
      'await comeBack(world, session,',
      'await ((_w: unknown, _s: unknown, _l: string, ...[u, after]: [typeof unit, typeof again]) => world.queue.send([u], after))(world, session,',
    ),
  ),
  // ---- disclosure
  {
    name: 'disclosed-early',
    says: 'a retired key is published as soon as it is revoked, before its record is removed',
    patches: [
      unguarded,
      {
        file: 'core/key/plan-key.ts',
        find: "  if (s.now < until)\n    return wait(until, {\n      by: 'wait',\n      selector,\n      until,\n      says: `the tombstone",
        put: "  if (isToBeDisclosed(s, key)) return act({ do: 'disclose', selector });\n  if (s.now < until)\n    return wait(until, {\n      by: 'wait',\n      selector,\n      until,\n      says: `the tombstone",
      },
      {
        file: 'engine/disclose.ts',
        find: '  if (stored === undefined || removed === undefined) return;',
        put: '  if (stored === undefined) return;',
      },
      {
        file: 'engine/disclose.ts',
        find: '    removed: removed.at,',
        put: '    removed: removed?.at ?? work.now(),',
      },
    ],
  },
  {
    name: 'disclosed-unasked',
    says: 'retired keys are published whatever the policy says',
    patches: [
      unguarded,
      {
        file: 'core/key/plan-key.ts',
        find: "  s.policy.disclose === 'after-removal' &&\n",
        put: '',
      },
    ],
  },
  // ---- SPF and DMARC
  one(
    'policy-trespass',
    'an SPF or DMARC record that is somebody else’s is replaced, though nobody said adopt',
    'engine/policies/change.ts',
    '  if (adopt && record.owned === undefined) return undefined;',
    '  if (record.owned === undefined) return undefined;',
  ),
  one(
    'second-policy',
    'a record is written beside another of its kind',
    'engine/policies/change.ts',
    '  const foreign = foreignIn(known, there).filter((other) => !edit.includes(other));\n  if (kind ===',
    '  const foreign = foreignIn(known, undefined);\n  if (kind ===',
  ),
  one(
    'others-values-lost',
    'a set is written as if Selkie’s value were all that stands there',
    'engine/policies/change.ts',
    '.filter((other) => other !== value && !ours.includes(other)),',
    '.filter((other) => other !== value && other === undefined),',
  ),
  one(
    'policies-left-behind',
    'a domain that leaves keeps its SPF and DMARC records',
    'core/policy-records/plan.ts',
    '  const wanted = s.leaving ? [] : s.wanted;',
    '  const { wanted } = s;',
  ),
  one(
    'policy-edit-unseen',
    'an audit takes an edited SPF or DMARC record for what should stand there',
    'engine/drift/policies.ts',
    'value !== undefined && !policyStands(',
    'value === undefined && !policyStands(',
  ),
];
