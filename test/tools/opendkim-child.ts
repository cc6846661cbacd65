// Calls the OpenDKIM driver in a process of its own (opendkim-apply.ts): to let it die on its way, or be another user.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { DriverKey } from '../../agent/drivers/driver.ts';
import { testKey } from '../oracles/records.ts';
import type { TestOpendkim } from './opendkim.ts';
import type { ApplyAnswer, ApplyTask } from './opendkim-apply.ts';

/** @returns its answer; undefined where it died; what it said, where it refused */
export const applyInChild = async (
  opendkim: TestOpendkim,
  keys: readonly DriverKey[],
  more: Pick<ApplyTask, 'as' | 'dieAfter'> & { readonly stopped?: ApplyTask['stopped'] } = {},
): Promise<ApplyAnswer | string | undefined> => {
  const task: ApplyTask = {
    config: opendkim.config,
    folder: join(opendkim.folder, 'keys'),
    keys: keys.map(({ load: _, ...key }) => ({
      ...key,
      pem: testKey(key.domain, key.selector).key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    })),
    stopped: {},
    ...more,
  };
  const child = spawn(process.execPath, [join(import.meta.dirname, 'opendkim-apply.ts')], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = new Promise<NodeJS.Signals | null>((resolve) =>
    child.once('exit', (_, signal) => resolve(signal)),
  );
  child.stdin.end(JSON.stringify(task));
  const [out, error, signal] = await Promise.all([buffer(child.stdout), buffer(child.stderr), ended]);
  if (signal === 'SIGKILL') return undefined;
  return out.length > 0 ? (JSON.parse(out.toString()) as ApplyAnswer) : error.toString();
};
