// What becomes of keys of a row that came back from a backup. Whole worlds are judged in test/e2e/restore.test.ts.
import { describe, expect, it } from 'vitest';
import type { Key } from '../../../core/key/evidence.ts';
import {
  candidates,
  type Found,
  type Proof,
  recover,
  restored,
  shownOf,
  signers,
  unsettled,
} from '../../../core/key/restored.ts';
import { isServing, mayBeHeld, stateOf } from '../../../core/key/state.ts';
import { defaultPolicy } from '../../../core/policy.ts';
import { minutes } from '../../../core/time.ts';
import { evidenceUpTo, facts, later, key as made, place, rotation, row } from './made.ts';

const ttl = minutes(60);
const policy = { ...defaultPolicy, algorithms: ['ed25519'] as const };
const proof: Proof = { servers: 2, negativeTtl: minutes(15) };
/** 32 bytes, as RFC 8463 section 4 has it. */
const publicKey = `${'A'.repeat(43)}=`;
const recordOf = (publicKey: string) => `v=DKIM1; k=ed25519; p=${publicKey}`;

const key = (...[selector, turn, more = {}]: Parameters<typeof made>): Key =>
  made(selector, turn, { ...more, facts: { stored: { ...facts.stored, publicKey }, ...more.facts } });

/** A name as the world shows it: its secret in the vault, its record standing, unless said. */
const found = (selector: string, value: string | undefined = recordOf(publicKey)): Found => ({
  selector,
  ...(value === '' ? {} : { set: { ttl, values: [value] } }),
  stored: {
    secret: `example.com/${selector}`,
    algorithm: 'ed25519',
    fingerprint: '00',
    publicKey,
  },
});

const restore = (
  keys: readonly Key[],
  world: readonly Found[],
  proved: readonly string[] = [],
  more: Parameters<typeof row>[1] = {},
) => {
  const backup = row(keys, more);
  const all = recover(backup, world, policy, later, 'restored');
  const standing = candidates(all);
  const proofs = new Map(proved.map((selector) => [selector, proof]));
  const sign = signers(standing, proofs);
  const after = restored(backup, all, proofs, { at: later, place, policy, rotation: 'restored' });
  const keyOf = (selector: string) => after.row.keys.find((one) => one.selector === selector);
  return {
    ...after,
    keyOf,
    sign: sign.map((one) => one.key.selector),
    unsettled: unsettled(standing, sign).map((one) => one.key.selector),
    wordsOf: (selector: string) =>
      after.words.filter((word) => word.key.selector === selector).map(({ duty }) => duty),
  };
};

describe('which key signs on', () => {
  const serving = key('240128e', 'active');

  it('the one that the backup knows to sign: every host has it; newer ones drain', () => {
    const { sign, keyOf, wordsOf, says } = restore(
      [serving],
      [found('240128e'), found('240201e'), found('240210e')],
      ['240201e', '240210e'],
    );
    expect(sign).toEqual(['240128e']);
    expect(wordsOf('240128e')).toEqual([]);
    expect(keyOf('240128e')).toEqual(serving);
    for (const selector of ['240201e', '240210e']) {
      expect(wordsOf(selector)).toEqual(['standby']);
      expect(isServing(keyOf(selector) ?? serving)).toBe(false);
    }
    expect(says).toEqual([
      '240128e of example.com signs on',
      '240201e of example.com, which the backup did not know, drains from now on',
      '240210e of example.com, which the backup did not know, drains from now on',
    ]);
  });

  it('where that one has no record any more, the oldest that is proved', () => {
    const { sign, keyOf, wordsOf } = restore(
      [serving],
      [found('240128e', 'v=DKIM1; k=ed25519; p='), found('240201e'), found('240210e')],
      ['240201e', '240210e'],
    );
    expect(sign).toEqual(['240201e']);
    expect(wordsOf('240201e')).toEqual(['standby', 'signing']);
    expect(wordsOf('240128e')).toEqual(['none']);
    expect(keyOf('240128e')?.evidence.revocationIntended).toEqual({ at: later });
  });

  it('none before a name server shows it: an adopted one is only on the hosts that had it', () => {
    const adopted = key('mail', 'active', {
      algorithm: 'ed25519',
      facts: { adopted: { at: later, publicKey: 'BBBB' } },
    });
    const world: Found[] = [
      {
        selector: 'mail',
        set: { ttl, values: [recordOf('BBBB')] },
        adopted: { algorithm: 'ed25519', publicKey: 'BBBB' },
      },
      found('240201e'),
    ];
    const { stored: _mine, ...theirs } = adopted.evidence;
    const mail = { ...adopted, evidence: theirs };
    expect(restore([mail], world).unsettled).toEqual(['240201e']);
    expect(restore([mail], world, ['240201e'])).toMatchObject({ sign: ['240201e'], unsettled: [] });
    expect(restore([mail], world.slice(0, 1))).toMatchObject({ sign: ['mail'], unsettled: [] });
  });

  it('a compromised one only where there is no other', () => {
    const compromised = key('240128e', 'active', { facts: { compromised: { at: later, reason: 'leaked' } } });
    expect(restore([compromised], [found('240128e'), found('240201e')], ['240201e']).sign).toEqual([
      '240201e',
    ]);
    expect(restore([compromised], [found('240128e')]).sign).toEqual(['240128e']);
  });
});

describe('a record that is another now', () => {
  const other = recordOf(`${'B'.repeat(43)}=`);

  it('is ours, changed by hand, where the backup knows that it was: the key is kept', () => {
    const alone = restore([key('240128e', 'active')], [found('240128e', other)]);
    expect(alone.sign).toEqual(['240128e']);
    expect(alone.says).toEqual([
      '240128e of example.com signs on; its record was changed by hand, and an audit puts it back',
    ]);
    const beside = restore(
      [key('240128e', 'active')],
      [found('240128e', other), found('240201e')],
      ['240201e'],
    );
    expect(beside.sign).toEqual(['240201e']);
    expect(beside.wordsOf('240128e')).toEqual(['standby']);
    expect(beside.keyOf('240128e')?.evidence.revocationIntended).toBeUndefined();
  });

  it('is somebody else’s where it does not', () => {
    const { keyOf, wordsOf, says } = restore(
      [key('240128e', 'active')],
      [found('240128e'), found('240201e', other)],
    );
    expect(wordsOf('240201e')).toEqual(['none']);
    expect(keyOf('240201e')?.evidence.removed).toEqual({ at: later });
    expect(says).toEqual(['240201e of example.com: another record stands at its name, which is left alone']);
  });
});

it('a key that was stored when the backup was made may have lived since: it is erased before it is destroyed', () => {
  const stored: Key = key('240201e', 'begun', { evidence: evidenceUpTo('stored') });
  const backup = [key('240128e', 'active'), stored];
  const { keyOf, wordsOf, row: after } = restore(backup, [found('240128e'), found('240201e', '')]);
  const one = keyOf('240201e');
  expect(one === undefined ? undefined : [mayBeHeld(one), stateOf(one)]).toEqual([true, 'revoked']);
  expect(wordsOf('240201e')).toEqual(['none']);
  expect(after.rotations.at(-1)).toEqual({ ...rotation('240201e'), selectors: [] });
});

it('one that was only reserved is given up', () => {
  const reserved = key('240201e', 'begun', { evidence: evidenceUpTo('reserved') });
  const { keyOf, wordsOf, says } = restore(
    [key('240128e', 'active'), reserved],
    [found('240128e'), { selector: '240201e' }],
  );
  expect(keyOf('240201e')?.evidence.abandoned).toMatchObject({ at: later });
  expect(wordsOf('240201e')).toEqual([]);
  expect(says).toEqual(['240201e of example.com is given up: it has no record']);
});

describe('what a name shows', () => {
  const set = (...values: readonly string[]): Found => ({ selector: '240128e', set: { ttl, values } });

  it.each([
    ['nothing', undefined],
    ['nothing', { selector: '240128e' }],
    ['nothing', set()],
    ['key', set(recordOf(publicKey))],
    ['key', set(`v=DKIM1; k=ed25519; s=email; p=${publicKey}`)],
    ['tombstone', set('v=DKIM1; k=ed25519; p=')],
    ['other', set(recordOf(`${'B'.repeat(43)}=`))],
    // RFC 6376 section 3.6.2.2: what several records mean is not defined.
    ['other', set(recordOf(publicKey), 'v=spf1 -all')],
    ['other', set('v=spf1 -all')],
    ['other', set('')],
  ] as const)('%s', (shows, one) => expect(shownOf(publicKey, one)).toBe(shows));

  it('another, where no key is known', () =>
    expect(shownOf(undefined, set(recordOf(publicKey)))).toBe('other'));
});

describe('a key that the backup does not know', () => {
  it('is known again by its secret and its record', () => {
    const { keyOf, reserve } = restore([], [found('240201e')], ['240201e']);
    expect(reserve).toEqual(['240201e']);
    const told = { at: later, place };
    expect(keyOf('240201e')).toEqual({
      selector: '240201e',
      algorithm: 'ed25519',
      rotation: 'restored',
      evidence: {
        reserved: { at: later },
        stored: { at: later, secret: 'example.com/240201e', fingerprint: '00', publicKey },
        publishIntended: { at: later, value: recordOf(publicKey), ttl },
        created: { at: later, changeId: 'restored' },
        inSync: { at: later },
      },
      turns: [
        {
          begun: { at: later },
          proved: { at: later, ...proof },
          offered: told,
          standby: { at: later },
          signIntended: told,
        },
      ],
    });
  });

  it('is one that was revoked, where it shows a tombstone: its record was as the policy has it', () => {
    const { keyOf, wordsOf } = restore(
      [key('240128e', 'active')],
      [found('240128e'), found('240120e', 'v=DKIM1; k=ed25519; p=')],
    );
    expect(keyOf('240120e')?.evidence).toMatchObject({
      publishIntended: { value: recordOf(publicKey), ttl },
      revocationIntended: { at: later },
      tombstoned: { changeId: 'restored' },
      tombstoneInSync: { at: later },
    });
    expect(keyOf('240120e')?.evidence).not.toHaveProperty('revoked');
    expect(wordsOf('240120e')).toEqual(['none']);
  });

  it('is one that was given up or is gone, where it has no record: the hosts erase it, then it is destroyed', () => {
    const { keyOf } = restore([key('240128e', 'active')], [found('240128e'), found('240120e', '')]);
    expect(keyOf('240120e')?.evidence).toMatchObject({
      revoked: { at: later },
      removalIntended: { at: later },
      deleted: { at: later, changeId: 'absent' },
      deletionInSync: { at: later },
    });
    // Proved anew before it is destroyed.
    expect(keyOf('240120e')?.evidence).not.toHaveProperty('removed');
  });

  it('is an adopted one, where the fleet names it', () => {
    const mail: Found = {
      selector: 'mail',
      set: { ttl, values: ['v=DKIM1; k=rsa; p=MIIBAAAA'] },
      adopted: { algorithm: 'rsa2048', publicKey: 'MIIBAAAA' },
    };
    const { keyOf, sign, wordsOf } = restore([], [mail], ['mail']);
    expect(sign).toEqual(['mail']);
    expect(keyOf('mail')).toMatchObject({
      algorithm: 'rsa2048',
      evidence: {
        adopted: { at: later, publicKey: 'MIIBAAAA' },
        publishIntended: { value: 'v=DKIM1; k=rsa; p=MIIBAAAA', ttl },
      },
    });
    expect(keyOf('mail')?.evidence).not.toHaveProperty('stored');
    expect(wordsOf('mail')).toEqual(['standby', 'signing']);
    // Neither its record nor the vault has it: nothing is known of it.
    expect(
      restore([], [{ selector: 'mail', adopted: { algorithm: 'rsa2048', publicKey: 'MIIBAAAA' } }]).row.keys,
    ).toEqual([]);
  });

  it('is nobody’s that Selkie knows, where neither the vault nor the fleet has it', () => {
    const { set } = found('240201e');
    const {
      row: after,
      reserve,
      words,
    } = restore(
      [key('240128e', 'active')],
      [found('240128e'), { selector: '240201e', ...(set === undefined ? {} : { set }) }],
    );
    expect(after.keys.map(({ selector }) => selector)).toEqual(['240128e']);
    expect([reserve, words]).toEqual([[], []]);
  });
});

describe('a key that the backup knows', () => {
  it('signs again in a turn of its own, where it had stopped', () => {
    const { keyOf, sign, wordsOf } = restore([key('240128e', 'stopped')], [found('240128e')], ['240128e']);
    expect(sign).toEqual(['240128e']);
    expect(keyOf('240128e')?.turns).toHaveLength(2);
    expect(keyOf('240128e')?.turns[1]).toMatchObject({ begun: { at: later }, signIntended: { at: later } });
    expect(wordsOf('240128e')).toEqual(['standby', 'signing']);
  });

  it('drains on where hosts were told to stop and had not, and anew where they had: they may have signed since', () => {
    const serving = key('240201e', 'active');
    const stopping = key('240128e', 'stopIntended');
    const world = [found('240128e'), found('240201e')];
    expect(restore([stopping, serving], world).keyOf('240128e')).toEqual(stopping);
    const again = restore([key('240128e', 'stopped'), serving], world).keyOf('240128e');
    const told = { at: later, place };
    expect(again?.turns[1]).toEqual({
      begun: { at: later },
      offered: told,
      signIntended: told,
      stopIntended: told,
    });
  });

  it('is erased by hosts where the vault does not have it', () => {
    const { stored: _lost, ...record } = found('240128e');
    const { sign, wordsOf, says } = restore(
      [key('240128e', 'active')],
      [record, found('240201e')],
      ['240201e'],
    );
    expect(sign).toEqual(['240201e']);
    expect(wordsOf('240128e')).toEqual(['none']);
    expect(says).toContain(
      '240128e of example.com drains from now on; the vault does not have it, so hosts are told to erase it',
    );
  });

  it('is kept from hosts where it was declared compromised', () => {
    const compromised = key('240128e', 'active', { facts: { compromised: { at: later, reason: 'leaked' } } });
    const { wordsOf } = restore([compromised], [found('240128e'), found('240201e')], ['240201e']);
    expect(wordsOf('240128e')).toEqual(['none']);
  });

  it.each([
    ['is on its way out', { revocationIntended: { at: later } }],
    ['is being removed', { removalIntended: { at: later } }],
    ['is destroyed', { destroyed: { at: later } }],
  ])('is left as it is where it %s', (_, ending) => {
    const one = key('240120e', 'stopped', { facts: ending });
    const { keyOf } = restore([one, key('240128e', 'active')], [found('240120e'), found('240128e')]);
    expect(keyOf('240120e')).toEqual(one);
  });

  it('is left as it is where it was given up before it ever signed', () => {
    const one = key('240201e', 'proved', { facts: { abandoned: { at: later, reason: 'aborted' } } });
    const { keyOf, sign } = restore([one], [found('240201e')], ['240201e']);
    expect([keyOf('240201e'), sign]).toEqual([one, []]);
  });

  it('has stopped where its record is gone, and another’s record there is not removed', () => {
    const { keyOf } = restore([key('240128e', 'active')], [found('240128e', '')]);
    expect(keyOf('240128e')?.turns[0]).toMatchObject({
      stopIntended: { at: later, place },
      stopped: { at: later },
    });
  });
});

describe('the rotation under way', () => {
  const serving = key('240128e', 'active');
  const pending = key('240201e', 'begun', { evidence: evidenceUpTo('reserved') });

  it('goes on with other names where it had published nothing, and nothing has come since', () => {
    const { row: after } = restore([serving, pending], [found('240128e'), { selector: '240201e' }]);
    expect(after.rotations).toEqual([rotation('240128e'), { ...rotation('240201e'), selectors: [] }]);
  });

  it('is settled by what followed it, and by a rotation that says who signs', () => {
    const { row: after } = restore(
      [serving, pending],
      [found('240128e'), { selector: '240201e' }, found('240202e')],
      ['240202e'],
    );
    const reason = 'the ledger was restored from a backup';
    expect(after.rotations).toEqual([
      rotation('240128e'),
      { ...rotation('240201e'), aborted: { at: later, reason, by: 'restored' } },
      {
        id: 'restored',
        kind: 'requested',
        by: 'restore',
        reason,
        at: later,
        algorithms: ['ed25519'],
        selectors: ['240128e'],
      },
    ]);
  });

  it('where nothing changed, none is added', () => {
    const { row: after, words, says } = restore([serving], [found('240128e')]);
    expect(after.rotations).toEqual([rotation('240128e')]);
    expect(after.keys).toEqual([serving]);
    expect([words, says]).toEqual([[], []]);
  });
});

it('names of the day are passed over, since keys of which nothing is left may have borne them', () => {
  const today = '240328'; // of `later`
  const used = [
    key('240128e', 'active'),
    key(`${today}e-4`, 'active', { facts: { destroyed: { at: later } } }),
  ];
  const { row: after } = restore(used, [found('240128e')]);
  expect(after.taken.map(({ selector }) => selector)).toEqual([`${today}e-103`]);
  expect(restore([key('240128e', 'active')], [found('240128e')]).row.taken).toEqual([
    { at: later, selector: `${today}e-99`, reason: 'the ledger was restored from a backup' },
  ]);
});

it('it is looked at again at once, and what troubled it is forgotten', () => {
  const { row: after } = restore([key('240128e', 'active')], [found('240128e')]);
  expect([after.wakeAt, after.troubles]).toEqual([later, []]);
});
