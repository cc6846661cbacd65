// Mail while keys rotate every second: each second a bundle is pushed to the running agent, as the control plane does, that
// has ten domains sign with their next key, on connections that stay open. Nothing may be unsigned, put off, signed with
// what is over, or fail to verify; mailauth, which is not ours, is the judge of the signatures.
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { createHttpsTransport } from '../../adapters/push/https-transport.ts';
import { verifyAck } from '../../contract/acknowledgement.ts';
import type { KeyChange } from '../../contract/manifest.ts';
import { keyRecordName } from '../../core/names.ts';
import { instant } from '../../core/time.ts';
import { verify } from '../../test/oracles/mailauth.ts';
import { fields, seal, skew } from '../../test/tools/sealed.ts';
import { mailBody } from '../bodies.ts';
import { median, progress } from '../table.ts';
import { type Bed, changeOf, type EnrolledHost } from './bed.ts';
import type { Outcome } from './conversation.ts';
import type { Figure } from './figures.ts';
import { defaultDomains, type Load, type LoadResult, loadElsewhere } from './load.ts';
import { rawMessage } from './message.ts';
import type { HeldChange, RunningMilter } from './servers.ts';

/** The key set of one second: one selector, a key of its own for each domain would only take longer to make. */
interface Generation {
  readonly selector: string;
  readonly changes: readonly HeldChange[];
  readonly record: string;
}

/** From this time on, at the latest, it was the one that signs. */
interface Switched {
  readonly selector: string;
  /** The bundle was sent. */
  readonly from: number;
  /** It was acknowledged. */
  readonly done: number;
}

const now = (): number => performance.timeOrigin + performance.now();
/** Milliseconds by which the clocks of two processes may differ here. */
const clockError = 5;
const size = 10_000;

const generation = (selector: string): Generation => {
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const p = createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64');
  return {
    selector,
    changes: defaultDomains.map((domain) => changeOf({ domain, key }, selector, 'standby')),
    record: `v=DKIM1; k=rsa; p=${p}`,
  };
};

const turned = ({ changes }: Generation, duty: KeyChange['duty']): readonly KeyChange[] =>
  changes.map(({ privateKey: _, ...change }) => ({ ...change, duty }));

const pusher = (bed: Bed, { entry }: EnrolledHost) => {
  const transport = createHttpsTransport({ timeoutMs: 10_000 });
  let n = 1;
  return async (changes: readonly KeyChange[]): Promise<void> => {
    const place = { epoch: 1, n: n + 1 };
    const at = instant(Date.now());
    const bundle = await seal(entry, bed.signer, changes, fields({ place, from: { epoch: 1, n } }, at));
    const answer = await transport.push(entry, bundle);
    const ack = await verifyAck(answer, { host: entry.name, signingKey: entry.signingKey, now: at, skew });
    if (ack.cursor?.n !== place.n)
      throw new Error(`the agent did not take the bundle: ${JSON.stringify(ack)}`);
    n += 1;
  };
};

/** Each second the next one signs, the one after it arrives, and the one before the last is erased. */
const rotate = async (
  push: ReturnType<typeof pusher>,
  generations: readonly Generation[],
  first: number,
  count: number,
): Promise<readonly Switched[]> => {
  const switched: Switched[] = [];
  for (let i = first; i < first + count; i += 1) {
    const [old, last, next, standby] = [
      generations[i - 1],
      generations[i],
      generations[i + 1],
      generations[i + 2],
    ];
    if (last === undefined || next === undefined || standby === undefined) throw new Error('keys ran out');
    const from = now();
    await push([
      ...turned(next, 'signing'),
      ...turned(last, 'standby'),
      ...(old === undefined ? [] : turned(old, 'none')),
      ...standby.changes,
    ]);
    switched.push({ selector: next.selector, from, done: now() });
    await wait(Math.max(0, from + 1_000 - now()));
  }
  return switched;
};

const tag = (signature: string, name: string): string =>
  new RegExp(`(?:^|;)\\s*${name}=\\s*([^;\\s]*)`).exec(signature)?.[1] ?? '';

/** Messages that were signed with another key than the one that signed throughout. */
const astray = (kept: readonly Outcome[], switched: readonly Switched[]): number =>
  kept.filter(({ began, signatures }) => {
    const i = switched.findLastIndex(({ done }) => done + clockError < began);
    const [present, next] = [switched[i], switched[i + 1]];
    if (present === undefined || (next !== undefined && next.from - clockError < began)) return false;
    return tag(signatures[0] ?? '', 's') !== present.selector;
  }).length;

/** RSA signatures of the same message, key and second are the same bytes: each is verified once. */
const failing = async (kept: readonly Outcome[], generations: readonly Generation[]): Promise<number> => {
  const records = Object.fromEntries(
    generations.flatMap(({ selector, record }) =>
      defaultDomains.map((domain) => [keyRecordName(selector, domain), record]),
    ),
  );
  const body = mailBody(size);
  const verdicts = new Map<string, boolean>();
  let failed = 0;
  for (const { signatures } of kept)
    for (const signature of signatures) {
      const known = verdicts.get(signature);
      const raw = rawMessage(tag(signature, 'd'), body, signature);
      const [result] = known === undefined ? await verify(raw, records) : [];
      const holds = known ?? result?.result === 'pass';
      verdicts.set(signature, holds);
      if (!holds) failed += 1;
    }
  return failed;
};

const zero = (name: string, value: number, detail: string): Figure => ({
  name: `Rotating every second: ${name}`,
  value,
  goal: 0,
  floor: 0,
  more: false,
  detail,
});

export const rotation = async (bed: Bed): Promise<Figure[]> => {
  const each = Math.max(3, Math.round(bed.seconds));
  progress(`rotating every second, ${bed.rounds} × ${each} s; keys are being made`);
  const generations = Array.from({ length: bed.rounds * (each + 2) + 3 }, (_, i) => generation(`r${i}`));
  const [first] = generations;
  if (first === undefined) return [];
  const host = await bed.host(first.changes.map((change) => ({ ...change, duty: 'signing' })));
  const agent: RunningMilter = await bed.agent('unix', host);
  const push = pusher(bed, host);
  await push(generations[1]?.changes ?? []);

  const load = (keep: boolean): Promise<LoadResult> => {
    const options: Load = { target: agent.target, pid: agent.pid, connections: 8, size, seconds: each, keep };
    return loadElsewhere(options);
  };
  const [quiet, busy]: [LoadResult[], LoadResult[]] = [[], []];
  const switched: Switched[] = [];
  for (let round = 0; round < bed.rounds; round += 1) {
    quiet.push(await load(false));
    const first = round * (each + 2);
    // The load takes a moment to start, so the keys turn a little longer.
    const [result, turns] = await Promise.all([load(true), rotate(push, generations, first, each + 2)]);
    busy.push(result);
    switched.push(...turns);
  }
  await agent.close();

  const kept = busy.flatMap((result) => result.kept);
  const sum = (of: (result: LoadResult) => number): number => busy.reduce((all, one) => all + of(one), 0);
  const p99 = (results: readonly LoadResult[]): number => median(results.map((one) => one.p99));
  const total = `of ${kept.length} messages at 8 connections through ${switched.length} rotations of ten domains`;
  const push99 = median(switched.map(({ from, done }) => done - from)).toFixed(0);
  return [
    zero(
      'unsigned',
      sum((one) => one.unsigned),
      total,
    ),
    zero(
      'put off or refused',
      sum((one) => one.tempfailed + one.refused),
      total,
    ),
    zero('signatures that fail', await failing(kept, generations), `by mailauth, ${total}`),
    zero('signed with a key that was over', astray(kept, switched), `a bundle takes ${push99} ms`),
    {
      name: 'Rotating every second: p99 to the quiet one',
      value: p99(busy) / p99(quiet),
      goal: 2,
      floor: 2,
      more: false,
      detail: `${p99(busy).toFixed(1)} and ${p99(quiet).toFixed(1)} ms`,
    },
  ];
};
