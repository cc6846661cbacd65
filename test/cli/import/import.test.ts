// `selkie import` as people call it: what it prints and writes is a fleet.
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { startDnsServer } from '../../../adapters/dns/server.ts';
import { openZoneStore } from '../../../adapters/local/zone-store.ts';
import { splitValue } from '../../../core/dkim/txt.ts';
import { hours } from '../../../core/time.ts';
import { parseFleet } from '../../../fleet/read.ts';
import { selkie } from '../../tools/selkie.ts';

const home = mkdtempSync(join(tmpdir(), 'selkie-import-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));
let dir: string;
let n = 0;
beforeEach(() => {
  n += 1;
  dir = join(home, String(n));
  mkdirSync(dir);
});
const put = (name: string, text: string): string => {
  const file = join(dir, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
};

const rsa = (bits = 2048) => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  return {
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    p: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
  };
};
const ed25519 = (): string =>
  generateKeyPairSync('ed25519')
    .publicKey.export({ type: 'spki', format: 'der' })
    .subarray(12)
    .toString('base64');

const fleetOf = (text: string) => parseFleet(text, { file: 'printed', version: 1 });
const adoptedIn = (text: string, domain: string) =>
  fleetOf(text)
    .domains.get(domain)
    ?.adopted?.map(({ selector, publicKey }) => ({ selector, publicKey }));

const strings = (value: string): string =>
  splitValue(value)
    .map((each) => `"${each}"`)
    .join(' ');
const head = '$TTL 3600\n@ IN SOA ns1.dns.ne.jp. h 1 3600 600 604800 300\n@ NS ns1.dns.ne.jp.\n@ MX 10 mx\n';

describe('zonefile', () => {
  test('a zone with an RSA and an Ed25519 key: both are adopted, and the zone is manual', async () => {
    const [key, p] = [rsa(), ed25519()];
    const file = put(
      'example.jp.zone',
      `${head}mail._domainkey TXT ( ${strings(`v=DKIM1; k=rsa; p=${key.p}`)} )\nmaile._domainkey.shop TXT "v=DKIM1; k=ed25519; p=${p}"\n`,
    );
    const ran = await selkie('import', 'zonefile', file, '--zone', 'example.jp');
    expect(ran).toMatchObject({ status: 0 });
    expect(adoptedIn(ran.stdout, 'example.jp')).toEqual([{ selector: 'mail', publicKey: key.p }]);
    expect(adoptedIn(ran.stdout, 'shop.example.jp')).toEqual([{ selector: 'maile', publicKey: p }]);
    expect(fleetOf(ran.stdout).zones.get('example.jp')).toMatchObject({ provider: 'manual' });
    expect(ran.stderr).toContain('2 domains and 1 zone found');
  });

  test('of several keys of one type a person chooses; revoked, broken and foreign ones are said', async () => {
    const file = put(
      'example.jp.zone',
      `${head}a._domainkey TXT ( ${strings(`v=DKIM1; p=${rsa().p}`)} )
b._domainkey TXT ( ${strings(`v=DKIM1; p=${rsa().p}`)} )
old._domainkey TXT "v=DKIM1; p="
small._domainkey TXT "v=DKIM1; p=${rsa(512).p}"
broken._domainkey TXT "v=DKIM1; p=***"
news._domainkey CNAME news.provider.example.
`,
    );
    const ran = await selkie('import', 'zonefile', file, '--zone', 'example.jp');
    expect(ran.status).toBe(0);
    expect(fleetOf(ran.stdout).domains.get('example.jp')?.adopted).toBeUndefined();
    expect(ran.stdout).toMatch(/^ *# *- \{ selector: a, publicKey: [\w+/=]+ \}$/m);
    expect(ran.stderr).toContain('example.jp has several keys of one type (a, b)');
    expect(ran.stderr).toContain(`${file}:7: old._domainkey.example.jp is revoked`);
    expect(ran.stderr).toContain(`${file}:8: small._domainkey.example.jp is an RSA key of 512 bits`);
    expect(ran.stderr).toContain(`${file}:9: broken._domainkey.example.jp is no key record`);
    expect(ran.stderr).toContain(`${file}:10: news._domainkey.example.jp is a CNAME`);
  });

  test('an error has its file and line, and nothing is written', async () => {
    const file = put('bad.zone', `${head}a TXT "x\n`);
    const fleet = join(dir, 'fleet.yaml');
    const ran = await selkie('import', 'zonefile', file, '--zone', 'example.jp', '--write', fleet);
    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain(`${file}:5: a quotation mark is not closed`);
    expect(() => readFileSync(fleet)).toThrow();
  });

  test('what is written is added to a fleet file that is there: its comments, its entries and its pools stay', async () => {
    const fleet = put(
      'fleet.yaml',
      `# our fleet
domains:
  example.com: # the first
    rotateEvery: P30D
zones:
  example.com: { id: Z0123456789ABC }
pools: [mx]
`,
    );
    const key = rsa();
    const file = put('example.jp.zone', `${head}mail._domainkey TXT ( ${strings(`v=DKIM1; p=${key.p}`)} )\n`);
    const first = await selkie('import', 'zonefile', file, '--zone', 'example.jp', '--write', fleet);
    expect(first).toMatchObject({ status: 0, stdout: '' });
    const text = readFileSync(fleet, 'utf8');
    expect(text).toContain('# our fleet');
    expect(text).toContain('# the first');
    expect(adoptedIn(text, 'example.jp')).toEqual([{ selector: 'mail', publicKey: key.p }]);
    expect(fleetOf(text).domains.get('example.jp')?.pool).toBe('mx');
    expect(fleetOf(text).domains.get('example.com')?.policy.rotateEvery).toBeDefined();
    const again = await selkie('import', 'zonefile', file, '--zone', 'example.jp', '--write', fleet);
    expect(again.stderr).toContain('example.jp is in the file already, and stays as it is');
    expect(readFileSync(fleet, 'utf8')).toBe(text);
  });

  test('a fleet file that is wrong is not touched', async () => {
    const fleet = put('fleet.yaml', 'domains: 1\n');
    const file = put('example.jp.zone', head);
    const ran = await selkie('import', 'zonefile', file, '--zone', 'example.jp', '--write', fleet);
    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain(`${fleet}:1:`);
    expect(readFileSync(fleet, 'utf8')).toBe('domains: 1\n');
  });

  test('a zone without mail has nothing to import', async () => {
    const file = put('example.jp.zone', head.replace('@ MX 10 mx\n', ''));
    const ran = await selkie('import', 'zonefile', file, '--zone', 'example.jp');
    expect(ran).toMatchObject({ status: 1, stdout: '' });
    expect(ran.stderr).toContain('nothing to import');
  });
});

describe('octodns', () => {
  test('a folder of zones, with lists, anchors and escaped semicolons', async () => {
    const [one, two] = [rsa(), ed25519()];
    put(
      'example.jp.yaml',
      `'':
  - type: MX
    values: [{ exchange: mx.example.jp., preference: 10 }]
  - &txt
    type: TXT
    values: ['v=spf1 +mx -all', site-verification=1]
mail._domainkey:
  ttl: 3600
  type: TXT
  value: v=DKIM1\\; k=rsa\\; p=${one.p}
www: *txt
`,
    );
    put(
      'example.com.yaml',
      `maile._domainkey:\n  type: TXT\n  values: ['"v=DKIM1\\; k=ed25519\\; " "p=${two}"']\n`,
    );
    put('README.md', 'not a zone');
    const ran = await selkie('import', 'octodns', dir);
    expect(ran).toMatchObject({ status: 0 });
    expect(adoptedIn(ran.stdout, 'example.jp')).toEqual([{ selector: 'mail', publicKey: one.p }]);
    expect(adoptedIn(ran.stdout, 'example.com')).toEqual([{ selector: 'maile', publicKey: two }]);
    expect([...fleetOf(ran.stdout).zones.keys()]).toEqual(['example.com', 'example.jp']);
  });

  test.each([
    ['no YAML', "a: 'x\n", ':'],
    ['a key twice', 'a: { type: A, value: 192.0.2.1 }\na: { type: A, value: 192.0.2.1 }\n', ':2: '],
    ['no map', '- a\n', ':1: it must be a map of names'],
    ['no record', 'a: { type: A, value: 192.0.2.1 }\nb: text\n', ':2: b.example.jp must be a record'],
    ['no type', 'a:\n  value: x\n', ':2: the record of a.example.jp has no type'],
    [
      'no text',
      'a:\n  type: TXT\n  value: 5\n',
      ':2: the TXT record of a.example.jp has no value that is text',
    ],
  ])('%s: says where and what', async (_, text, message) => {
    const file = put('example.jp.yaml', text);
    const ran = await selkie('import', 'octodns', file);
    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain(`${file}${message}`);
  });

  test('a file that is not named by its zone', async () => {
    const ran = await selkie('import', 'octodns', put('my zone.yaml', 'a: { type: A, value: 192.0.2.1 }\n'));
    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain('give --zone');
  });
});

describe('opendkim', () => {
  test('KeyTable and SigningTable: the keys whose records every name server shows', async () => {
    const [key, lost] = [rsa(), rsa()];
    const zones = openZoneStore(':memory:', ['example.jp']);
    const dns = await startDnsServer({ host: '127.0.0.1', port: 0, zones });
    try {
      await zones.submit({ name: 'example.jp', id: 'local' }, [
        {
          do: 'create',
          name: 'mail._domainkey.example.jp',
          set: { ttl: hours(1), values: [`v=DKIM1; k=rsa; p=${key.p}`] },
        },
      ]);
      const conf = put(
        'opendkim.conf',
        `Mode sv\nKeyTable ${join(dir, 'KeyTable')}\nSigningTable refile:${join(dir, 'SigningTable')}\n`,
      );
      put('mail.private', key.pem);
      put('lost.private', lost.pem);
      put(
        'KeyTable',
        `k1 example.jp:mail:${join(dir, 'mail.private')}\nk2 shop.example.jp:lost:${join(dir, 'lost.private')}\n`,
      );
      put('SigningTable', '*@example.jp k1\n*@shop.example.jp k2\n');
      const ran = await selkie('import', 'opendkim', conf, '--name-server', `127.0.0.1:${dns.port}`);
      expect(ran).toMatchObject({ status: 0 });
      expect(adoptedIn(ran.stdout, 'example.jp')).toEqual([{ selector: 'mail', publicKey: key.p }]);
      expect(fleetOf(ran.stdout).domains.get('shop.example.jp')?.adopted).toBeUndefined();
      expect([...fleetOf(ran.stdout).zones.keys()]).toEqual(['example.jp']);
      expect(ran.stderr).toContain('lost of shop.example.jp is not adopted');
      for (const secret of [key.pem, lost.pem])
        expect(`${ran.stdout}${ran.stderr}`).not.toContain(secret.split('\n')[1]);
    } finally {
      await dns.close();
      zones.close();
    }
  });

  test('a file that is none', async () => {
    const ran = await selkie('import', 'opendkim', join(dir, 'none.conf'));
    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain('cannot be read');
  });
});
