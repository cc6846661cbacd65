// What becomes of keys of a row that came back from a backup. Whole worlds are judged in test/e2e/restore.test.ts.
import { describe, expect, it } from 'vitest';
import type { Key } from '../../../core/key/evidence.ts';
import {
  candidates,
  type Found,
  type Proof,
  recover,
  restored,
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

const restore = (keys: readonly Key[], world: readonly Found[], proved: readonly string[] = []) => {
  const backup = row(keys);
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
