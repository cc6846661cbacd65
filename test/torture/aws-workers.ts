// Workers wired as the functions are (functions/wire.ts), each behind a gate of its own in the hostile proxy. One that died is
// wired anew, as at a cold start. Sets the process's environment, as Lambda does.
import { type Instant, instant } from '../../core/time.ts';
import type { Happening } from '../../engine/ports.ts';
import type { World } from '../../engine/world.ts';
import { wire } from '../../functions/wire.ts';
import { motoEnv } from '../tools/moto.ts';
import type { Gate, HostileProxy } from './hostile-proxy.ts';

/** Does work in a world; a world whose worker has died is made anew. */
export interface Worker {
  /** @throws whatever the work throws; or "the worker died" */
  use<T>(work: (world: World) => Promise<T>): Promise<T>;
}

export interface WorkersOptions {
  readonly proxy: HostileProxy;
  readonly queueUrl: string;
  readonly now: () => Instant;
  readonly report: (happening: Happening) => void;
}

export interface Workers {
  /** @param skew of its clock, in milliseconds */
  make(skew: number): Worker;
  hostile(on: boolean): void;
  /** How often one was wired. */
  readonly births: number;
}

interface Life {
  readonly world: World;
  readonly gate: Gate;
}

/** The clients' endpoint is read from the environment at their first request: each service is asked once, in turn. */
const warm = async (world: World): Promise<void> => {
  const [zone] = world.fleet.zones.values();
  if (zone === undefined) throw new Error('the fleet has no zone');
  await world.ledger.head();
  await world.vault.destroy(`${process.env.SELKIE_SECRET_PREFIX}/nobody.example/none#${'0'.repeat(32)}`);
  await world.seals.bundleKeys();
  await world.writer.status(zone, 'C0');
  await world.queue.send([{ kind: 'fleet' }]);
};

export const createWorkers = ({ proxy, queueUrl, now, report }: WorkersOptions): Workers => {
  let births = 0;
  let hostile = false;
  const gates = new Set<Gate>();
  let lastBirth: Promise<unknown> = Promise.resolve();

  const bear = async (skew: number): Promise<Life> => {
    const gate = await proxy.open(true);
    Object.assign(process.env, motoEnv(gate.url), {
      // Where no endpoint is given in code, the SDK sends to the queue's own URL.
      SELKIE_QUEUE_URL: `${gate.url}${new URL(queueUrl).pathname}`,
    });
    const world: World = {
      ...wire(process.env),
      clock: { now: () => instant(now() + skew) },
      reporter: { report },
    };
    await warm(world);
    gate.hostile = hostile;
    gates.add(gate);
    births += 1;
    return { world, gate };
  };

  /** One after the other: they share the environment. */
  const bearInTurn = (skew: number): Promise<Life> => {
    const born = lastBirth.then(() => bear(skew));
    lastBirth = born.catch(() => {});
    return born;
  };

  const make = (skew: number): Worker => {
    let life: Promise<Life> | undefined;
    const living = async (): Promise<Life> => {
      const asked = life;
      const present = await asked;
      if (present !== undefined && !present.gate.dead) return present;
      // Whoever comes first makes the next; the others wait for it.
      if (life === asked) {
        if (present !== undefined) {
          gates.delete(present.gate);
          present.gate.close();
        }
        life = bearInTurn(skew);
      }
      return living();
    };
    return {
      use: async (work) => {
        const { world, gate } = await living();
        const working = work(world);
        // What a dead worker had begun goes on failing by itself: nobody listens.
        working.catch(() => {});
        const dying = gate.died.then((): never => {
          throw new Error('the worker died');
        });
        dying.catch(() => {});
        return Promise.race([working, dying]);
      },
    };
  };

  return {
    make,
    hostile: (on) => {
      hostile = on;
      for (const gate of gates) gate.hostile = on;
    },
    get births() {
      return births;
    },
  };
};
