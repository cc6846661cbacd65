// Builds a package of the agent as `npm run package:…` does, with little compression.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const repository = join(import.meta.dirname, '../..');

/** @param out an empty folder @returns the package's file */
export const buildPackage = async (
  kind: 'deb' | 'rpm',
  out: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<string> => {
  const program = join(repository, 'packaging', `${kind}.ts`);
  const { stdout } = await promisify(execFile)(process.execPath, [program, '--fast', '--out', out], {
    env: { ...process.env, ...environment },
  });
  return /^(\/\S+)/.exec(stdout)?.[1] ?? '';
};
