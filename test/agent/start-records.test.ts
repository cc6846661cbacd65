// The fence, whole: an agent whose disk is older than the world's DNS does not sign with what the world no longer verifies.
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { performance } from 'node:perf_hooks';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type DnsServer, startDnsServer } from '../../adapters/dns/server.ts';
import { createHttpsTransport } from '../../adapters/push/https-transport.ts';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import { type Agent, startAgent } from '../../agent/start.ts';
import { verifyAck } from '../../contract/acknowledgement.ts';
import { buildTombstone } from '../../core/dkim/key-record.ts';
import { type Duration, type Instant, instant, minutes, seconds } from '../../core/time.ts';
import { fields, makeKey, makeSigner, noon, seal, skew, type TestSigner } from '../tools/sealed.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';

const domain = 'example.com';
const key = makeKey(domain, '240128e', 'signing');
const other = makeKey('other.example', '240128e', 'signing');
const recordOf = (one: typeof key): [string, string] => [
  `240128e._domainkey.${one.domain}`,
  `v=DKIM1; k=ed25519; p=${one.publicKey}`,
];

let dir: string;
let signer: TestSigner;
let clock: Instant;
let agent: Agent | undefined;
let dns: DnsServer;
let records: Map<string, string>;
let lines: string[];
/** What the agent waits for, so that a test need not. */
let waiting: { readonly delay: Duration; readonly run: () => void }[];

beforeEach(async () => {
  [dir, signer, clock, lines, waiting] = [temporaryFolder(), await makeSigner(), noon, [], []];
  records = new Map([recordOf(key), recordOf(other)]);
  dns = await startDnsServer({
    host: '127.0.0.1',
    port: 0,
    zones: {
      zones: () => [domain, 'other.example'],
      find: (_, name) => {
        const value = records.get(name);
        return value === undefined ? undefined : { ttl: seconds(60), values: [value] };
      },
      hasBelow: () => false,
    },
  });
});
afterEach(async () => {
  await agent?.close();
  await dns.close();
  agent = undefined;
});

const start = async (nameServer = `127.0.0.1:${dns.port}`): Promise<Agent> => {
  await agent?.close();
  waiting = [];
  agent = await startAgent({
    dir,
    name: 'mx1.example.com',
    endpointHost: '127.0.0.1',
    pushPort: 0,
    pushAddress: '127.0.0.1',
    signer: { milter: { listen: { host: '127.0.0.1', port: 0 } } },
    trusted: () => [signer.jwk],
    records: { nameServers: { '.': [nameServer] } },
    timer: {
      after(delay, run) {
        const one = { delay, run };
        waiting.push(one);
        // The second look at a start, and the end of the wait for the first.
        const timer = delay > seconds(5) ? undefined : setTimeout(run, delay);
        return () => {
          clearTimeout(timer);
          waiting.splice(waiting.indexOf(one), 1);
        };
      },
    },
    now: () => clock,
    log: (line) => lines.push(line),
  });
  return agent;
};

/** Time passes, and whatever waited for it runs. */
const pass = async (length: Duration): Promise<void> => {
  clock = instant(clock + length);
  for (const { delay, run } of waiting.splice(0)) if (delay > seconds(5)) run();
};

const push = async (n: number, ...changes: readonly (typeof key)[]) => {
  if (agent === undefined) throw new Error('no agent');
  clock = instant(clock + seconds(1));
  const host = { ...agent.entry, pool: 'main' };
  const jwe = await seal(host, signer, changes, fields({ place: { epoch: 1, n } }, clock));
  const jws = await createHttpsTransport({ timeoutMs: 5_000 }).push(host, jwe);
  return verifyAck(jws, { host: host.name, signingKey: host.signingKey, now: clock, skew });
};

const send = async (from: string) => {
  const raw = Buffer.from(`From: someone@${from}\r\nSubject: hello\r\n\r\nGood day.\r\n`);
  const target = { host: '127.0.0.1', port: agent?.ports.milter ?? 0 };
  const answer = await sendThroughMilter(target, { from: `someone@${from}`, to: ['you@example.net'], raw });
  return `${answer.verdict}${Buffer.from(answer.raw).includes('DKIM-Signature') ? ' signed' : ''}`;
};

describe('a host that comes back from an old backup', () => {
  it('signs nothing with a key that was revoked since, from its first message on, until the record is right', async () => {
    await start();
    await push(1, key, other);
    expect([await send(domain), await send('other.example')]).toEqual(['accept signed', 'accept signed']);

    records.set(recordOf(key)[0], buildTombstone('ed25519'));
    await start();
    expect([await send(domain), await send('other.example')]).toEqual(['tempfail', 'accept signed']);
    expect(lines.join('\n')).toMatch(/key example\.com\/240128e: its record .* is revoked/);

    records.set(...recordOf(key));
    await pass(minutes(2));
    await vi.waitFor(async () => expect(await send(domain)).toBe('accept signed'), { timeout: 5_000 });
    expect(lines).toContain('key example.com/240128e: in order again');
  });

  it('says so to the control plane', async () => {
    await start();
    await push(1, key);
    records.delete(recordOf(key)[0]);
    await start();
    const { failed } = await push(2, key);
    expect(failed['example.com/240128e']).toMatch(/on none of its name servers/);
  });
});

describe('a host that hears nothing of its records', () => {
  it('signs, after five seconds at most', async () => {
    await start();
    await push(1, key);
    // Takes connections and packets, and says nothing.
    const mute = createServer();
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const address = mute.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const packets = createSocket('udp4').bind(port, '127.0.0.1');
    const begun = performance.now();
    await start(`127.0.0.1:${port}`);
    const took = performance.now() - begun;
    expect(took).toBeGreaterThan(4_500);
    expect(took).toBeLessThan(7_000);
    expect(await send(domain)).toBe('accept signed');
    mute.close();
    packets.close();
  });
});
