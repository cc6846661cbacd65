// From the request to the first message signed with the new key, on the local world; parts by what the engine reports.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sendThroughMilter } from '../agent/milter/client.ts';
import { type LocalWorld, startLocalWorld } from '../cli/local-world.ts';
import { defaultPolicy, type Fleet } from '../core/policy.ts';
import { requestRotation } from '../engine/commands.ts';
import { statusOf } from '../engine/status.ts';
import { openSession } from '../engine/world.ts';
import { median, progress, type Table } from './table.ts';

const rounds = 10;
const patienceMs = 60_000;
const domain = 'example.org';
const fleet: Fleet = {
  version: 1,
  pools: ['local'],
  zones: new Map([[domain, { name: domain, id: 'Z0LOCAL' }]]),
  domains: new Map([
    [domain, { domain, zone: domain, pool: 'local', policy: defaultPolicy, leaving: false }],
  ]),
  hosts: new Map(),
};

/** Each part ends with the first report that fits; the last with the message. */
const parts: readonly (readonly [name: string, ends: RegExp])[] = [
  ['reserve', / reserved$/],
  ['key generation and storing', /^private key of .* stored/],
  ['publish', /^the provider has the change/],
  ['proof', / is sent to the hosts/],
  ['delivery', /^every ready host holds/],
];
const names = [...parts.map(([name]) => name), 'switch'];

const signedWith = async (local: LocalWorld): Promise<string | undefined> => {
  const { raw } = await sendThroughMilter(
    { host: '127.0.0.1', port: local.ports.milter },
    {
      from: `postmaster@${domain}`,
      to: ['someone@example.com'],
      raw: new TextEncoder().encode(
        `From: <postmaster@${domain}>\r\nSubject: bench\r\nDate: ${new Date().toUTCString()}\r\n\r\nHello.\r\n`,
      ),
    },
  );
  return /^DKIM-Signature:[\s\S]*?\bs=\s*([^;\s]+)/im.exec(Buffer.from(raw).toString('latin1'))?.[1];
};

const until = async <T>(what: string, look: () => Promise<T | undefined>): Promise<T> => {
  for (const end = performance.now() + patienceMs; performance.now() < end; await sleep(2)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error(`${what}: not within ${patienceMs / 1000} s`);
};

const untilDone = (local: LocalWorld) =>
  until('the rotation before', async () => {
    const status = await openSession(local.world)
      .then((session) => statusOf(local.world, session, domain))
      .catch(() => undefined);
    return status?.rotations.at(-1)?.state === 'done' ? true : undefined;
  });

export const rotation = async (): Promise<Table> => {
  const dir = mkdtempSync(join(tmpdir(), 'selkie-bench-'));
  let heard: { says: string; at: number }[] = [];
  const local = await startLocalWorld({
    dir,
    fleet,
    ports: { dns: 0, api: 0, push: 0, milter: 0 },
    report: ({ says }) => void heard.push({ says, at: performance.now() }),
    log: () => undefined, // one line per message would count too
  });
  const taken: number[][] = [];
  try {
    for (let round = 1; round <= rounds; round += 1) {
      await untilDone(local);
      const before = await signedWith(local);
      heard = [];
      let from = performance.now();
      await requestRotation(local.world, await openSession(local.world), domain, { reason: 'bench' });
      const at = await until('a message with the new key', async () => {
        const selector = await signedWith(local);
        return selector !== undefined && selector !== before ? performance.now() : undefined;
      });
      const times = parts.map(([name, ends]) => {
        const end = heard.find(({ says }) => ends.test(says))?.at;
        if (end === undefined) throw new Error(`no report ends the part "${name}"`);
        const took = end - from;
        from = end;
        return took;
      });
      taken.push([...times, at - from]);
      progress(`rotation ${round} of ${rounds}`);
    }
  } finally {
    await local.close();
    rmSync(dir, { recursive: true, force: true });
  }
  const total = (times: readonly number[]): number => times.reduce((sum, each) => sum + each, 0);
  const row = (name: string, of: (times: number[]) => number): string[] => {
    const all = taken.map(of);
    return [name, ...[median(all), Math.min(...all), Math.max(...all)].map((ms) => `${ms.toFixed(1)} ms`)];
  };
  return {
    title: `rotation: request to first message signed with the new key, ${rounds} rounds, ${defaultPolicy.algorithms.join(' + ')}`,
    columns: ['part', 'median', 'least', 'most'],
    rows: [
      ...names.map((name, n) => row(name, (times) => times[n] ?? Number.NaN)),
      row('total', total),
      row('total without key generation and storing', (times) => total(times) - (times[1] ?? 0)),
    ],
  };
};
