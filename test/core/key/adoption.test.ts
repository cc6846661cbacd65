// Which records a key is adopted with, and what the row then says of it.
import { describe, expect, it } from 'vitest';
import { adoptable, adopted, adoptionFault, adoptionIgnored } from '../../../core/key/adoption.ts';
import { servingRotation, stateOf } from '../../../core/key/state.ts';
import type { AdoptedKey } from '../../../core/policy.ts';
import { minutes } from '../../../core/time.ts';
import { at, key, place, rotation, row, t } from './made.ts';

const mail: AdoptedKey = { selector: 'mail', algorithm: 'rsa2048', publicKey: 'MIIBAAAA' };
const record = 'v=DKIM1; h=sha256; k=rsa; t=s; s=email; p=MIIBAAAA';

describe('the record of a key that is adopted', () => {
  it.each([
    record,
    'p=MIIBAAAA', // RFC 6376 §3.6.1: all else has a default
    'v=DKIM1; k=rsa; p=MIIB AA\tAA',
    'v=DKIM1; t=y; n=old; p=MIIBAAAA',
    'v=DKIM1; h=sha1:sha256; s=*; p=MIIBAAAA',
    'v=DKIM1; g=*; p=MIIBAAAA', // RFC 4871
  ])('may be %s', (value) => expect(adoptionFault(mail, [value])).toBeUndefined());

  it.each([
    [[], 'there is no TXT record'],
    [[record, record], 'there are 2 TXT records: leave one (RFC 6376 section 3.6.2.2)'],
    [['v=DKIM1; k=rsa; p='], 'the record says that the key is revoked (p= is empty)'],
    [['v=DKIM1; k=ed25519; p=MIIBAAAA'], 'the record is of key type ed25519, not rsa'],
    [
      ['v=DKIM1; p=MIIBBBBBCCCCDDDD'],
      'the record is of another key: from character 5 of p= on, BBBBCCCCDDDD… instead of AAAA…',
    ],
    [
      ['v=DKIM1; p=MIIB'],
      'the record is of another key: from character 5 of p= on, its end instead of AAAA…',
    ],
    [['v=DKIM1; h=sha1; p=MIIBAAAA'], 'the record allows only h=sha1, and signatures are made with sha256'],
    [['v=DKIM1; s=other; p=MIIBAAAA'], 'the record is for s=other, not for email'],
    [
      ['v=spf1 -all'],
      'what stands there is no key record. Key record: where v= is said it must be first, and DKIM1.',
    ],
  ])('may not be %s', (values, why) => expect(adoptionFault(mail, values)).toBe(why));
});

describe('a row that adopts', () => {
  const found = { key: mail, value: record, ttl: minutes(360), servers: 3, negativeTtl: minutes(15) };
  const made = adopted(row([]), 'r', [found], t, place);

  it('begins with the key published, told to sign, and its record’s set as it was found', () => {
    expect(made.keys).toEqual([
      {
        selector: 'mail',
        algorithm: 'rsa2048',
        rotation: 'r',
        evidence: {
          reserved: at,
          adopted: { ...at, publicKey: 'MIIBAAAA' },
          publishIntended: { ...at, value: record, ttl: minutes(360) },
        },
        turns: [
          {
            begun: at,
            proved: { ...at, servers: 3, negativeTtl: minutes(15) },
            signIntended: { ...at, place },
          },
        ],
      },
    ]);
    expect(made.keys.map(stateOf)).toEqual(['published']);
    expect(servingRotation(made)).toMatchObject({
      kind: 'adopted',
      selectors: ['mail'],
      algorithms: ['rsa2048'],
    });
  });

  it('is one that no key was ever in', () => {
    expect(adoptable(row([]))).toBe(true);
    expect(adoptable(made)).toBe(false);
    expect(adoptable(row([key('240128e', 'stopped')]))).toBe(false);
    expect(adoptable(row([], { rotations: [rotation('r')] }))).toBe(false);
  });

  it('rules from then on: what the file says later has no effect, and that is said', () => {
    expect(adoptionIgnored(row([]), [mail])).toBeUndefined();
    expect(adoptionIgnored(made, [mail])).toBeUndefined();
    expect(adoptionIgnored(made)).toBeUndefined();
    const says =
      'fleet.yaml names mail as adopted, but keys are adopted only before Selkie has any key of example.com: the entry has no effect';
    expect(adoptionIgnored(made, [{ ...mail, publicKey: 'MIIC' }])).toBe(says);
    expect(adoptionIgnored(row([key('240128e', 'active')]), [mail])).toBe(says);
  });
});
