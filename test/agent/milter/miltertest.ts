// Runs miltertest, libmilter's own idea of an MTA, with one of the scripts beside this file, and reads what it printed.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { program } from '../../tools/machine.ts';

const execute = promisify(execFile);

/** A message as it leaves the MTA. */
export interface Sent {
  readonly queueId: string;
  readonly verdict: string;
  readonly raw: Uint8Array;
}

/** @param globals for the script @returns what it printed, a character for each byte @throws where the script fails */
export const runScript = async (
  script: string,
  globals: Readonly<Record<string, string>>,
): Promise<string> => {
  const folder = import.meta.dirname;
  const defines = Object.entries({ folder, script, ...globals }).flatMap(([name, value]) => [
    '-D',
    `${name}=${value}`,
  ]);
  const { stdout } = await execute(
    program('miltertest') ?? 'miltertest',
    [...defines, '-s', join(folder, 'run.lua')],
    { encoding: 'latin1', maxBuffer: 1 << 26, timeout: 60_000 },
  );
  return stdout;
};

/** What message.lua prints. */
export const sentIn = (printed: string): Sent[] => {
  const sent: Sent[] = [];
  let at = 0;
  while (at < printed.length) {
    const end = printed.indexOf('\n', at);
    const [word, queueId = '', verdict = '', length] = printed.slice(at, end).split(' ');
    if (word !== 'MESSAGE') throw new Error(`no message: ${printed.slice(at, at + 100)}`);
    const from = end + 1;
    at = from + Number(length) + 1;
    sent.push({ queueId, verdict, raw: Buffer.from(printed.slice(from, at - 1), 'latin1') });
  }
  return sent;
};
