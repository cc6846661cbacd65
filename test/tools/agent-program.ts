// `selkie-agent` as a program of its own: run to its end, with what it said.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

export const agentProgram = join(import.meta.dirname, '../../agent/main.ts');

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export const runAgent = async (...args: string[]): Promise<Ended> => {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [agentProgram, ...args]);
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
};
