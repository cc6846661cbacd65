// Starts moto_server, an imitation of AWS on loopback, for suites that need one: each start is an empty account of its
// own. What it does not imitate (throttling, IAM, INSYNC delays, Route 53's limits) is tested elsewhere.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.ts';
import { program } from './machine.ts';

export interface Moto {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  stop(): Promise<void>;
}

/** What every AWS client of a test is made with: `new KMSClient(motoClient(moto.url))`. */
export const motoClient = (url: string) => ({
  region: 'eu-west-1',
  endpoint: url,
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
});

/** The same for a child process: `spawn(…, { env: { ...process.env, ...motoEnv(moto.url) } })`. */
export const motoEnv = (url: string): Readonly<Record<string, string>> => ({
  AWS_REGION: 'eu-west-1',
  AWS_ENDPOINT_URL: url,
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
});

const patience = 30_000;
const attempts = 3;

const end = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
};

/** Whether it came up; false where it ended by itself, as it does when somebody took the port first. */
const answers = async (child: ChildProcess, url: string): Promise<boolean> => {
  const deadline = Date.now() + patience;
  while (child.exitCode === null && child.signalCode === null) {
    if (Date.now() > deadline) {
      await end(child);
      throw new Error(`moto_server did not answer at ${url} in ${patience / 1_000} s`);
    }
    const up = await fetch(`${url}/moto-api/data.json`, { signal: AbortSignal.timeout(2_000) }).then(
      (response) => response.ok,
      () => false,
    );
    if (up) return child.exitCode === null;
    await sleep(50);
  }
  return false;
};

/** Resolves when it answers; it ends with `stop`, or at the latest with this process. */
export const startMoto = async (): Promise<Moto> => {
  const file = program('moto_server');
  if (file === undefined) throw new Error('moto_server is not installed: pip install "moto[server]"');
  let said = '';
  for (let attempt = 0; attempt < attempts; attempt++) {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const child = spawn(file, ['-H', '127.0.0.1', '-p', String(port)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-2_000);
    });
    const orphan = () => child.kill('SIGKILL');
    process.once('exit', orphan);
    const stop = async () => {
      process.off('exit', orphan);
      await end(child);
    };
    if (await answers(child, url)) return { url, stop };
    await stop();
  }
  throw new Error(`moto_server ended by itself ${attempts} times. It said: ${said}`);
};
