// The proof: mail of all kinds goes through a real Postfix while its keys rotate twice, and every message that arrives is verified.

import { startMailHost } from './host.ts';
import { type Judged, judge, selectorsOf, type Verdicts } from './judge.ts';
import { startLoad } from './load.ts';
import { numberOf, submission } from './messages.ts';
import { keySet, rotate } from './rotation.ts';
import type { DriverName } from './signers.ts';
import { createZone } from './zone.ts';

export interface ProofOptions {
  readonly driver: DriverName;
  readonly messages: number;
  /** Progress, a line each. */
  readonly say?: (line: string) => void;
}

export interface Proof extends Verdicts {
  readonly submitted: number;
  readonly stored: number;
  /** Selector of the RSA signature → messages. */
  readonly selectors: Readonly<Record<string, number>>;
  /** Kind → messages that arrived. */
  readonly kinds: Readonly<Record<string, number>>;
  /** Of the messages that were handed in after the last rotation: how many verify with nothing but the newest records. */
  readonly newest: number;
  /** Of those before: how many do not, as it must be. */
  readonly older: number;
  /** Messages a second, the rotations included. */
  readonly rate: number;
  /** Milliseconds from telling the host to its confirmation, for each rotation. */
  readonly switched: readonly number[];
}

const domain = 'example.com';
const quiet = 'example.net';
/** Each tenth message is of a domain that does not rotate. */
const domainOf = (n: number): string =>
  n % 10 === 9 && submission(n, quiet).to[0] === 'rcpt@elsewhere.example' ? quiet : domain;

/** Messages handed in after the last rotation. */
const afterwards = 100;

/** Lines of Postfix's log that tell of mail put off, or of a milter that failed. */
const trouble = /milter-reject|\b4\d\d 4\.\d|status=deferred|warning: .*milter|fatal:|panic:/;

const count = <T>(items: readonly T[], nameOf: (item: T) => string): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const item of items) counts[nameOf(item)] = (counts[nameOf(item)] ?? 0) + 1;
  return counts;
};

export const prove = async ({ driver, messages, say = () => {} }: ProofOptions): Promise<Proof> => {
  const host = await startMailHost({ driver, domain });
  const { agent, postfix, sink, arrivals, signer } = host;
  const zone = createZone();
  const problems: string[] = [];
  try {
    const set = (of: string, selector: string) => keySet(of, selector, signer.keyTypes);
    const [first, second, third] = [set(domain, '240128'), set(domain, '240428'), set(domain, '240728')];
    await rotate(agent, zone, set(quiet, '240101'));
    await rotate(agent, zone, first);

    const before = postfix.log().length;
    const began = Date.now();
    const load = startLoad({ postfix, least: messages, domainOf });
    await load.reached(messages / 3);
    say(`${driver}: rotates in the midst of it, ${load.sent.size} messages handed in`);
    const one = await rotate(agent, zone, second, first);
    await load.reached((messages * 2) / 3);
    say(`${driver}: and again, ${load.sent.size} messages handed in`);
    const two = await rotate(agent, zone, third, second);
    await load.reached(load.sent.size + afterwards);
    await load.end();
    await sink.received(load.sent.size, 120_000);
    await postfix.drained(60_000);
    const took = Date.now() - began;

    const seen = new Map<number, number>();
    const judged: Judged[] = [];
    const late: Judged[] = [];
    const early: Judged[] = [];
    const perSelector: string[] = [];
    const { queueLifetime } = two;
    for (const [i, message] of sink.messages.entries()) {
      const n = numberOf(message.raw);
      const sent = n === undefined ? undefined : load.sent.get(n);
      if (n === undefined || sent === undefined) {
        problems.push(
          `a message that nobody sent: ${Buffer.from(message.raw).toString('latin1').slice(0, 300)}`,
        );
        continue;
      }
      seen.set(n, (seen.get(n) ?? 0) + 1);
      const of = domainOf(n);
      const what = `message ${n} (${sent.kind})`;
      const arrived = arrivals[i] ?? 0;
      const judging: Judged = {
        raw: message.raw,
        what,
        domain: of,
        at: [arrived, arrived + queueLifetime],
        signatures: signer.keyTypes.length,
      };
      judged.push(judging);
      const selectors = selectorsOf(message, of);
      const [selector = 'none'] = selectors;
      perSelector.push(`${selector} ${of}`);
      // Which key may have signed, by what the host was told and what it confirmed.
      if (of === domain) {
        const bounds = {
          '240128': [0, one.confirmed],
          '240428': [one.told, two.confirmed],
          '240728': [two.told, Infinity],
        };
        const [from = 0, until = 0] = Object.entries(bounds).find(([name]) => name === selector)?.[1] ?? [];
        if (arrived < from || sent.begun > until)
          problems.push(`${what} is signed with ${selector}, which did not sign then`);
        if (sent.begun > two.confirmed) late.push({ ...judging, at: [two.confirmed] });
        else if (selector !== '240728') early.push({ ...judging, at: [0] });
      }
    }
    for (const n of load.sent.keys()) {
      const times = seen.get(n) ?? 0;
      if (times !== 1) problems.push(`message ${n} (${load.sent.get(n)?.kind}) arrived ${times} times`);
    }
    for (const line of postfix.log().slice(before).split('\n'))
      if (trouble.test(line)) problems.push(`Postfix: ${line}`);
    for (const line of agent.said().split('\n'))
      if (/cannot sign/.test(line)) problems.push(`agent: ${line}`);

    const verdicts = await judge(judged, zone.at, (line) => say(`${driver}: ${line}`));
    // Nothing but the newest records: what the world sees when the old ones are gone.
    const newestOnly = createZone();
    newestOnly.publish(third, 0);
    const newest = await judge(late, newestOnly.at);
    const older = await judge(early.slice(0, 50), newestOnly.at);
    const passed = Object.values(older.verified).reduce((sum, n) => sum + n, 0);
    if (passed > 0) problems.push(`${passed} messages verify without the record of their key`);
    return {
      submitted: load.sent.size,
      stored: sink.messages.length,
      selectors: count(perSelector, (one) => one),
      kinds: count(judged, ({ what }) => /\((.*)\)/.exec(what)?.[1] ?? ''),
      verified: verdicts.verified,
      newest: Math.min(...Object.values(newest.verified)),
      older: Math.min(50, early.length),
      rate: Math.round((load.sent.size * 1_000) / took),
      switched: [one, two].map(({ told, confirmed }) => confirmed - told),
      problems: [...problems, ...verdicts.problems, ...newest.problems],
    };
  } finally {
    await host.end();
  }
};
