// `selkie up` and the commands that speak to it.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { freePort } from '../tools/free-port.ts';
import { type Running, selkie, startUp } from '../tools/selkie.ts';

const domain = 'mail.dev.example.jp';
let dir: string;
let running: Running[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'selkie-up-'));
});
afterEach(async () => {
  for (const each of running) await each.stop('SIGKILL');
  running = [];
  rmSync(dir, { recursive: true, force: true });
});

const start = (): Running => {
  const up = startUp(dir);
  running.push(up);
  return up;
};

const status = async () => JSON.parse((await selkie('status', domain, '--json', '--dir', dir)).stdout);

const call = (path: string, init: RequestInit = {}): Promise<Response> => {
  const { url, token } = JSON.parse(readFileSync(join(dir, 'api.json'), 'utf8'));
  return fetch(`${url}${path}`, { ...init, headers: { authorization: `Bearer ${token}`, ...init.headers } });
};

interface Answer {
  readonly detail: string;
  readonly field?: string;
  readonly rotation: { readonly id: string };
}
const json = async (response: Response): Promise<Answer> => (await response.json()) as Answer;

it('rotates on request, shows it, and keeps its secrets to itself', async () => {
  const up = start();
  await up.prints('signs with');
  const rotated = await selkie('rotate', domain, '--wait', '--dir', dir);
  expect(rotated.stderr).toBe('');
  expect(rotated.stdout).toMatch(/done: mail\.dev\.example\.jp signs with \d{6}-2 \+ \d{6}e-2/);
  const { keys } = await status();
  expect(keys.map((key: { state: string }) => key.state)).toEqual([
    'draining',
    'draining',
    'active',
    'active',
  ]);
  expect((await selkie('plan', '--dir', dir)).stdout).toContain('drains until');
  expect((await selkie('forecast', '--days', '30', '--dir', dir)).stdout).toContain('is revoked');
  const record = await selkie('record', domain, keys[0].selector, '--format', 'value', '--dir', dir);
  expect(record.stdout).toMatch(/^v=DKIM1; k=rsa; p=[A-Za-z0-9+/=]+\n$/);
  expect(statSync(join(dir, 'api.json')).mode & 0o077).toBe(0);
  expect(up.output()).not.toMatch(/PRIVATE|MII[A-Za-z0-9+/]{40}/);
}, 60_000);

it('verifies a domain and the control plane itself, which the folder leads to', async () => {
  await start().prints('signs with');
  const {
    status: code,
    stdout,
    stderr,
  } = await selkie(...['verify', domain, '--except', 'spf,dmarc', '--json', '--dir', dir]);
  expect([code, stderr]).toEqual([0, '']);
  const { ok, checks } = JSON.parse(stdout);
  expect(ok).toBe(true);
  expect(checks.map(({ name, result }: { name: string; result: string }) => `${name} ${result}`)).toEqual([
    'keys pass',
    expect.stringMatching(/^record \d{6} pass$/),
    expect.stringMatching(/^record \d{6}e pass$/),
    'resolver skipped',
    'host this-machine pass',
    'canary by the milter pass',
  ]);
  // Nothing of the kind was published.
  const whole = await selkie('verify', domain, '--except', 'dmarc', '--dir', dir);
  expect(whole.stdout).toMatch(/^✗ SPF: there is no SPF record at 127\.0\.0\.1:\d+$/m);
  expect(whole.status).toBe(1);
  const doctor = await selkie('doctor', '--dir', dir);
  expect([doctor.status, doctor.stderr]).toEqual([0, '']);
  expect(doctor.stdout).toContain('✓ clock: as the ledger has it');
  expect(doctor.stdout).toMatch(/^5 checks, nothing wrong\.$/m);
}, 60_000);

it('answers bad requests with the field and the mend', async () => {
  await start().prints('signs with');
  const post = (name: string, body: string, headers: Record<string, string> = {}) =>
    call(`/v1/domains/${name}/rotations`, { method: 'POST', body, headers });

  const unknown = await post('nowhere.example.com', '{}');
  expect(unknown.status).toBe(404);
  expect((await json(unknown)).detail).toContain('1 domain');
  const malformed = await post('bad_domain', '{}');
  expect([malformed.status, (await json(malformed)).field]).toEqual([400, 'domain']);
  const body = await post(domain, '{"kind":"sideways"}');
  expect([body.status, (await json(body)).field]).toEqual([400, 'kind']);
  expect((await post(domain, 'not json')).status).toBe(400);

  const key = { 'idempotency-key': 'once-and-again' };
  const first = await post(domain, '{}', key);
  expect(first.status).toBe(202);
  const again = await post(domain, '{}', key);
  expect((await json(again)).rotation.id).toBe((await json(first)).rotation.id);
  expect((await post(domain, '{"kind":"emergency"}', key)).status).toBe(409);

  const { url } = JSON.parse(readFileSync(join(dir, 'api.json'), 'utf8'));
  expect((await fetch(`${url}/v1/domains`)).status).toBe(401);
}, 60_000);

it('goes on where it was after SIGKILL at any moment', async () => {
  const first = start();
  await first.prints('signs with');
  for (const wait of [0, 15, 40, 80, 160]) {
    await selkie('rotate', domain, '--dir', dir);
    await new Promise((resolve) => setTimeout(resolve, wait));
    await running.at(-1)?.stop('SIGKILL');
    const again = start();
    await again.prints('selkie is up');
    const done = await selkie('rotate', domain, '--wait', '--dir', dir);
    expect(done.stderr).toBe('');
    expect(done.stdout).toContain('done:');
  }
  const { keys, rotations, blockedBy } = await status();
  expect(keys.filter((key: { state: string }) => key.state === 'active')).toHaveLength(2);
  expect(rotations.at(-1).state).toBe('done');
  expect(blockedBy.every(({ by }: { by: string }) => by === 'wait')).toBe(true);
}, 120_000);

it('names the option for a port that is in use', async () => {
  const port = await freePort();
  const holder = createServer().listen(port, '127.0.0.1');
  try {
    const { status: code, stderr } = await selkie(
      'up',
      '--dir',
      dir,
      '--api-port',
      String(port),
      '--dns-port',
      '0',
      '--push-port',
      '0',
      '--milter-port',
      '0',
    );
    expect(code).toBe(1);
    expect(stderr).toContain('--api-port');
  } finally {
    holder.close();
  }
});

it('refuses a fleet that drops a domain whose keys are live, before it starts anything, unless told why', async () => {
  const up = start();
  await up.prints('signs with');
  await up.stop('SIGTERM');
  const file = join(dir, 'other.yaml');
  const other = readFileSync('fleet.yaml', 'utf8').replaceAll(domain, 'other.dev.example.jp');
  writeFileSync(file, other);
  const refused = await selkie('up', '--fleet', file, '--dir', dir, '--dns-port', '0', '--api-port', '0');
  expect(refused.status).toBe(1);
  expect(refused.stderr).toMatch(
    /^selkie: fleet\.yaml is refused: it drops mail\.dev\.example\.jp \(\d{6}, \d{6}e\).*--force "REASON"\.\n$/,
  );
  expect((await selkie('up', '--fleet', file, '--dir', dir, '--force', ' ')).stderr).toContain(
    'needs a reason',
  );
  const forced = startUp(dir, '--fleet', file, '--force', 'sold');
  running.push(forced);
  await forced.prints('forced (sold): fleet.yaml is refused');
  await forced.prints('hosts are told to stop signing with');
  await forced.stop('SIGTERM');
  // Installed, so that the next start need not say it again.
  const again = startUp(dir, '--fleet', file);
  running.push(again);
  await again.prints('other.dev.example.jp signs with');
});
