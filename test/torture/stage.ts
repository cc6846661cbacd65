// Where the tortured process stands: its state folder, its clock, its ports, and the life that it is in. What is done to it
// goes through here, so that a death that nobody caused is seen.
import type { MovedClock } from './clock.ts';
import { begin, choosePorts, type Life, type Ports } from './life.ts';
import type { Tally } from './tally.ts';

/** Milliseconds until `up` says that it is up; a start takes one or two seconds of a free core. */
const startPatience = 30_000;

/** Milliseconds: it lets messages in hand be finished for 10 s. */
const stopPatience = 15_000;

/** Another program may be given the port while the process is down. */
const isPortTaken = (life: Life): boolean => /is in use|uses that port/.test(life.output());

export interface Stage {
  readonly clock: MovedClock;
  dir(): string;
  ports(): Ports;
  life(): Life;
  /** Begins a new life; does not wait for anything. */
  start(): void;
  /** As `start`, until it is up. Whether it came up; where not, that is a violation. */
  startUp(): Promise<boolean>;
  /** SIGKILL; a process that had ended by itself is a violation. */
  kill(): Promise<void>;
  /** SIGTERM, as a service manager sends it: it must end by itself, and say that nothing went wrong. */
  stop(): Promise<void>;
  /** The next life is in another folder. */
  moveTo(dir: string): void;
}

export const setStage = async (options: {
  readonly dir: string;
  readonly fleet: string;
  readonly log: string;
  readonly clock: MovedClock;
  readonly tally: Tally;
}): Promise<Stage> => {
  const { fleet, log, clock, tally } = options;
  let { dir } = options;
  let ports = await choosePorts();
  const start = (): Life => begin({ dir, fleet, ports, clockFile: clock.file, log });
  let life = start();

  const restart = async (): Promise<void> => {
    if (isPortTaken(life)) ports = await choosePorts();
    life = start();
  };

  const kill = async (): Promise<void> => {
    if (await life.kill()) tally.count('kills');
    else if (isPortTaken(life)) ports = await choosePorts();
    else
      tally.violation(
        `selkie up ended by itself (${JSON.stringify(life.ended())}): ${life.output().trim().slice(-400)} (${log})`,
      );
  };

  return {
    clock,
    dir: () => dir,
    ports: () => ports,
    life: () => life,
    start: () => {
      life = start();
    },
    async startUp() {
      for (let left = 3; ; left -= 1) {
        await restart();
        if (await life.until(life.isUp, startPatience)) return true;
        if (left > 1 && isPortTaken(life)) continue;
        tally.violation(`selkie up did not come up: ${life.output().trim() || 'it said nothing'} (${log})`);
        return false;
      }
    },
    kill,
    async stop() {
      if (!life.isUp()) return kill();
      tally.count('stops');
      if (!(await life.stop(stopPatience)))
        tally.violation(`selkie up did not end within ${stopPatience / 1_000} s of SIGTERM (${log})`);
      else if (life.ended()?.code !== 0)
        tally.violation(`SIGTERM ended selkie up with ${JSON.stringify(life.ended())} (${log})`);
      await life.kill();
    },
    moveTo(next) {
      dir = next;
    },
  };
};
