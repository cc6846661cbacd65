// What a person is asked to do in a zone that no program can change: one sentence with all that the panel asks for.
import { describe, expect, it } from 'vitest';
import type { Key } from '../../../core/key/evidence.ts';
import { handWish } from '../../../core/key/hand-wish.ts';
import { minutes } from '../../../core/time.ts';
import { at, evidenceUpTo, key, row } from './made.ts';

const published = key('240128e', 'begun');
const wish = (one: Key, change: Parameters<typeof handWish>[2]): string => handWish(row([one]), one, change);
const deletion =
  'delete in the DNS panel of zone example.com the record 240128e._domainkey.example.com TXT (ready to paste: selkie paste example.com)';

describe('a person is asked', () => {
  it('to add the record, with its TTL and its value', () => {
    expect(wish(published, 'created')).toBe(
      'add in the DNS panel of zone example.com 240128e._domainkey.example.com TXT, TTL 3600, value "v=DKIM1; k=ed25519; p=AAAA" (ready to paste: selkie paste example.com)',
    );
  });

  // RFC 6376 §3.6.1: an empty p= says that the key is revoked.
  it.each([
    ['ed25519', 'v=DKIM1; k=ed25519; p='],
    ['rsa2048', 'v=DKIM1; k=rsa; p='],
  ] as const)('to put the tombstone of an %s key in its place', (algorithm, tombstone) => {
    expect(wish({ ...published, algorithm }, 'tombstoned')).toBe(
      `change in the DNS panel of zone example.com 240128e._domainkey.example.com TXT, TTL 3600, to the value "${tombstone}" (ready to paste: selkie paste example.com)`,
    );
  });

  it('to delete it', () => expect(wish(published, 'deleted')).toBe(deletion));

  it.each(['created', 'tombstoned'] as const)(
    'for no more where nothing is to stand there (%s)',
    (change) => {
      expect(wish({ ...published, evidence: evidenceUpTo('stored') }, change)).toBe(deletion);
    },
  );
});

it('names the panel of the zone that the record lies in, where that is another', () => {
  const evidence = {
    ...published.evidence,
    publishIntended: { ...at, value: 'v=DKIM1; p=AAAA', ttl: minutes(5), name: '240128e.dkim.example.net' },
  };
  const elsewhere = { ...row([{ ...published, evidence }]), zone: 'example.net' };
  expect(handWish(elsewhere, { ...published, evidence }, 'created')).toBe(
    'add in the DNS panel of zone example.net 240128e.dkim.example.net TXT, TTL 300, value "v=DKIM1; p=AAAA" (ready to paste: selkie paste example.com)',
  );
});
