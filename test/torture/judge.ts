// Verifies each signed message with mailauth against the embedded name server: at once, and again when the time that
// invariant 1 gives it is nearly over (or at the end of the run, where that comes first). Keeps what it has yet to see.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Verdict, verifyMessage } from '../../cli/verify-message.ts';
import type { MovedClock } from './clock.ts';
import type { TorturedDomain } from './fleet.ts';
import type { Tally } from './tally.ts';

export interface SignedMessage {
  readonly n: number;
  readonly domain: TorturedDomain;
  /** When it was signed, by the process's clock. */
  readonly at: number;
  /** How far that clock was from the machine's. */
  readonly offset: number;
  readonly raw: Uint8Array;
}

export interface Judge {
  take(message: SignedMessage): void;
  /** Verifies all that is left, whose time is not over, for the last time; a name server must be there. */
  close(): Promise<void>;
}

/** Verified again this long before its time is over, so that a restart in between is no excuse. */
const before = 15_000;
/** While the process is down, its name server is asked again so often. */
const again = 100;
/** Milliseconds of no answer at the end, after which the last verdict counts as missing. */
const lastPatience = 20_000;
const tick = 20;
const workers = 12;

interface Kept {
  readonly message: SignedMessage;
  readonly look: 'at once' | 'again';
  /** By the process's clock. */
  readonly due: number;
}

export const startJudge = (options: {
  readonly dnsPort: () => number;
  readonly clock: MovedClock;
  readonly tally: Tally;
  /** Where messages that fail are kept. */
  readonly evidence: string;
  /** Whether the key was declared compromised: invariant 1 protects its mail no more. Undefined: not to be known at present. */
  readonly isCompromised: (domain: string, selector: string) => Promise<boolean | undefined>;
}): Judge => {
  const { dnsPort, clock, tally, evidence, isCompromised } = options;
  const ready: Kept[] = [];
  let kept: Kept[] = [];
  let closing = false;

  const accuse = ({ message, look }: Kept, verdict: Verdict): void => {
    const { n, domain, at, raw } = message;
    const file = join(evidence, `message-${n}.eml`);
    writeFileSync(file, raw);
    tally.violation(
      `invariant 1: message ${n} of ${domain.domain}, signed at ${new Date(at).toISOString()} with ${verdict.selector}, gives ${verdict.result} at ${new Date(clock.now()).toISOString()} (verified ${look}): ${file}`,
    );
  };

  /** True where it is seen to; false where nobody answered. */
  const look = async (each: Kept): Promise<boolean> => {
    const { message } = each;
    const started = clock.now();
    if (started > message.at + message.domain.window) {
      tally.count(
        message.offset === clock.offset()
          ? `not verified ${each.look} in time`
          : `time over by a moved clock (${each.look})`,
      );
      return true;
    }
    const found = await verifyMessage(message.raw, dnsPort());
    if (found.length === 0 || found.some(({ result }) => result === 'temperror')) return false;
    let excused = false;
    for (const verdict of found) {
      if (verdict.result === 'pass') continue;
      const compromised = await isCompromised(message.domain.domain, verdict.selector);
      if (compromised === undefined) return false;
      if (compromised) excused = true;
      else if (clock.now() <= message.at + message.domain.window) accuse(each, verdict);
    }
    tally.count(excused ? `compromised, ${each.look}` : `verified ${each.look}`);
    return true;
  };

  const seen = ({ message, look: which }: Kept): void => {
    if (which === 'at once')
      kept.push({ message, look: 'again', due: message.at + message.domain.window - before });
  };

  /** Each waits by itself: a question that was with the process when it died is answered after seconds only. */
  const worker = async (): Promise<void> => {
    while (!closing) {
      const each = ready.shift();
      if (each === undefined) await sleep(tick);
      else if (await look(each)) seen(each);
      else {
        await sleep(again);
        ready.push(each);
      }
    }
  };
  const ticker = async (): Promise<void> => {
    while (!closing) {
      const at = clock.now();
      ready.push(...kept.filter(({ due }) => due <= at));
      kept = kept.filter(({ due }) => due > at);
      await sleep(tick);
    }
  };
  const running = Promise.all([ticker(), ...Array.from({ length: workers }, worker)]);

  /** All that is left, at once. */
  const finish = async (): Promise<void> => {
    const end = performance.now() + lastPatience;
    const last = async (): Promise<void> => {
      for (let each = left.shift(); each !== undefined; each = left.shift())
        if (await look(each)) {
          if (each.look === 'at once') left.push({ ...each, look: 'again' });
        } else if (performance.now() < end) {
          left.push(each);
          await sleep(again);
        } else
          tally.violation(
            `message ${each.message.n} of ${each.message.domain.domain} could not be verified at the end: the name server does not answer`,
          );
    };
    const left = [...ready, ...kept];
    await Promise.all(Array.from({ length: workers }, last));
  };

  return {
    take: (message) => void ready.push({ message, look: 'at once', due: message.at }),
    async close() {
      closing = true;
      await running;
      await finish();
    },
  };
};
