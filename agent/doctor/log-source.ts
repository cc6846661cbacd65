// Where the mail log is: the file that Postfix or syslog writes, or the journal. Reads the end of it.
import { open } from 'node:fs/promises';
import type { Exec } from '../postfix/exec.ts';
import type { Instance } from '../postfix/read.ts';

/** Some days of a small host, an hour of a large one. */
const mostBytes = 8 << 20;

/** The last lines of a file; undefined where it cannot be read. */
const tail = async (path: string): Promise<readonly string[] | undefined> => {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const from = Math.max(0, size - mostBytes);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
      const lines = buffer.toString('latin1', 0, bytesRead).split('\n');
      return from > 0 ? lines.slice(1) : lines;
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
};

const journal = async (exec: Exec, ...matches: readonly string[]): Promise<readonly string[]> => {
  const lines: string[] = [];
  const args = ['-q', '--no-pager', '-o', 'short-iso', '--since=-24h', '-n', '50000', ...matches];
  await exec('journalctl', args, (line) => lines.push(line));
  return lines;
};

const usual = ['/var/log/mail.log', '/var/log/maillog'];
const isSigner = (line: string): boolean => /selkie-agent|opendkim/.test(line);

export interface LogLines {
  readonly from: readonly string[];
  readonly lines: readonly string[];
}

/**
 * The lines of Postfix and of the signer, as far as they can be had.
 * @param files in place of what is found
 * @param signer the systemd service that signs, and says so in the log
 */
export const mailLog = async (
  exec: Exec,
  instances: readonly Instance[],
  files: readonly string[],
  signer: string,
): Promise<LogLines> => {
  const named = instances
    .map((instance) => instance.setting('maillog_file'))
    .filter((file) => file.startsWith('/') && !file.startsWith('/dev/'));
  const wanted = files.length > 0 ? files : named.length > 0 ? [...new Set(named)] : usual;
  const from: string[] = [];
  const lines: string[] = [];
  for (const file of wanted) {
    const read = await tail(file);
    if (read === undefined) continue;
    from.push(file);
    for (const line of read) lines.push(line);
  }
  if (files.length > 0) return { from, lines };
  const ofSigner = `_SYSTEMD_UNIT=${signer}.service`;
  // Facility 2 is mail.
  const more =
    lines.length === 0
      ? await journal(exec, 'SYSLOG_FACILITY=2', '+', ofSigner)
      : lines.some(isSigner)
        ? []
        : await journal(exec, ofSigner);
  if (more.length > 0) from.push('the journal');
  for (const line of more) lines.push(line);
  return { from, lines };
};
