// How the agent asks Postfix: by its own programs. A port, so that what they say can be given in tests; the system's
// implementation starts them without a shell.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Outcome {
  /** 127 where the program is not there, -1 where it was ended for taking too long. */
  readonly code: number;
  /** Standard output; empty where `onLine` took it. */
  readonly out: string;
  readonly err: string;
}

/** Runs a program to its end; never fails. `onLine` takes the output line by line, for output of any length. */
export type Exec = (
  program: string,
  args: readonly string[],
  onLine?: (line: string) => void,
) => Promise<Outcome>;

/** Postfix's programs are in sbin, which a service or an ordinary user may lack. */
const path = `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin`;
const longestError = 10_000;

/** @param timeoutMs after which the program is ended */
export const systemExec =
  (timeoutMs = 60_000): Exec =>
  (program, args, onLine) =>
    new Promise((resolve) => {
      const child = spawn(program, [...args], {
        env: { ...process.env, PATH: path, LC_ALL: 'C' },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
      });
      let out = '';
      let err = '';
      child.stdout.setEncoding('utf8');
      if (onLine === undefined)
        child.stdout.on('data', (text: string) => {
          out += text;
        });
      else createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY }).on('line', onLine);
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        if (err.length < longestError) err += text;
      });
      child.once('error', (error: NodeJS.ErrnoException) =>
        resolve({ code: error.code === 'ENOENT' ? 127 : -1, out: '', err: `${program}: ${error.message}` }),
      );
      child.once('close', (code) => resolve({ code: code ?? -1, out, err }));
    });

/** What a program complained of, in one line. */
export const complaint = ({ code, err }: Outcome): string => {
  const lines = err.split('\n').filter((line) => line.trim() !== '' && !/ warning: /.test(line));
  return (lines.at(-1) ?? `it ended with ${code}`).trim().slice(0, 300);
};
