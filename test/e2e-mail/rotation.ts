// A domain's keys as the control plane turns them: record first, standby on the host, then the switch, then the drain.
import type { KeyChange } from '../../contract/manifest.ts';
import type { KeyType } from '../../core/algorithm.ts';
import { type Duration, days } from '../../core/time.ts';
import { makeKey, turned } from '../tools/sealed.ts';
import type { AgentProcess } from './agent-process.ts';
import type { TestZone } from './zone.ts';

type TestKey = ReturnType<typeof makeKey>;

/** One key of each type. */
export const keySet = (domain: string, selector: string, types: readonly KeyType[]): readonly TestKey[] =>
  types.map((type) =>
    type === 'rsa' ? makeKey(domain, selector, 'standby', 'rsa2048') : makeKey(domain, `${selector}e`),
  );

const as = (keys: readonly KeyChange[], duty: KeyChange['duty']): readonly KeyChange[] =>
  keys.map((key) => turned(key, duty));

export interface Turned {
  /** From here on it may sign: the host was told. Milliseconds since 1970. */
  readonly told: number;
  /** The host confirmed that the successor signs, and the predecessor does not. */
  readonly confirmed: number;
  /** How long the host's queues hold mail, as it says. */
  readonly queueLifetime: Duration;
}

/** The first keys of a domain, or its next ones in place of `before`. */
export const rotate = async (
  agent: AgentProcess,
  zone: TestZone,
  next: readonly TestKey[],
  before: readonly TestKey[] = [],
): Promise<Turned> => {
  zone.publish(next, Date.now());
  await agent.settle(next);
  const told = Date.now();
  const ack = await agent.settle([...as(next, 'signing'), ...as(before, 'standby')]);
  const confirmed = Date.now();
  const { queueLifetime = days(5) } = ack;
  zone.drain(before, confirmed, queueLifetime);
  // Long before its record goes: a signer that still needed the key would show it.
  if (before.length > 0) await agent.settle(as(before, 'none'));
  return { told, confirmed, queueLifetime };
};
