import { describe, expect, it } from 'vitest';
import { encodePacket } from '../../../agent/milter/wire.ts';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import { converse } from '../../fuzz/milter-conversation.ts';

const options = { ring: createKeyRing(), now: () => 0, isInternal: () => true };

describe('a connection that was refused', () => {
  it('is not read on, though more had come, and is told of once', async () => {
    const nonsense = encodePacket('Z', Buffer.from('nonsense'));
    const { written, log, refused } = await converse([nonsense, nonsense, nonsense], options);
    expect(log).toEqual(['milter connection closed: milter protocol: unknown command "Z"']);
    expect([written.length, refused]).toEqual([0, true]);
  });
});
