import { execFileSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createNodeKeys } from '../../adapters/node-keys.ts';
import { keysContract } from '../contracts/keys.ts';
import { describeWith, program } from '../tools/machine.ts';

keysContract('node:crypto', createNodeKeys());

describeWith(['opendkim-genkey'], 'node:crypto beside opendkim-genkey', () => {
  test.each([2048, 4096])('says the same p= for an RSA-%i key', (bits) => {
    const keys = createNodeKeys();
    const folder = mkdtempSync(join(tmpdir(), 'selkie-genkey-'));
    try {
      execFileSync(program('opendkim-genkey') ?? '', [
        ...['-b', String(bits)],
        ...['-d', 'example.org'],
        ...['-s', 'oracle'],
        ...['-D', folder],
      ]);
      const record = readFileSync(join(folder, 'oracle.txt'), 'utf8');
      const value = [...record.matchAll(/"([^"]*)"/g)].map(([, part]) => part).join('');
      const published = /p=([^;\s]+)/.exec(value)?.[1] ?? '';
      const privateKey = new Uint8Array(
        createPrivateKey(readFileSync(join(folder, 'oracle.private'), 'utf8')).export({
          type: 'pkcs8',
          format: 'der',
        }),
      );
      expect(keys.publicOf(privateKey).publicKey).toBe(published);
      expect(keys.matches(privateKey, 'rsa2048', published)).toBe(true);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
