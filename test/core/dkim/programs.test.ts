// Key records and TXT text against the programs that write and read them: opendkim-genkey and BIND.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Algorithm } from '../../../core/algorithm.ts';
import { buildKeyRecord, parseKeyRecord, printKeyRecord } from '../../../core/dkim/key-record.ts';
import { parseZoneRecords, printStrings, splitValue } from '../../../core/dkim/txt.ts';
import { SelkieError } from '../../../core/errors.ts';
import type { RecordTags } from '../../../core/policy.ts';
import { describeWith, program } from '../../tools/machine.ts';

describeWith(['opendkim-genkey'], 'opendkim-genkey', () => {
  const genkey = (...args: string[]): string => {
    const folder = mkdtempSync(join(tmpdir(), 'selkie-'));
    try {
      const tool = program('opendkim-genkey') ?? 'opendkim-genkey';
      execFileSync(tool, ['-D', folder, '-s', '240128', '-d', 'mail.example.com', ...args]);
      return readFileSync(join(folder, '240128.txt'), 'latin1');
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  it.each<[string, string[], Algorithm, RecordTags]>([
    ['its defaults', [], 'rsa2048', { hashes: 'sha256' }],
    ['3072 bits', ['-b', '3072'], 'rsa3072', { hashes: 'sha256' }],
    ['4096 bits', ['-b', '4096'], 'rsa4096', { hashes: 'sha256' }],
    [
      'every tag',
      ['--restrict', '--nosubdomains', '--note', 'two words'],
      'rsa2048',
      { hashes: 'sha256', service: 'email', strict: true, note: '"two words"' },
    ],
  ])('same file and same value as ours: %s', (_, args, algorithm, tags) => {
    const file = genkey(...args);
    const [record] = parseZoneRecords(file);
    const value = record?.strings.join('') ?? '';
    const { publicKey } = parseKeyRecord(value);
    expect(buildKeyRecord({ algorithm, publicKey, tags })).toBe(value);
    expect(printKeyRecord({ domain: 'mail.example.com', selector: '240128', value }, 'zone')).toBe(file);
  });

  it('has read errors that are no key errors', () => {
    expect(() => parseZoneRecords(genkey().replace(' )', ' '))).toThrow(SelkieError);
  });
});

describeWith(['named'], 'BIND', () => {
  const compile = (records: string): string => {
    const folder = mkdtempSync(join(tmpdir(), 'selkie-'));
    try {
      const file = join(folder, 'zone');
      writeFileSync(
        file,
        `@ 60 IN SOA ns hostmaster 1 1 1 1 0\n@ 60 IN NS ns\nns 60 IN A 127.0.0.1\n${records}`,
      );
      const tool = program('named-compilezone') ?? 'named-compilezone';
      return execFileSync(tool, ['-q', '-o', '-', 'selkie.example', file], { encoding: 'latin1' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  it('reads every octet that we print, and we read what it prints', () => {
    const every = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('');
    const sets = [
      [every.slice(0, 255), every.slice(255)],
      ['"', '\\', '', ';()@$'],
      splitValue(every.repeat(3)),
    ];
    const text = sets.map((strings, n) => `t${n} 60 IN TXT ${printStrings(strings, 'zone')}\n`).join('');
    expect(parseZoneRecords(compile(text))).toEqual(
      sets.map((strings, n) => ({ owner: `t${n}.selkie.example.`, ttl: 60_000, strings })),
    );
  });
});
