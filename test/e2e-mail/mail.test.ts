// A thousand messages of all kinds, two rotations in their midst, through each way of signing; `npm run e2e:mail` is the whole.
import { expect, it } from 'vitest';
import { describeWith } from '../tools/machine.ts';
import { kinds } from './messages.ts';
import { prove } from './proof.ts';
import type { DriverName } from './signers.ts';

const messages = 1_000;

const suite = (driver: DriverName): void =>
  it(`${driver}: every message arrives once, signed, and verifies then and at the end of its queue’s lifetime`, async () => {
    const proof = await prove({ driver, messages });
    expect(proof.problems).toEqual([]);
    expect(proof.stored).toBe(proof.submitted);
    expect(proof.submitted).toBeGreaterThanOrEqual(messages);
    // Both moments of a message may have one DNS: the least is one verification for each message.
    for (const verified of Object.values(proof.verified))
      expect(verified).toBeGreaterThanOrEqual(proof.stored);
    expect(Object.keys(proof.kinds).sort()).toEqual([...kinds].sort());
    for (const selector of ['240128', '240428', '240728'])
      expect(proof.selectors[`${selector} example.com`]).toBeGreaterThan(20);
    expect(proof.newest).toBeGreaterThan(20);
    expect(proof.older).toBe(50);
  }, 240_000);

describeWith(['postfix', 'dkimpy', 'opendkim'], 'mail through two rotations', () => {
  suite('builtin');
  suite('opendkim');
});
describeWith(['postfix', 'dkimpy', 'opendkim', 'rspamd'], 'mail through two rotations, rspamd signing', () =>
  suite('rspamd'),
);
