// OpenDKIM as an oracle: a milter of its own that verifies, with its DNS answers from a file (TestDNSData), spoken to by
// our milter client. What it found is in the Authentication-Results field that it inserts.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import { parseMessage } from '../../agent/milter/raw-message.ts';
import { freePort } from '../tools/free-port.ts';
import { program } from '../tools/machine.ts';
import type { OracleResult, Records } from './records.ts';

const authority = 'oracle.invalid';

const parse = (value: string): OracleResult[] =>
  value
    .replace(/\r\n/g, '')
    .replace(/\((?:[^()\\]|\\.)*\)/g, ' ')
    .split(';')
    .flatMap((part) => {
      const result = /\bdkim=(\w+)/.exec(part)?.[1];
      const domain = /\bheader\.d=(\S+)/.exec(part)?.[1] ?? '';
      const selector = /\bheader\.s=(\S+)/.exec(part)?.[1] ?? '';
      return result === undefined ? [] : [{ selector, domain, result }];
    });

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts OpenDKIM with `records` as its DNS, verifies, and ends it. */
export const verify = async (raw: Uint8Array, records: Records): Promise<OracleResult[]> => {
  const folder = mkdtempSync(join(tmpdir(), 'selkie-opendkim-'));
  const port = await freePort();
  const dns = join(folder, 'dns');
  writeFileSync(
    dns,
    Object.entries(records)
      .map(([name, value]) => `${name} ${value}\n`)
      .join(''),
  );
  const conf = join(folder, 'opendkim.conf');
  writeFileSync(
    conf,
    `Mode v\nSocket inet:${port}@127.0.0.1\nTestDNSData file:${dns}\nAuthservID ${authority}\nSyslog no\nInternalHosts 192.0.2.1\nAlwaysAddARHeader yes\n`,
  );
  const child = spawn(program('opendkim') ?? 'opendkim', ['-f', '-x', conf], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  try {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const answer = await sendThroughMilter(
          { host: '127.0.0.1', port },
          { macros: { i: 'ORACLE' }, from: 'sender@example.net', to: ['rcpt@example.org'], raw },
          { client: { host: 'client.example.net', address: '198.51.100.7' } },
        );
        if (answer.verdict !== 'accept')
          return [{ selector: '', domain: '', result: `message not accepted: ${answer.verdict}` }];
        return parseMessage(answer.raw)
          .fields.filter(({ name, value }) => name === 'Authentication-Results' && value.includes(authority))
          .flatMap(({ value }) => parse(value));
      } catch (error) {
        if (attempt === 100 || child.exitCode !== null)
          throw new Error(`opendkim: ${said}`, { cause: error });
        await pause(30);
      }
    }
  } finally {
    // Asked politely, libmilter takes 5 s; it has nothing to save.
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
};
