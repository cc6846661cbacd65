// Who gets into the console, and who does not: links that work once, sessions, other sites, other names for this machine; and
// the console of a deployment on AWS, whose requests botocore judges.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { createSessions } from '../../cli/console/sessions.ts';
import { hours, minutes } from '../../core/time.ts';
import { type Served, serveConsole } from '../console/browser.ts';
import { describeWith } from '../tools/machine.ts';
import { selkie } from '../tools/selkie.ts';
import { operator, region, startGateway } from '../tools/signed-gateway.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

describe('sessions', () => {
  it('begin by a link, once, and end by themselves when nobody uses them', () => {
    let now = 0;
    const sessions = createSessions(() => now);
    const link = sessions.link();
    const token = sessions.open(link) ?? '';
    expect(sessions.open(link)).toBeUndefined();
    expect(sessions.open('guessed')).toBeUndefined();
    expect([sessions.has(token), sessions.has(link), sessions.has('')]).toEqual([true, false, false]);
    now += hours(11);
    expect(sessions.has(token)).toBe(true);
    now += hours(13);
    expect(sessions.has(token)).toBe(false);
    const other = sessions.open(sessions.link()) ?? '';
    sessions.close(other);
    expect(sessions.has(other)).toBe(false);
  });

  it('are no more than a person needs', () => {
    const sessions = createSessions(() => 0);
    const first = sessions.link();
    for (let n = 0; n < 16; n += 1) sessions.link();
    expect(sessions.open(first)).toBeUndefined();
  });
});

interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** With whatever headers, Host included: fetch would not send them. */
const ask = (
  url: string,
  options: {
    readonly method?: string;
    readonly headers?: Record<string, string>;
    readonly body?: string;
  } = {},
): Promise<Answered> =>
  new Promise((resolve, reject) => {
    const asking = request(
      url,
      { method: options.method ?? 'GET', headers: options.headers ?? {} },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
        );
      },
    );
    asking.once('error', reject);
    asking.end(options.body);
  });

describe('in front of an API', () => {
  let served: Served;
  let reached: string[];
  beforeEach(async () => {
    reached = [];
    served = await serveConsole((asked) => {
      reached.push(`${asked.method} ${new URL(asked.url).pathname}`);
      return Response.json({ reached: true });
    });
  });
  afterEach(() => served.stop());

  const linkOf = (): string => served.link().split('#open=')[1] ?? '';
  const open = (link: string, headers: Record<string, string> = {}): Promise<Answered> =>
    ask(`${served.origin}/console/session`, {
      method: 'POST',
      body: link,
      headers: { origin: served.origin, ...headers },
    });
  const enter = async (): Promise<string> => JSON.parse((await open(linkOf())).text).token;
  const domains = (headers: Record<string, string>, method = 'GET') =>
    ask(`${served.origin}/console/api/v1/domains`, { method, headers });

  it('lets in whoever has a session, and nobody else', async () => {
    const token = await enter();
    expect((await domains({ authorization: `Bearer ${token}` })).status).toBe(200);
    const refused = await domains({});
    expect([refused.status, JSON.parse(refused.text).detail]).toEqual([
      401,
      expect.stringContaining('npm run selkie -- console'),
    ]);
    expect((await domains({ authorization: `Bearer ${token}x` })).status).toBe(401);
    // A cookie is nothing here: it would go to every port of this machine.
    expect((await domains({ cookie: `token=${token}; session=${token}` })).status).toBe(401);
    expect(reached).toHaveLength(1);
  });

  it('takes a link once', async () => {
    const link = linkOf();
    const first = await open(link);
    expect(first.status).toBe(200);
    expect(first.headers['set-cookie']).toBeUndefined();
    const again = await open(link);
    expect([again.status, again.text]).toEqual([401, expect.stringContaining('used before')]);
  });

  it('refuses other sites, other ports and other names, with a session or a link', async () => {
    const token = await enter();
    const authorization = `Bearer ${token}`;
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'http://127.0.0.1:1' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { host: 'evil.example' },
      { host: `evil.example:${new URL(served.origin).port}`, origin: `http://evil.example` },
    ] as Record<string, string>[])
      expect([headers, (await domains({ authorization, ...headers })).status]).toEqual([headers, 403]);
    // Browsers say where a write comes from.
    expect((await domains({ authorization }, 'POST')).status).toBe(403);
    const link = linkOf();
    expect((await open(link, { origin: 'https://evil.example' })).status).toBe(403);
    expect((await open(link)).status).toBe(200);
    expect((await ask(`${served.origin}/console/`, { headers: { host: 'evil.example' } })).status).toBe(403);
    expect(reached).toEqual([]);
  });

  it('passes on what an operator may ask, and nothing that hosts send', async () => {
    const headers = { authorization: `Bearer ${await enter()}`, origin: served.origin };
    const call = (path: string, method = 'POST') =>
      ask(`${served.origin}/console/api${path}`, { method, headers, body: '{}' });
    expect((await call('/v1/domains/example.com/rotations')).status).toBe(200);
    for (const path of ['/v1/hosts/a/pull', '/v1/hosts/a/acknowledgements', '/console/links', '/v2/domains'])
      expect([path, (await call(path)).status]).toEqual([path, 404]);
    expect(reached).toEqual(['POST /v1/domains/example.com/rotations']);
  });

  it('shows the page with a strict policy, and no other files', async () => {
    const page = await ask(`${served.origin}/console/`);
    expect(page.status).toBe(200);
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(page.text).not.toMatch(/<script(?![^>]* src=)|<style| style=| on\w+=/);
    for (const path of [
      '/console/../package.json',
      '/console/%2e%2e/package.json',
      '/console/assets/',
      '/console/x',
    ])
      expect([404, 403]).toContain((await ask(`${served.origin}${path}`)).status);
    expect((await ask(`${served.origin}/`)).headers.location).toBe('/console/');
  });
});

describeWith(['botocore'], 'selkie console on AWS', () => {
  let world: Simulation;
  beforeEach(async () => {
    world = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
    await world.run(minutes(60));
  });
  afterEach(() => world.close());

  it('signs what the page asks with the operator’s credentials, until it is stopped', async () => {
    const gateway = await startGateway(createApi(world.world, () => {}));
    const env = {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('AWS_'))),
      HOME: temporaryFolder(),
      AWS_EC2_METADATA_DISABLED: 'true',
      ...operator,
      AWS_REGION: region,
    };
    const child = spawn(process.execPath, ['cli/main.ts', 'console', '--api', gateway.url], { env });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
    try {
      await expect.poll(() => text, { timeout: 30_000 }).toMatch(/#open=/);
      const link = new URL(/http:\S+#open=\S+/.exec(text)?.[0] ?? '');
      const { origin } = link;
      const opened = await ask(`${origin}/console/session`, {
        method: 'POST',
        body: link.hash.slice('#open='.length),
        headers: { origin },
      });
      const { token, place } = JSON.parse(opened.text);
      expect(place).toBe(gateway.url);
      const headers = { authorization: `Bearer ${token}`, origin, 'idempotency-key': 'from-the-page' };
      const list = await ask(`${origin}/console/api/v1/domains?limit=200`, { headers });
      expect(JSON.parse(list.text).domains[0]).toMatchObject({ domain, keys: [{ state: 'active' }] });
      const rotated = await ask(`${origin}/console/api/v1/domains/${domain}/rotations`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: '{"reason":"on the page"}',
      });
      expect(rotated.status).toBe(202);
      expect(gateway.seen.map(({ what, fault }) => [what, fault])).toEqual([
        ['GET /v1/domains?limit=200', null],
        [`POST /v1/domains/${domain}/rotations`, null],
      ]);
      // The page's session is nobody else's business.
      expect(gateway.seen.every((each) => !(each.headers.get('authorization') ?? '').includes(token))).toBe(
        true,
      );
      expect(gateway.seen.at(-1)?.headers.get('idempotency-key')).toBe('from-the-page');
      gateway.say(429, '{"message":"Too Many Requests"}');
      const slow = await ask(`${origin}/console/api/v1/domains`, { headers });
      expect([slow.status, JSON.parse(slow.text).detail]).toEqual([
        503,
        expect.stringContaining('try again'),
      ]);
      const ended = once(child, 'exit');
      child.kill('SIGINT');
      expect(await ended).toEqual([0, null]);
    } finally {
      child.kill('SIGKILL');
      await gateway.stop();
    }
  }, 60_000);
});

it('says where to begin when nothing runs, and what --port is for', async () => {
  const dir = temporaryFolder();
  expect((await selkie('console', '--dir', dir)).stderr).toContain(`nothing has been started in ${dir}`);
  expect((await selkie('console', '--dir', dir, '--port', '8080')).stderr).toContain('--port goes with AWS');
});
