import { expect, it } from 'vitest';
import { createKeyRing } from '../../agent/signing/key-ring.ts';
import { recordUse } from '../../agent/use.ts';
import { testKey } from '../oracles/records.ts';

const signing = (selector: string) => testKey('example.com', selector, 'ed25519');

it('says when keys that sign no more were last used', () => {
  let now = 1_000;
  const { ring, retired } = recordUse(createKeyRing(), () => now);
  const held = () => true;
  ring.replace([signing('one')]);
  expect(ring.signingKeys('example.com').map((key) => key.selector)).toEqual(['one']);
  expect(retired(held)).toEqual({});
  now = 2_000;
  ring.signingKeys('example.com');
  ring.signingKeys('other.example');
  ring.replace([signing('two')]);
  now = 3_000;
  ring.signingKeys('example.com');
  expect(retired(held)).toEqual({ 'example.com/one': 2_000 });
  expect(retired(() => false)).toEqual({});
  expect(retired(held)).toEqual({});
});
