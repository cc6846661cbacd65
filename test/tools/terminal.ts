// Runs a program on a real pseudo-terminal and answers it, by terminal.py. Suites that use it need `python3`.
import { spawn } from 'node:child_process';

export interface OnTerminal {
  readonly status: number;
  /** All that the terminal was sent, with its control sequences. */
  readonly seen: string;
  /** The steps that did not come. */
  readonly left: readonly (readonly [string, string])[];
}

const root = new URL('../../', import.meta.url).pathname;

/** @param steps what to wait for, and what to type then; `\x03` is Ctrl-C */
export const onTerminal = (
  argv: readonly string[],
  steps: readonly (readonly [string, string])[],
  more: {
    readonly env?: NodeJS.ProcessEnv;
    readonly cwd?: string;
    readonly columns?: number;
    readonly seconds?: number;
  } = {},
): Promise<OnTerminal> =>
  new Promise((resolve, reject) => {
    const child = spawn('python3', [`${root}test/tools/terminal.py`], { stdio: ['pipe', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.once('error', reject);
    child.once('close', () => resolve(JSON.parse(out) as OnTerminal));
    const { env = process.env, cwd = root, columns = 80, seconds = 100 } = more;
    child.stdin.end(
      JSON.stringify({ argv, env: { TERM: 'xterm', ...env }, cwd, columns, rows: 24, steps, seconds }),
    );
  });

/** `selkie` on a terminal. */
export const selkieOnTerminal = (
  args: readonly string[],
  steps: readonly (readonly [string, string])[],
  more: Parameters<typeof onTerminal>[2] = {},
): Promise<OnTerminal> => onTerminal([process.execPath, `${root}cli/main.ts`, ...args], steps, more);

const esc = String.fromCharCode(27);
const token = new RegExp(`${esc}\\[[0-9;?]*[A-Za-z]|\\r\\n|\\n|\\r|[^${esc}\\r\\n]+|${esc}`, 'g');
const upwards = new RegExp(`^${esc}\\[(\\d+)A$`);

/** What a terminal's lines show at the end: CUU, ED, CR and LF are followed, other sequences dropped. */
export const screenOf = (seen: string): readonly string[] => {
  const lines: string[] = [''];
  let row = 0;
  for (const [part] of seen.matchAll(token)) {
    const up = upwards.exec(part)?.[1];
    if (up !== undefined) row = Math.max(0, row - Number(up));
    else if (part === `${esc}[J`) lines.splice(row, lines.length, '');
    else if (part.endsWith('\n')) {
      row += 1;
      if (row === lines.length) lines.push('');
    } else if (!part.startsWith(esc) && part !== '\r') lines[row] = (lines[row] ?? '') + part;
  }
  return lines;
};
