// OpenDKIM as an oracle: a milter of its own that verifies, with its DNS answers from a file (TestDNSData), spoken to by
// our milter client. Messages share its connections. What it found is in the Authentication-Results field that it inserts.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MilterConnection, openMilter } from '../../agent/milter/client.ts';
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

const connections = 4;

const ask = async (milter: MilterConnection, raw: Uint8Array): Promise<OracleResult[]> => {
  const answer = await milter.send({
    macros: { i: 'ORACLE' },
    from: 'sender@example.net',
    to: ['rcpt@example.org'],
    raw,
  });
  if (answer.verdict !== 'accept')
    return [{ selector: '', domain: '', result: `message not accepted: ${answer.verdict}` }];
  return parseMessage(answer.raw)
    .fields.filter(({ name, value }) => name === 'Authentication-Results' && value.includes(authority))
    .flatMap(({ value }) => parse(value));
};

/** Starts OpenDKIM with `records` as its DNS, verifies them all, in their order, and ends it. */
export const verifyAll = async (raws: readonly Uint8Array[], records: Records): Promise<OracleResult[][]> => {
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
  const open = async (): Promise<MilterConnection> => {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await openMilter(
          { host: '127.0.0.1', port },
          { client: { host: 'client.example.net', address: '198.51.100.7' } },
        );
      } catch (error) {
        if (attempt === 100 || child.exitCode !== null)
          throw new Error(`opendkim: ${said}`, { cause: error });
        await pause(30);
      }
    }
  };
  const results: OracleResult[][] = [];
  const rest = raws.entries();
  const work = async (): Promise<void> => {
    const milter = await open();
    for (const [i, raw] of rest) results[i] = await ask(milter, raw);
    await milter.close();
  };
  try {
    await Promise.all(Array.from({ length: Math.min(connections, raws.length) }, work));
    return results;
  } finally {
    // Asked politely, libmilter takes 5 s; it has nothing to save.
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
};

export const verify = async (raw: Uint8Array, records: Records): Promise<OracleResult[]> =>
  (await verifyAll([raw], records))[0] ?? [];
