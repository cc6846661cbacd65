// An operator without patience: asks for a rotation of a domain whenever none is under way, and now and then for an
// emergency, a rollback or an abort. An answer that is lost with the process is asked for again with the same
// Idempotency-Key. Each domain has one operator, so that whatever begins without being asked for is seen (invariant 7).
import { setTimeout as sleep } from 'node:timers/promises';
import { readApiAddress } from '../../cli/local-world.ts';
import type { DomainStatus } from '../../engine/status.ts';
import type { Chance } from './chance.ts';
import type { TorturedDomain } from './fleet.ts';
import type { Tally } from './tally.ts';

/** Between two looks at a domain, in milliseconds. */
const look = 120;
/** For one answer, in milliseconds. */
const patience = 10_000;

interface Order {
  readonly what: 'rotation' | 'emergency' | 'rollback' | 'abort';
  readonly path: string;
  readonly body: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
}

interface Answer {
  readonly status: number;
  readonly rotation?: string;
  readonly detail: string;
}

/** The API of a state folder, wherever it listens at present. @throws where nobody answers */
export const callApi = async (
  dir: string,
  path: string,
  init: RequestInit = {},
): Promise<{ readonly status: number; readonly body: unknown }> => {
  const { url, token } = readApiAddress(dir);
  const response = await fetch(`${url}${path}`, {
    ...init,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...init.headers },
    signal: AbortSignal.timeout(patience),
  });
  return { status: response.status, body: await response.json() };
};

/** Undefined where nobody answers, or the process cannot say. */
export const statusIn = async (dir: string, domain: string): Promise<DomainStatus | undefined> => {
  try {
    const { status, body } = await callApi(dir, `/v1/domains/${domain}`);
    return status === 200 ? (body as DomainStatus) : undefined;
  } catch {
    return undefined;
  }
};

export interface Operator {
  /** No new orders; ends when the last one is answered. */
  stop(): Promise<void>;
  /** Rotations that were seen to be done. */
  done(): number;
}

export const startOperator = (options: {
  readonly domain: TorturedDomain;
  readonly dir: () => string;
  readonly chance: Chance;
  readonly tally: Tally;
}): Operator => {
  const { domain, dir, chance, tally } = options;
  const { domain: name } = domain;
  const path = `/v1/domains/${name}`;
  /** Rotations that we were answered; those without kind `requested` or `emergency` are nobody's order. */
  const ours = new Set<string>();
  const done = new Set<string>();
  let stopping = false;
  let orders = 0;

  const askOnce = async (order: Order): Promise<Answer | undefined> => {
    try {
      const { status, body } = await callApi(dir(), order.path, {
        method: 'POST',
        body: JSON.stringify(order.body),
        ...(order.idempotencyKey === undefined
          ? {}
          : { headers: { 'idempotency-key': order.idempotencyKey } }),
      });
      const { rotation, detail } = body as { rotation?: { id: string }; detail?: string };
      return { status, detail: detail ?? '', ...(rotation === undefined ? {} : { rotation: rotation.id }) };
    } catch {
      return undefined;
    }
  };

  /** Until it is answered: the process may be killed in the middle any number of times. */
  const ask = async (order: Order): Promise<Answer> => {
    for (;;) {
      const answer = await askOnce(order);
      if (answer !== undefined && answer.status < 500) return answer;
      tally.count(answer === undefined ? 'answers lost' : `answers ${answer.status}`);
      await sleep(answer === undefined ? 30 : 250);
    }
  };

  const place = async (order: Order): Promise<void> => {
    tally.count(`${order.what} asked`);
    const answer = await ask(order);
    // 409: there is nothing to abort or to go back to, or something else is under way.
    if (answer.status === 409) return tally.count('orders refused');
    if (answer.status !== 202 || answer.rotation === undefined)
      return tally.violation(`${order.what} of ${name} was answered ${answer.status}: ${answer.detail}`);
    ours.add(answer.rotation);
    if (order.idempotencyKey === undefined || !chance.often(0.2)) return;
    const repeated = await ask(order);
    if (repeated.rotation !== answer.rotation)
      tally.violation(
        `invariant 7: ${order.what} of ${name} with one Idempotency-Key was answered ${answer.rotation}, then ${repeated.rotation ?? `${repeated.status} ${repeated.detail}`}`,
      );
  };

  const order = (what: Order['what'], body: Order['body'] = {}): Order => {
    orders += 1;
    const plain = { what, body: { ...body, reason: `order ${orders}` } };
    return what === 'rotation' || what === 'emergency'
      ? { ...plain, path: `${path}/rotations`, idempotencyKey: `torture-${name}-${orders}` }
      : { ...plain, path: `${path}/${what}` };
  };

  const emergency = (status: DomainStatus): Order => {
    const signing = status.keys.filter(({ state }) => state === 'active');
    return chance.often(0.5) || signing.length === 0
      ? order('emergency', { kind: 'emergency' })
      : order('emergency', { kind: 'emergency', compromised: chance.pick(signing).selector });
  };

  const next = (status: DomainStatus): Order | undefined => {
    const last = status.rotations.at(-1);
    if (last === undefined) return undefined;
    if (last.state === 'under-way' || last.state === 'switching')
      return chance.often(0.04) ? chance.pick([order('abort'), emergency(status)]) : undefined;
    if (chance.often(0.07)) return emergency(status);
    if (chance.often(0.08)) return order('rollback');
    return order('rotation');
  };

  const note = (status: DomainStatus): void => {
    for (const { id, kind, state } of status.rotations) {
      if (state === 'done') done.add(id);
      if ((kind === 'requested' || kind === 'emergency') && !ours.has(id)) {
        ours.add(id);
        tally.violation(`invariant 7: rotation ${id} of ${name} (${kind}) is nobody's order`);
      }
    }
  };

  const run = async (): Promise<void> => {
    while (!stopping) {
      const status = await statusIn(dir(), name);
      if (status !== undefined) {
        note(status);
        const wanted = next(status);
        if (wanted !== undefined) {
          await place(wanted);
          // So soon that it catches the rotation under way.
          if (wanted.what === 'rotation' && chance.often(0.08)) {
            await sleep(chance.between(0, 200));
            await place(order(chance.pick(['abort', 'rollback'])));
          }
        }
      }
      await sleep(chance.between(look / 2, look * 2));
    }
    const status = await statusIn(dir(), name);
    if (status !== undefined) note(status);
  };
  const running = run();
  return {
    async stop() {
      stopping = true;
      await running;
    },
    done: () => done.size,
  };
};
