// End to end: sealed, delivered over TLS or pulled, applied, acknowledged, and a signature that verifies.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createHttpsTransport } from '../../adapters/push/https-transport.ts';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import type { Timer } from '../../agent/pull.ts';
import { type Agent, type AgentOptions, startAgent } from '../../agent/start.ts';
import { verifyAck } from '../../contract/acknowledgement.ts';
import type { KeyChange, Manifest } from '../../contract/manifest.ts';
import type { FleetHost } from '../../core/policy.ts';
import { days, type Instant, instant, seconds } from '../../core/time.ts';
import * as mailauth from '../oracles/mailauth.ts';
import { startControlPlane } from '../tools/control-plane.ts';
import { freePort } from '../tools/free-port.ts';
import { fields, makeKey, makeSigner, noon, seal, skew, type TestSigner, turned } from '../tools/sealed.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

const name = 'mx1.example.com';
const domain = 'example.com';
const [first, second] = [makeKey(domain, '240128e'), makeKey(domain, '240428e')];

let dir: string;
let signer: TestSigner;
let clock: Instant;
let agents: Agent[] = [];
let lines: string[] = [];

beforeEach(async () => {
  dir = temporaryFolder();
  signer = await makeSigner();
  clock = noon;
  lines = [];
});
afterEach(async () => {
  for (const agent of agents) await agent.close();
  agents = [];
});

const start = async (more: Partial<AgentOptions> = {}): Promise<Agent> => {
  const agent = await startAgent({
    dir,
    name,
    endpointHost: '127.0.0.1',
    pushPort: 0,
    pushAddress: '127.0.0.1',
    signer: { milter: { listen: { host: '127.0.0.1', port: 0 } } },
    trusted: () => [signer.jwk],
    now: () => clock,
    log: (line) => lines.push(line),
    ...more,
  });
  agents.push(agent);
  return agent;
};

const hostOf = (agent: Agent): FleetHost => ({ ...agent.entry, pool: 'main' });
const transport = createHttpsTransport({ timeoutMs: 5_000 });

const bundle = (
  agent: Agent,
  from: number | null,
  n: number,
  changes: readonly KeyChange[],
  more: Partial<Manifest> = {},
) => {
  clock = instant(clock + seconds(1));
  const place = { epoch: 1, n };
  return seal(
    hostOf(agent),
    signer,
    changes,
    fields({ place, from: from === null ? null : { epoch: 1, n: from }, ...more }, clock),
  );
};
const push = async (agent: Agent, jwe: string) => {
  const host = hostOf(agent);
  const jws = await transport.push(host, jwe);
  return verifyAck(jws, { host: host.name, signingKey: host.signingKey, now: clock, skew });
};

const mail = Buffer.from(
  [`From: someone@${domain}`, 'To: you@other.example', 'Subject: hello', '', 'Good day.', ''].join('\r\n'),
);

/** Selectors with which the agent's milter signs, each signature verified with the key's record. */
const signing = async (agent: Agent): Promise<readonly string[]> => {
  const target = { host: '127.0.0.1', port: agent.ports.milter ?? 0 };
  const message = { from: `someone@${domain}`, to: ['you@other.example'], raw: mail };
  const { verdict, raw } = await sendThroughMilter(target, message);
  expect(verdict).toBe('accept');
  if (Buffer.from(raw).equals(mail)) return [];
  const records = Object.fromEntries(
    [first, second].map((key) => [
      `${key.selector}._domainkey.${domain}`,
      `v=DKIM1; k=ed25519; p=${key.publicKey}`,
    ]),
  );
  const signatures = await mailauth.verify(raw, records);
  expect(signatures.map((one) => one.result)).toEqual(signatures.map(() => 'pass'));
  return signatures.map((one) => one.selector);
};

const enrolled = async () => {
  const agent = await start();
  await push(agent, await bundle(agent, null, 1, [{ ...first, duty: 'signing' }]));
  return agent;
};

describe('a bundle pushed to the agent', () => {
  it('is applied, acknowledged, and the milter signs', async () => {
    const agent = await start();
    expect(await signing(agent)).toEqual([]);
    const answer = await push(agent, await bundle(agent, null, 1, [first]));
    expect(answer).toMatchObject({ cursor: { epoch: 1, n: 1 }, complete: true, failed: {} });
    expect(await signing(agent)).toEqual([]);
    await push(agent, await bundle(agent, 1, 2, [turned(first, 'signing'), second]));
    expect(await signing(agent)).toEqual(['240128e']);
    await push(agent, await bundle(agent, 2, 3, [turned(second, 'signing'), turned(first, 'standby')]));
    expect(await signing(agent)).toEqual(['240428e']);
  });

  it('tells when a retired key was last used', async () => {
    const agent = await enrolled();
    const used = clock;
    await signing(agent);
    const changes = [{ ...second, duty: 'signing' as const }, turned(first, 'standby')];
    const answer = await push(agent, await bundle(agent, 1, 2, changes));
    expect(answer.lastUse).toEqual({ [`${domain}/240128e`]: used });
  });

  it('tells how long mail may lie in its queues', async () => {
    const agent = await start({ queueLifetime: () => days(5) });
    expect((await push(agent, await bundle(agent, null, 1, []))).queueLifetime).toBe(days(5));
  });

  it('again is acknowledged again', async () => {
    const agent = await start();
    const jwe = await bundle(agent, null, 1, [first]);
    expect(await push(agent, jwe)).toEqual(await push(agent, jwe));
  });

  it('replayed after a newer one is refused', async () => {
    const agent = await enrolled();
    const old = await bundle(agent, null, 1, [{ ...first, duty: 'signing' }]);
    await push(agent, await bundle(agent, 1, 2, [{ ...second, duty: 'signing' }, turned(first, 'none')]));
    await expect(push(agent, old)).rejects.toMatchObject({
      code: 'host.refused',
      message: expect.stringMatching(/403: A newer manifest/),
    });
    expect(await signing(agent)).toEqual(['240428e']);
  });

  it('for another host is refused', async () => {
    const agent = await enrolled();
    const jwe = await seal(
      { ...hostOf(agent), name: 'mx2.example.com' },
      signer,
      [second],
      fields({}, clock),
    );
    await expect(push(agent, jwe)).rejects.toMatchObject({
      code: 'host.refused',
      message: expect.stringMatching(/for host mx2/),
    });
    expect(await signing(agent)).toEqual(['240128e']);
  });

  it('tampered with on its way is refused', async () => {
    const agent = await enrolled();
    const jwe = await bundle(agent, 1, 2, [turned(first, 'none')]);
    const at = Math.floor(jwe.length / 2);
    const changed = jwe.slice(0, at) + (jwe[at] === 'A' ? 'B' : 'A') + jwe.slice(at + 1);
    await expect(push(agent, changed)).rejects.toMatchObject({
      code: 'host.refused',
      message: expect.stringMatching(/damaged/),
    });
    expect(await signing(agent)).toEqual(['240128e']);
  });

  it('that has expired on its way is refused', async () => {
    const agent = await enrolled();
    const jwe = await bundle(agent, 1, 2, [turned(first, 'none')]);
    clock = instant(clock + days(1));
    await expect(push(agent, jwe)).rejects.toMatchObject({
      code: 'host.refused',
      message: expect.stringMatching(/expired/),
    });
  });

  it('by a key that is trusted no more is refused; the set may change while the agent runs', async () => {
    const next = await makeSigner();
    const trusted = [signer.jwk];
    const agent = await start({ trusted: () => trusted });
    const before = await bundle(agent, null, 1, [first]);
    const old = signer;
    signer = next;
    await expect(push(agent, await bundle(agent, null, 1, [first]))).rejects.toMatchObject({
      message: expect.stringMatching(/does not trust/),
    });
    trusted.push(next.jwk);
    await push(agent, await bundle(agent, null, 1, [first]));
    trusted.splice(trusted.indexOf(old.jwk), 1);
    await expect(push(agent, before)).rejects.toMatchObject({
      message: expect.stringMatching(/does not trust/),
    });
  });
});

describe('an agent that starts again', () => {
  it('signs with the keys that it had, before anybody talks to it', async () => {
    const agent = await enrolled();
    await agent.close();
    await agent.close();
    const again = await start();
    expect(await signing(again)).toEqual(['240128e']);
    expect({ ...again.entry, endpoint: '' }).toEqual({ ...agent.entry, endpoint: '' });
    const answer = await push(again, await bundle(again, 1, 2, [turned(first, 'standby')]));
    expect(answer).toMatchObject({ cursor: { epoch: 1, n: 2 }, complete: true });
  });

  it('with its key store wiped is the same host in a new incarnation', async () => {
    const agent = await enrolled();
    const { incarnation } = await push(agent, await bundle(agent, 1, 1, []));
    await agent.close();
    rmSync(join(dir, 'store'), { recursive: true });
    const again = await start();
    const answer = await push(again, await bundle(again, 1, 2, [turned(first, 'standby')]));
    expect(answer).toMatchObject({ cursor: null, complete: false });
    expect(answer.incarnation).not.toBe(incarnation);
    expect(await signing(again)).toEqual([]);
  });

  it('after a crash takes no notice of what the crash left', async () => {
    const agent = await enrolled();
    await agent.close();
    writeFileSync(join(dir, 'store', 'keys', `${'0'.repeat(64)}.key`), 'half');
    // The lock of a process that was killed.
    const script = `require('node:net').createServer().listen('${join(dir, 'agent.sock')}', () => console.log('on'))`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(existsSync(join(dir, 'agent.sock'))).toBe(true);
    expect(await signing(await start())).toEqual(['240128e']);
    expect(existsSync(join(dir, 'store', 'keys', `${'0'.repeat(64)}.key`))).toBe(false);
  });
});

describe('an agent does not start', () => {
  it('where another works on its folder', async () => {
    await start();
    await expect(start()).rejects.toMatchObject({ code: 'busy', field: 'dir' });
  });

  it.each(['pushPort', 'milterPort'])('where the %s is taken, and leaves nothing behind', async (field) => {
    const port = await freePort();
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(port, '127.0.0.1', resolve));
    const wrong =
      field === 'pushPort'
        ? { pushPort: port }
        : { signer: { milter: { listen: { host: '127.0.0.1', port } } } };
    try {
      await expect(start(wrong)).rejects.toMatchObject({ code: 'invalid', field });
    } finally {
      squatter.close();
    }
    await expect(start()).resolves.toBeDefined();
  });

  it('where the control plane is no URL', async () =>
    expect(start({ controlPlane: 'http://api.example.com' })).rejects.toMatchObject({
      field: 'controlPlane',
    }));
});

describe('an agent that pulls', () => {
  it('takes what waits for it, acknowledges it, and signs', async () => {
    const plane = await startControlPlane();
    try {
      const waiting: (() => void)[] = [];
      const timer: Timer = {
        after(_, run) {
          waiting.push(run);
          return () => {};
        },
      };
      const agent = await startAgent({
        dir,
        name,
        endpointHost: name,
        signer: { milter: { listen: { host: '127.0.0.1', port: 0 } } },
        trusted: () => [signer.jwk],
        now: () => clock,
        log: (line) => lines.push(line),
        controlPlane: plane.url,
        timer,
      });
      agents.push(agent);
      expect(Object.keys(agent.entry)).toEqual(['name', 'encryptionKey', 'signingKey']);
      await vi.waitFor(() => expect(waiting).toHaveLength(1));
      plane.bundles.push(
        await bundle(agent, null, 1, [first]),
        await bundle(agent, 1, 2, [turned(first, 'signing')]),
      );
      waiting.pop()?.();
      await vi.waitFor(() => expect(waiting).toHaveLength(1));
      const sent = plane.seen.filter((one) => one.what.endsWith('acknowledgements')).map((one) => one.body);
      const { signingKey } = agent.entry;
      const answers = await Promise.all(
        sent.map((jws) => verifyAck(jws, { host: name, signingKey, now: clock, skew })),
      );
      expect(answers.map((answer) => answer.cursor?.n)).toEqual([1, 2]);
      expect(await signing(agent)).toEqual(['240128e']);
      expect(lines.filter((line) => line.startsWith('pull'))).toEqual([]);
    } finally {
      await plane.close();
    }
  });

  it('goes on signing when the control plane is gone', async () => {
    const agent = await enrolled();
    await agent.close();
    const alone = await start({ controlPlane: `http://127.0.0.1:${await freePort()}` });
    expect(await signing(alone)).toEqual(['240128e']);
    await vi.waitFor(() => expect(lines.join()).toMatch(/pull: The control plane .* does not answer/));
  });
});

it('keeps its secrets: no log line and no public file has key material', async () => {
  const agent = await enrolled();
  await push(agent, await bundle(agent, 1, 2, [{ ...second, publicKey: first.publicKey }])).catch(() => {});
  const secrets = [first, second].map((key) => key.privateKey.slice(-24));
  const index = readFileSync(join(dir, 'store', 'index.json'), 'utf8');
  for (const secret of secrets) {
    expect(lines.join('\n')).not.toContain(secret);
    expect(index).not.toContain(secret);
    expect(JSON.stringify(agent.entry)).not.toContain(secret);
  }
});
