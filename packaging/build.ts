// What both packagers do: their options, the time that all files bear, a folder to lay them out in, and programs to call.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { type Architecture, architecture } from './architecture.ts';
import { repository } from './bundle.ts';

export interface BuildOptions {
  readonly machine: Architecture;
  /** Folder that the package goes into. */
  readonly out: string;
  /** Little compression: for a package that is not sent anywhere. */
  readonly fast: boolean;
  /** Seconds since 1970. */
  readonly epoch: number;
}

/** SOURCE_DATE_EPOCH (reproducible-builds.org), else the time of the last commit, else that of the package.json. */
const sourceDate = (): number => {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined) {
    if (!/^\d+$/.test(given)) throw new Error('SOURCE_DATE_EPOCH is in seconds since 1970');
    return Number(given);
  }
  try {
    const said = execFileSync('git', ['log', '-1', '--format=%ct'], {
      cwd: repository,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number(said);
  } catch {
    return Math.floor(statSync(join(repository, 'package.json')).mtimeMs / 1000);
  }
};

/** Runs a program of the system; what it says comes with its failure only. @throws Error with what it said */
export const call = (program: string, args: readonly string[], epoch: number): void => {
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(epoch), LC_ALL: 'C' };
  try {
    execFileSync(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 << 20 });
  } catch (error) {
    const { code, stderr, stdout } = error as { code?: string; stderr?: Buffer; stdout?: Buffer };
    if (code === 'ENOENT')
      throw new Error(`${program} is not here: install Debian's package that has it (dpkg, rpm)`);
    throw new Error(`${program} failed:\n${stdout ?? ''}${stderr ?? ''}`);
  }
};

/** @param make builds the package in a scratch folder, and returns its file */
export const build = async (
  kind: string,
  make: (options: BuildOptions, scratch: string) => Promise<string>,
): Promise<void> => {
  const program = new Command(`package:${kind}`)
    .description(`makes the agent's .${kind}, with Node inside`)
    .option('--arch <arch>', 'x64 or arm64', process.arch)
    .option('--out <folder>', 'where the package goes', join(repository, 'dist'))
    .option('--fast', 'compress little', false)
    .action(async ({ arch, out, fast }: { arch: string; out: string; fast: boolean }) => {
      const machine = architecture(arch);
      const scratch = mkdtempSync(join(tmpdir(), 'selkie-package-'));
      try {
        mkdirSync(out, { recursive: true });
        const file = await make({ machine, out: resolve(out), fast, epoch: sourceDate() }, scratch);
        process.stdout.write(`${file} (${(statSync(file).size / 1e6).toFixed(1)} MB)\n`);
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    });
  await program.parseAsync().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  });
};
