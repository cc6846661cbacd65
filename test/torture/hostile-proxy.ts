// An HTTP proxy in front of an AWS account that does, seeded and in bursts, what networks and services do to their clients:
// connections reset before or after the effect, answers late, twice, cut short or thrown away, 500s and 503s, throttles
// in each service's own words, an index that is behind, ids that are forgotten; and workers that die between two requests.
// Listens on loopback; talks to the account only.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Instant } from '../../core/time.ts';
import type { Random } from '../simulation/random.ts';
import {
  type Answer,
  type Asked,
  failureOf,
  jsonOf,
  recognise,
  type Service,
  throttleOf,
} from './aws-request.ts';
import { changeIdOf, type StrictAccount } from './strict-account.ts';
import { weighted } from './weighted.ts';

export interface HostileProxyOptions {
  readonly account: StrictAccount;
  readonly random: Random;
  /** What the Date of every answer says, to the second, a second early or late. */
  readonly now: () => Instant;
  /** One line for each fault. */
  readonly log: (line: string) => void;
}

/** A way into the account for one worker: its own port, so that the worker can die alone. */
export interface Gate {
  readonly url: string;
  hostile: boolean;
  /** Resolves when the worker behind it has died: from then on nothing comes through. */
  readonly died: Promise<void>;
  readonly dead: boolean;
  close(): void;
}

export interface HostileProxy {
  /** Without faults until its `hostile` is set. @param mortal whether the worker may be made to die */
  open(mortal: boolean): Promise<Gate>;
  /** No faults from now on. */
  calm(): void;
  /** `requests`, and each kind of fault with how often. */
  readonly figures: ReadonlyMap<string, number>;
  /** Requests that hostile gates took, by service. */
  readonly services: ReadonlyMap<Service, number>;
  close(): void;
}

type Fault =
  | 'reset before the effect'
  | 'reset after the effect'
  | 'delay'
  | 'duplicate'
  | '500 before the effect'
  | '500 after the effect'
  | '503'
  | 'throttle'
  | 'cut off'
  | 'malformed'
  | 'stale index'
  | 'forgotten token'
  | 'forgotten change'
  | 'death';

/** Weights. The rare ones are those that a worker cannot see coming and must look after. */
const faults: readonly (readonly [Fault, number])[] = [
  ['reset before the effect', 14],
  ['reset after the effect', 16],
  ['delay', 10],
  ['duplicate', 14],
  ['500 before the effect', 7],
  ['500 after the effect', 9],
  ['503', 6],
  ['throttle', 14],
  ['cut off', 6],
  ['malformed', 6],
  ['stale index', 6],
  ['forgotten token', 16],
  ['forgotten change', 12],
  ['death', 4],
];

/** How many of a hundred requests meet a fault; of those whose effect matters most, more even when it is calm. */
const odds = { calm: 3, effects: 15, burst: 60 } as const;

const effects = new Set([
  'ChangeResourceRecordSets',
  'GetChange',
  'CreateSecret',
  'DeleteSecret',
  'Sign',
  'SendMessageBatch',
  'TransactWriteItems',
]);

/** Whether it storms, and over whom: bursts of faults are what defeats the SDK's own retries. */
const createWeather = (random: Random) => {
  let left = 40;
  let storm: Service | 'all' | undefined;
  return ({ service, operation }: Asked): boolean => {
    left -= 1;
    if (left <= 0) {
      storm =
        storm === undefined
          ? random.pick(['all', 'all', 'dynamodb', 'dynamodb', 'route53', 'secretsmanager', 'kms', 'sqs'])
          : undefined;
      left = storm === undefined ? random.int(20, 150) : random.int(10, 50);
    }
    const calm = effects.has(operation) ? odds.effects : odds.calm;
    const share = storm === 'all' || storm === service ? odds.burst : calm;
    return random.chance(share / 100);
  };
};

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
};

const resetOf = (response: ServerResponse): void => void response.socket?.resetAndDestroy();

export const createHostileProxy = ({ account, random, now, log }: HostileProxyOptions): HostileProxy => {
  const figures = new Map<string, number>();
  const services = new Map<Service, number>();
  const count = <K>(map: Map<K, number>, what: K): void => void map.set(what, (map.get(what) ?? 0) + 1);
  const gates = new Set<Gate>();
  const weather = createWeather(random);
  /** Of each partition of the due index, what it last answered. */
  const lastDue = new Map<string, Answer>();
  let atWork = true;

  const chooseFault = (asked: Asked, mortal: boolean): Fault | undefined => {
    if (!atWork || !weather(asked)) return undefined;
    const applies = (fault: Fault): boolean => {
      switch (fault) {
        case 'stale index':
          return isDue(asked);
        case 'forgotten token':
          return asked.operation === 'TransactWriteItems';
        case 'forgotten change':
          return asked.operation === 'ChangeResourceRecordSets';
        case 'death':
          return mortal;
        default:
          return true;
      }
    };
    return weighted(
      random,
      faults.filter(([fault]) => applies(fault)),
    );
  };

  const write = (response: ServerResponse, { status, headers, body }: Answer): void => {
    const date = new Date(now() + random.int(-1_000, 1_000)).toUTCString();
    response.writeHead(status, { ...headers, date, 'content-length': String(body.length) }).end(body);
  };

  /** The status and the length of the whole, then half of it. */
  const cutOff = (response: ServerResponse, { status, headers, body }: Answer): void => {
    response.writeHead(status, {
      ...headers,
      date: new Date(now()).toUTCString(),
      'content-length': String(body.length),
    });
    response.write(body.subarray(0, body.length >> 1), () => resetOf(response));
  };

  const serve = async (
    asked: Asked,
    response: ServerResponse,
    fault: Fault | undefined,
    kill: () => void,
  ) => {
    switch (fault) {
      case 'reset before the effect':
        return resetOf(response);
      case 'reset after the effect':
        await account.perform(asked);
        return resetOf(response);
      case 'delay':
        await sleep(random.int(50, 600));
        return write(response, await account.perform(asked));
      case 'duplicate': {
        const answers = await account.performTwice(asked);
        return write(response, answers[random.int(0, 1)] ?? answers[0]);
      }
      case '500 before the effect':
        return write(response, failureOf(asked, 500));
      case '500 after the effect':
        await account.perform(asked);
        return write(response, failureOf(asked, 500));
      case '503':
        return write(response, failureOf(asked, 503));
      case 'throttle':
        return write(response, throttleOf(asked, random.next()));
      case 'cut off':
        return cutOff(response, await account.perform(asked));
      case 'malformed': {
        const answer = await account.perform(asked);
        return write(response, { ...answer, body: answer.body.subarray(0, answer.body.length >> 1) });
      }
      case 'stale index':
        return write(response, lastDue.get(dueKey(asked)) ?? (await account.perform(asked)));
      case 'forgotten token':
        // Its answer is lost, and when it comes again it is no longer known: as after ten minutes.
        await account.perform(asked);
        account.forgetToken(asked);
        return resetOf(response);
      case 'forgotten change': {
        const answer = await account.perform(asked);
        const id = changeIdOf(answer);
        if (id !== undefined) account.forgetChange(id);
        return write(response, answer);
      }
      case 'death':
        if (random.chance(0.5)) await account.perform(asked);
        kill();
        return resetOf(response);
      case undefined: {
        const answer = await account.perform(asked);
        if (isDue(asked)) lastDue.set(dueKey(asked), answer);
        return write(response, answer);
      }
    }
  };

  const open: HostileProxy['open'] = async (mortal) => {
    let dead = false;
    let announce = (): void => {};
    const died = new Promise<void>((resolve) => {
      announce = resolve;
    });
    const kill = (): void => {
      dead = true;
      announce();
    };
    const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const asked = recognise(request, await bodyOf(request));
      if (dead) return resetOf(response);
      if (asked === undefined) return void response.writeHead(404).end();
      if (gate.hostile) {
        count(figures, 'requests');
        count(services, asked.service);
      }
      const fault = gate.hostile ? chooseFault(asked, mortal) : undefined;
      if (fault !== undefined) {
        count(figures, fault);
        log(`${fault}: ${asked.service} ${asked.operation}`);
      }
      await serve(asked, response, fault, kill);
    };
    const server: Server = createServer((request, response) => {
      handle(request, response).catch((error: unknown) => {
        log(`the proxy itself failed: ${String(error)}`);
        resetOf(response);
      });
    });
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const gate: Gate = {
      url: `http://127.0.0.1:${port}`,
      hostile: false,
      died,
      get dead() {
        return dead;
      },
      close: () => {
        dead = true;
        gates.delete(gate);
        server.close();
        server.closeAllConnections();
      },
    };
    gates.add(gate);
    return gate;
  };

  return {
    open,
    calm: () => {
      atWork = false;
    },
    figures,
    services,
    close: () => {
      for (const gate of [...gates]) gate.close();
    },
  };
};

const isDue = ({ operation, body }: Asked): boolean =>
  operation === 'Query' && jsonOf(body).IndexName !== undefined;

/** The partition asked for, whatever time is now. */
const dueKey = ({ body }: Asked): string => {
  const values = jsonOf(body).ExpressionAttributeValues as { readonly ':shard'?: { readonly S?: string } };
  return values[':shard']?.S ?? '';
};
