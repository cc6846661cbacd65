// Every format of `selkie record`, read by programs that people use: BIND, PyYAML as octoDNS reads, and this house's readers.
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type ShownRecord, shownFormats, showRecord } from '../../cli/record-formats.ts';
import { parseStrings, parseValue, parseZoneRecords } from '../../core/dkim/txt.ts';
import { hours } from '../../core/time.ts';
import { describeWith, program } from '../tools/machine.ts';

const home = mkdtempSync(join(tmpdir(), 'selkie-record-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const publicKey = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .publicKey.export({ type: 'spki', format: 'der' })
  .toString('base64');
const record: ShownRecord = {
  domain: 'mail.example.jp',
  selector: '240128',
  zone: 'example.jp',
  name: '240128._domainkey.mail.example.jp',
  ttl: hours(1),
  value: `v=DKIM1; n=a "note" \\ of ours; k=rsa; p=${publicKey}`,
};

test('value is the value', () => expect(showRecord(record, 'value')).toBe(record.value));

test('route53 is the text of its value field', () =>
  expect(parseValue(showRecord(record, 'route53'), 'route53')).toBe(record.value));

test('opendkim is what opendkim-genkey writes, for the zone of the domain itself', () => {
  const [found] = parseZoneRecords(showRecord(record, 'opendkim'));
  expect(found?.owner).toBe('240128._domainkey');
  expect(found?.strings.join('')).toBe(record.value);
});

test('panel has the name within its zone, and the value whole and cut', () => {
  const lines = showRecord(record, 'panel').split('\n');
  expect(lines[0]).toBe('name   240128._domainkey.mail');
  expect(lines[1]).toContain('in full 240128._domainkey.mail.example.jp;');
  expect(lines[lines.indexOf('value') + 1]).toBe(record.value);
  const strings = parseStrings(lines.at(-1) ?? '', 'zone');
  expect(strings.map(({ length }) => length)).toEqual([255, record.value.length - 255]);
  expect(strings.join('')).toBe(record.value);
});

test('panel does not cut what is short', () =>
  expect(showRecord({ ...record, value: 'v=DKIM1; p=' }, 'panel')).not.toContain('255'));

test('terraform escapes what HCL would read as its own', () => {
  const text = showRecord({ ...record, value: `v=DKIM1; n=\${a} %{b} "c" \\d; p=` }, 'terraform');
  expect(text).toBe(
    [
      'resource "dns_txt_record_set" "selkie_240128_mail_example_jp" {',
      '  zone = "example.jp."',
      '  name = "240128._domainkey.mail"',
      '  ttl  = 3600',
      '  txt  = ["v=DKIM1; n=$${a} %%{b} \\"c\\" \\\\d; p="]',
      '}',
    ].join('\n'),
  );
});

test('none is forgotten here', () =>
  expect([...shownFormats].toSorted()).toEqual(
    ['octodns', 'opendkim', 'panel', 'route53', 'terraform', 'value', 'zone'].toSorted(),
  ));

describeWith(['named-compilezone'], 'BIND', () => {
  test.each(['example.jp', 'mail.example.jp'])('reads zone in the zone %s', (zone) => {
    const file = join(home, `${zone}.zone`);
    const head = '$TTL 60\n@ IN SOA ns.elsewhere.example. h 1 1 1 1 1\n@ IN NS ns.elsewhere.example.\n';
    writeFileSync(file, `${head}${showRecord({ ...record, zone }, 'zone')}\n`);
    const dump = execFileSync(
      program('named-compilezone') ?? '',
      ['-q', '-i', 'none', '-o', '-', zone, file],
      { encoding: 'utf8' },
    );
    const found = parseZoneRecords(dump);
    expect(found).toEqual([
      { owner: `${record.name}.`, ttl: hours(1), strings: [expect.any(String), expect.any(String)] },
    ]);
    expect(found[0]?.strings.join('')).toBe(record.value);
  });
});

describeWith(['pyyaml'], 'PyYAML', () => {
  const load = (text: string): unknown =>
    JSON.parse(
      execFileSync(
        'python3',
        ['-c', 'import sys, json, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)'],
        {
          input: text,
          encoding: 'utf8',
        },
      ),
    );
  test('reads octodns as octoDNS does: its semicolons are escaped', () =>
    expect(load(showRecord(record, 'octodns'))).toEqual({
      '240128._domainkey.mail': { ttl: 3600, type: 'TXT', value: record.value.replaceAll(';', '\\;') },
    }));
});

describe('a record whose name does not lie below its zone by labels of its own', () => {
  test('is named in full', () =>
    expect(showRecord({ ...record, zone: 'elsewhere.example' }, 'panel')).toContain(`name   ${record.name}`));
});
