// Which keys are fit to be adopted: key files made at run time, and DNS answers of every kind.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ServerAnswer } from '../../../adapters/dns/authority.ts';
import { createNodeKeys } from '../../../adapters/node-keys.ts';
import { judgeKey, withoutRivals } from '../../../agent/adopt/judge.ts';
import { fleetEntries, reportLines } from '../../../agent/adopt/report.ts';
import { hours } from '../../../core/time.ts';
import { parseFleet } from '../../../fleet/read.ts';
import { temporaryFolder } from '../../tools/temporary-folder.ts';

const keys = createNodeKeys();
let dir: string;
beforeEach(() => {
  dir = temporaryFolder();
});

const rsa = (modulusLength: number): KeyObject => generateKeyPairSync('rsa', { modulusLength }).privateKey;
const publicOf = (key: KeyObject): string =>
  keys.publicOf(key.export({ type: 'pkcs8', format: 'der' })).publicKey;

const keep = (key: KeyObject | string, mode = 0o600) => {
  const file = join(dir, 'mail.private');
  writeFileSync(file, typeof key === 'string' ? key : key.export({ type: 'pkcs8', format: 'pem' }), { mode });
  chmodSync(file, mode);
  return { domain: 'example.jp', selector: 'mail', file, by: 'SigningTable line 1' };
};

const answer = (server: string, said: ServerAnswer['answer']): ServerAnswer => ({
  server,
  address: '192.0.2.1#53',
  answer: said,
});
const txt = (...values: string[]): ServerAnswer['answer'] => ({
  kind: 'txt',
  set: { ttl: hours(1), values },
});
const saying =
  (...said: ServerAnswer['answer'][]) =>
  async () =>
    said.map((one, n) => answer(`ns${n + 1}.example.net`, one));

describe('a key whose record every server shows', () => {
  it('is read with its algorithm, its size and the p= of the record', async () => {
    const key = rsa(2048);
    const value = `v=DKIM1; k=rsa; p=${publicOf(key)}`;
    const judged = await judgeKey(keep(key), { look: saying(txt(value), txt(value)) });
    expect(judged).toMatchObject({
      record: 'all of 2 servers show this key',
      warnings: [],
      read: { algorithm: 'rsa2048', bits: 2048, publicKey: publicOf(key) },
    });
    expect(judged).not.toHaveProperty('refused');
  });

  it('may be written as PKCS#1, in its file and in DNS', async () => {
    const key = rsa(1024);
    const p = keys.publicOf(key.export({ type: 'pkcs8', format: 'der' })).publicKey;
    const bare = Buffer.from(p, 'base64').subarray(22).toString('base64');
    const pem = key.export({ type: 'pkcs1', format: 'pem' }).toString();
    const judged = await judgeKey(keep(pem), { look: saying(txt(`p=${bare}`)) });
    expect(judged).toMatchObject({ record: 'its server shows this key', read: { publicKey: bare } });
    expect(keys.matches(key.export({ type: 'pkcs8', format: 'der' }), 'rsa1024', bare)).toBe(true);
  });

  it('may be Ed25519', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const judged = await judgeKey(keep(privateKey), {
      look: saying(txt(`v=DKIM1; k=ed25519; p=${publicOf(privateKey)}`)),
    });
    expect(judged.read).toMatchObject({ algorithm: 'ed25519', publicKey: publicOf(privateKey) });
    expect(judged).not.toHaveProperty('refused');
  });

  it('is warned of where it is short, in test, or readable by everybody', async () => {
    const key = rsa(1024);
    const found = keep(key, 0o644);
    const { warnings } = await judgeKey(found, { look: saying(txt(`v=DKIM1; t=y:s; p=${publicOf(key)}`)) });
    expect(warnings).toEqual([
      'RSA of 1024 bits is weak: some receivers take no less than 2,048. The first rotation mends that',
      `everybody on this host can read ${found.file}: rotate soon (selkie rotate), and chmod 600 ${found.file} till then`,
      'its record says t=y (testing): receivers treat its mail as unsigned (RFC 6376 section 3.6.1)',
    ]);
  });
});

describe('a key is not adopted', () => {
  it.each<[string, () => KeyObject | string, string]>([
    ['is shorter than 1,024 bits', () => rsa(512), 'it has 512 bits'],
    ['is no RSA and no Ed25519 key', () => generateKeyPairSync('x25519').privateKey, 'it is of type x25519'],
    ['is no key at all', () => 'nothing', 'holds no private key in PEM'],
  ])('that %s', async (_, make, why) => {
    const judged = await judgeKey(keep(make()), { look: () => Promise.reject(new Error('not asked')) });
    expect(judged.refused).toContain(why);
    expect(judged).not.toHaveProperty('read');
  });

  it('whose file is not there', async () => {
    const judged = await judgeKey({ ...keep('x'), file: join(dir, 'none') }, { look: saying() });
    expect(judged.refused).toContain('its file cannot be read: ENOENT');
  });

  const key = rsa(1024);
  const right = `v=DKIM1; k=rsa; p=${publicOf(key)}`;
  it.each<[string, ServerAnswer['answer'][], string]>([
    ['is another key', [txt(`p=${publicOf(rsa(1024))}`)], 'the record is of another key'],
    ['is revoked', [txt('v=DKIM1; p=')], 'revoked'],
    ['is not there', [{ kind: 'no-such-name' }], 'there is no such record, at ns1'],
    ['is one of several', [txt(right, right)], 'there are 2 TXT records'],
    ['is an alias', [{ kind: 'cname', target: 'x.example', ttl: hours(1) }], 'it is an alias of x.example'],
    ['is not told', [{ kind: 'failed', why: 'timeout' }], 'no answer (timeout)'],
    ['is missing on one server', [txt(right), { kind: 'no-data' }], 'there is no such record, at ns2'],
    ['has other words on one server', [txt(right), txt(`${right}; n=x`)], 'other words'],
  ])('whose record %s', async (_, said, why) => {
    const judged = await judgeKey(keep(key), { look: saying(...said) });
    expect(judged.refused).toContain(`mail._domainkey.example.jp: `);
    expect(judged.refused).toContain(why);
    expect(judged.read?.publicKey).toBe(publicOf(key));
  });

  it('whose servers cannot be learned', async () => {
    const judged = await judgeKey(keep(key), { look: () => Promise.reject(new Error('no route')) });
    expect(judged.refused).toBe('mail._domainkey.example.jp cannot be looked up: no route');
  });

  // Invariant 9
  it('and nothing that is said of it bears key material', async () => {
    const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
    const damaged = pem.replace('MII', 'MIX');
    for (const text of [pem, damaged, pem.replace('PRIVATE', 'PUBLIC')]) {
      const judged = await judgeKey(keep(text), { look: saying(txt(right)) });
      const said = reportLines([judged], { table: [], remarks: [] }, 'x').join('\n') + JSON.stringify(judged);
      for (const line of pem.split('\n').filter((part) => part.length > 20 && !part.startsWith('-')))
        expect(said).not.toContain(line);
    }
  });
});

it('of two keys of one type for a domain, the first is adopted', async () => {
  const key = rsa(1024);
  const look = saying(txt(`p=${publicOf(key)}`));
  const one = await judgeKey(keep(key), { look });
  const both = withoutRivals([one, { ...one, selector: 'other' }, { ...one, domain: 'b.example' }]);
  expect(both.map(({ refused }) => refused)).toEqual([
    undefined,
    'a domain signs with one key of each type, and mail comes first; its record stays, remove it by hand when its mail has drained',
    undefined,
  ]);
});

it('the entries that are printed are those of a fleet file', async () => {
  const key = rsa(1024);
  const one = await judgeKey(keep(key), { look: saying(txt(`p=${publicOf(key)}`)) });
  const text = `${fleetEntries([one, { ...one, domain: 'b.example' }])}zones: { example.jp: { id: Z1 }, b.example: { id: Z2 } }\npools: [mx]\n`;
  const { domains } = parseFleet(text, { file: 'fleet.yaml', version: 1 });
  const adopted = [{ selector: 'mail', algorithm: 'rsa1024', publicKey: publicOf(key) }];
  expect([...domains.values()].map((entry) => entry.adopted)).toEqual([adopted, adopted]);
});
