import { describe, expect, it } from 'vitest';
import { createNodeKeys } from '../../adapters/node-keys.ts';
import { type KeyChange, limits, mostRoom, payloadText, splitBySize } from '../../contract/manifest.ts';
import { snapshotId } from '../../contract/snapshot.ts';
import { type Algorithm, algorithms } from '../../core/algorithm.ts';

const place = { epoch: 1, n: 7 };
const one: KeyChange = {
  domain: 'example.com',
  selector: 'one',
  algorithm: 'ed25519',
  duty: 'standby',
  publicKey: 'QUJD',
};
const two: KeyChange = { ...one, selector: 'two' };

describe('the id of a snapshot', () => {
  it('is the same for the same content', () =>
    expect(snapshotId(place, [[one], [two]])).toBe(snapshotId({ ...place }, [[{ ...one }], [{ ...two }]])));
  it('is one that manifests take', () => expect(snapshotId(place, [[]])).toMatch(/^[0-9a-f]{32}$/));
  it('differs with place, parts, order, duty and key', () => {
    const ids = [
      snapshotId(place, [[one], [two]]),
      snapshotId({ ...place, n: 8 }, [[one], [two]]),
      snapshotId({ ...place, epoch: 2 }, [[one], [two]]),
      snapshotId(place, [[one, two]]),
      snapshotId(place, [[two], [one]]),
      snapshotId(place, [[{ ...one, duty: 'signing' }], [two]]),
      snapshotId(place, [[{ ...one, publicKey: 'QUJE' }], [two]]),
      snapshotId(place, [[{ ...one, domain: 'example.net' }], [two]]),
      snapshotId(place, [[one], []]),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('the room of a change', () => {
  it.each(Object.keys(algorithms) as Algorithm[])('is enough for an %s key', async (algorithm) => {
    const keys = createNodeKeys();
    const { privateKey } = await keys.generate(algorithm);
    const change = { ...one, algorithm, publicKey: keys.publicOf(privateKey).publicKey };
    const whole = { ...change, privateKey: Buffer.from(privateKey).toString('base64') };
    const size = payloadText([whole]).length - payloadText([]).length;
    expect(mostRoom(change, true)).toBeGreaterThanOrEqual(size);
    // and not so much more that payloads are half empty; numbers of an RSA key may begin with zeros, which DER leaves out
    expect(mostRoom(change, true)).toBeLessThan(size * 1.05);
    expect(mostRoom(change, false)).toBeLessThan(size);
  });

  it('makes parts that fit a payload', () => {
    const room = mostRoom({ ...one, algorithm: 'rsa2048' }, true);
    const groups = splitBySize(Array.from({ length: 2_000 }), () => room);
    for (const group of groups) expect(group.length * room).toBeLessThanOrEqual(limits.payload);
    expect(groups.flat().length).toBe(2_000);
  });
});
