// `selkie up --once`: the whole job on one machine, once, with proof: each domain's first key, one rotation, and a message
// through the milter before, during and after it, each verified by a verifier that is not ours.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sendThroughMilter } from '../agent/milter/client.ts';
import { SelkieError } from '../core/errors.ts';
import type { Fleet } from '../core/policy.ts';
import { requestRotation } from '../engine/commands.ts';
import { statusOf } from '../engine/status.ts';
import { openSession } from '../engine/world.ts';
import { type LocalWorld, startLocalWorld } from './local-world.ts';
import { type Verdict, verifyMessage } from './verify-message.ts';

export interface OnceReport {
  readonly domains: readonly {
    readonly domain: string;
    /** All that signed, in the order of their use. */
    readonly selectors: readonly string[];
    readonly messages: readonly {
      readonly when: string;
      readonly selector: string;
      readonly result: string;
    }[];
  }[];
  /** From the request to the first message signed with the new key set, for all domains together. */
  readonly rotationMs: number;
  readonly ok: boolean;
}

const patience = 120_000;

const messageOf = (domain: string, when: string): Uint8Array =>
  new TextEncoder().encode(
    [
      `From: Selkie <postmaster@${domain}>`,
      'To: someone@example.com',
      `Subject: ${when} the rotation`,
      `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
      `Message-ID: <${when}.${Date.now()}@${domain}>`,
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8',
      '',
      `This message was signed ${when} the rotation.`,
      '',
    ].join('\r\n'),
  );

const send = async (local: LocalWorld, domain: string, when: string): Promise<Uint8Array> => {
  const { verdict, raw } = await sendThroughMilter(
    { host: '127.0.0.1', port: local.ports.milter },
    {
      macros: { i: when.toUpperCase() },
      from: `postmaster@${domain}`,
      to: ['someone@example.com'],
      raw: messageOf(domain, when),
    },
  );
  if (verdict !== 'accept')
    throw new SelkieError('unavailable', `the milter answered ${verdict} to a message of ${domain}`);
  return raw;
};

/** Waits until the newest key set of a domain signs on every host. */
const untilActive = async (
  local: LocalWorld,
  domain: string,
  rotations: number,
): Promise<readonly string[]> => {
  for (const until = Date.now() + patience; ; ) {
    const status = await openSession(local.world)
      .then((session) => statusOf(local.world, session, domain))
      .catch(() => undefined);
    const last = status?.rotations.at(-1);
    if (
      status !== undefined &&
      last !== undefined &&
      status.rotations.length >= rotations &&
      last.state === 'done'
    )
      return last.selectors;
    if (Date.now() > until)
      throw new SelkieError(
        'unavailable',
        `${domain} is not done after ${patience / 1000} s: ${status?.blockedBy.map(({ says }) => says).join('; ') ?? 'not in the ledger'}`,
      );
    await sleep(20);
  }
};

interface Sent {
  readonly domain: string;
  readonly when: string;
  readonly raw: Uint8Array;
}

const rotateAll = async (local: LocalWorld, domains: readonly string[]) => {
  const selectors = new Map<string, Set<string>>(domains.map((domain) => [domain, new Set()]));
  const note = (domain: string, used: readonly string[]): void => {
    for (const selector of used) selectors.get(domain)?.add(selector);
  };
  const sent: Sent[] = [];
  const sendAll = async (when: string): Promise<void> => {
    for (const domain of domains) sent.push({ domain, when, raw: await send(local, domain, when) });
  };
  const counts = new Map<string, number>();
  for (const domain of domains) {
    note(domain, await untilActive(local, domain, 1));
    const status = await statusOf(local.world, await openSession(local.world), domain);
    counts.set(domain, status.rotations.length);
  }
  await sendAll('before');
  const started = performance.now();
  for (const domain of domains)
    await requestRotation(local.world, await openSession(local.world), domain, {
      reason: 'selkie up --once',
      by: 'operator',
    });
  await sendAll('during');
  for (const domain of domains) note(domain, await untilActive(local, domain, (counts.get(domain) ?? 0) + 1));
  await sendAll('after');
  return { selectors, sent, rotationMs: Math.round(performance.now() - started) };
};

/** @throws invalid: somebody would have to come in the middle of it */
const requireNobody = ({ zones }: Fleet): void => {
  const manual = [...zones.values()].find(({ provider }) => provider === 'manual');
  if (manual !== undefined)
    throw new SelkieError(
      'invalid',
      `--once ends by itself, and zone ${manual.name} waits for somebody at its panel: leave --once out`,
    );
};

/** @throws what stopped it */
export const once = async (options: {
  readonly fleet: Fleet;
  /** Absent: a folder of its own, removed at the end. */
  readonly dir?: string;
  readonly say: (line: string) => void;
}): Promise<OnceReport> => {
  requireNobody(options.fleet);
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'selkie-once-'));
  const local = await startLocalWorld({
    dir,
    fleet: options.fleet,
    ports: { dns: 0, api: 0, push: 0, milter: 0 },
    report: ({ domain, says }) => options.say(`${domain ?? ''}${domain === undefined ? '' : ': '}${says}`),
    log: options.say,
  });
  try {
    const domains = [...options.fleet.domains.values()]
      .filter(({ leaving }) => !leaving)
      .map(({ domain }) => domain);
    const { selectors, sent, rotationMs } = await rotateAll(local, domains);
    // All are verified now, the old key's too: its record stays for mail that is still under way.
    const verdicts = new Map<Sent, readonly Verdict[]>();
    for (const message of sent) verdicts.set(message, await verifyMessage(message.raw, local.ports.dns));
    const report = domains.map((domain) => ({
      domain,
      selectors: [...(selectors.get(domain) ?? [])],
      messages: sent
        .filter((message) => message.domain === domain)
        .flatMap((message) => {
          const found = verdicts.get(message) ?? [];
          return (found.length > 0 ? found : [{ selector: '', result: 'none' }]).map((verdict) => ({
            when: message.when,
            ...verdict,
          }));
        }),
    }));
    const ok = report.every(
      ({ messages }) => messages.length > 0 && messages.every(({ result }) => result === 'pass'),
    );
    return { domains: report, rotationMs, ok };
  } finally {
    await local.close();
    if (options.dir === undefined) rmSync(dir, { recursive: true, force: true });
  }
};
