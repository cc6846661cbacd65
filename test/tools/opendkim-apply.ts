// One call of the OpenDKIM driver in a process of its own, which may be told to die after one of its steps: what a crash
// leaves is on the disk and in OpenDKIM only. Reads a task from its standard input, prints the answer.
import { createPrivateKey } from 'node:crypto';
import { text } from 'node:stream/consumers';
import type { DriverKey } from '../../agent/drivers/driver.ts';
import { createOpendkimDriver } from '../../agent/drivers/opendkim/driver.ts';

export interface ApplyTask {
  readonly config: string;
  readonly folder: string;
  /** `pem`: the private half, made by the test. */
  readonly keys: readonly (Omit<DriverKey, 'load'> & { readonly pem: string })[];
  readonly stopped: Readonly<Record<string, string>>;
  /** Whom to run as, once started. */
  readonly as?: { readonly uid: number; readonly gid: number };
  /** The step, counted from 1, that is the last thing it does. */
  readonly dieAfter?: number;
}

export interface ApplyAnswer {
  readonly left: Readonly<Record<string, string>>;
  readonly steps: readonly string[];
}

const task = JSON.parse(await text(process.stdin)) as ApplyTask;
if (task.as !== undefined) {
  process.setgroups?.([]);
  process.setgid?.(task.as.gid);
  process.setuid?.(task.as.uid);
}
const steps: string[] = [];
try {
  const driver = await createOpendkimDriver({
    config: task.config,
    folder: task.folder,
    now: () => Date.now(),
    step(done) {
      steps.push(done);
      if (steps.length === task.dieAfter) process.kill(process.pid, 'SIGKILL');
    },
  });
  const left = await driver.apply({
    keys: task.keys.map(({ pem, ...key }) => ({ ...key, load: async () => createPrivateKey(pem) })),
    stopped: new Map(Object.entries(task.stopped)),
  });
  await driver.close();
  const answer: ApplyAnswer = { left: Object.fromEntries(left), steps };
  process.stdout.write(JSON.stringify(answer));
} catch (error) {
  process.stderr.write(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
