// What happens to the process besides being killed: a full disk, a damaged ledger, a clock that moves. Each begins and ends
// with the process up, and says what it found wrong.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Chance } from './chance.ts';
import { hasty } from './fleet.ts';
import { callApi } from './orders.ts';
import type { Stage } from './stage.ts';
import type { Tally } from './tally.ts';

export interface Fault {
  readonly stage: Stage;
  readonly tally: Tally;
  /** A folder of the run's own, for copies. */
  readonly base: string;
  /** Rotations done so far, of all domains. */
  readonly done: () => number;
  readonly chance: Chance;
}

const hours = (n: number): number => n * 3_600_000;
/** Milliseconds in which a rotation is done where nothing stands in its way, with much room for a busy machine. */
const bound = 30_000;

const signed = ({ tally }: Fault): number => tally.counts.get('signed') ?? 0;

/** Rotations go on: invariant 8. */
const goesOn = async (fault: Fault, when: string): Promise<void> => {
  const { stage, tally, done } = fault;
  const before = done();
  // The first may have been done before, and only noted now.
  if (await stage.life().until(() => done() > before + 1, bound)) return;
  tally.violation(
    `invariant 8: no rotation was done in ${bound / 1_000} s ${when}: ${stage.life().output().trim().split('\n').slice(-3).join(' | ')}`,
  );
};

/** Mail is signed all the same: a host needs no control plane to sign. */
const signsOn = async (fault: Fault, when: string, patience = 5_000): Promise<void> => {
  const { stage, tally } = fault;
  const before = signed(fault);
  if (await stage.life().until(() => signed(fault) > before + 5, patience)) return;
  tally.violation(`invariant 3: no mail was signed ${when}`);
};

const copy = (from: string, to: string): void => {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, {
    recursive: true,
    preserveTimestamps: true,
    // A socket of the killed process: the next one makes its own.
    filter: (path) => !statSync(path).isSocket(),
  });
};

/** Writes until nothing goes any more. */
const fill = (file: string): void => {
  for (const size of [65_536, 4_096, 512])
    try {
      for (;;) writeFileSync(file, Buffer.alloc(size), { flag: 'a' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
};

/** A little room, another each time: now the vault's write fails, now the host's, the zone's or the ledger's. */
const nearlyFull = async (fault: Fault, filler: string): Promise<void> => {
  const { stage, tally, chance } = fault;
  for (let n = 0; n < 10; n += 1) {
    fill(filler);
    truncateSync(filler, Math.max(0, statSync(filler).size - chance.between(0, 60) * 4_096));
    await stage.life().until(() => false, chance.between(200, 1_200));
    await signsOn(fault, 'while the disk was nearly full');
    const dies = chance.often(0.5);
    if (dies) await stage.kill();
    rmSync(filler);
    if (dies && !(await stage.startUp())) return;
    await stage.life().until(() => false, chance.between(0, 800));
    tally.count('times nearly full');
  }
};

/** Filled to the last byte while the process runs, and still so when it starts again. */
const quiteFull = async (fault: Fault, filler: string): Promise<boolean> => {
  const { stage, tally } = fault;
  fill(filler);
  await stage.life().until(() => false, 2_000);
  await signsOn(fault, 'while the disk was full');
  fill(filler);
  await stage.kill();
  stage.start();
  const came = await stage.life().until(stage.life().isUp, 15_000);
  if (came) await signsOn(fault, 'after a start with a full disk');
  else if (!/^selkie: .*(full: make room|is its disk full|no space left)/m.test(stage.life().output()))
    tally.violation(`with a full disk selkie up says only: ${stage.life().output().trim()}`);
  rmSync(filler);
  return came || (await stage.startUp());
};

/** The state folder on a small tmpfs, which fills up. */
export const fullDisk = async (fault: Fault): Promise<string> => {
  const { stage, base } = fault;
  if (process.getuid?.() !== 0) return 'left out: mounting a tmpfs needs root';
  const home = stage.dir();
  const small = join(base, 'small');
  mkdirSync(small, { mode: 0o700 });
  await stage.kill();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=0700', 'tmpfs', small]);
  try {
    const state = join(small, 'state');
    const filler = join(small, 'filler');
    copy(home, state);
    stage.moveTo(state);
    if ((await stage.startUp()) && (await quiteFull(fault, filler))) {
      await goesOn(fault, 'after the disk had room again');
      await nearlyFull(fault, filler);
      await goesOn(fault, 'after the disk had been nearly full');
    }
    await stage.life().kill();
    copy(state, home);
  } finally {
    await stage.life().kill();
    stage.moveTo(home);
    execFileSync('umount', [small]);
  }
  await stage.startUp();
  return 'a tmpfs of 24 MB, filled';
};

/** Ways in which a ledger is lost, and what is done to its file. */
const damages: Readonly<Record<string, (file: string) => void>> = {
  'cut in half': (file) => truncateSync(file, Math.floor(statSync(file).size / 2)),
  'cut to nothing': (file) => truncateSync(file, 0),
  gone: (file) => rmSync(file),
};

/** A ledger that lost something is refused, with a sentence that says what to do; a copy taken before goes on. */
export const damagedLedger = async (fault: Fault): Promise<string> => {
  const { stage, tally, base } = fault;
  const saved = join(base, 'saved');
  await stage.kill();
  // Everything into the file itself: what a log beside it still held would not be lost with the file's end.
  const db = new DatabaseSync(join(stage.dir(), 'ledger.sqlite'));
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  db.close();
  copy(stage.dir(), saved);
  for (const [damage, apply] of Object.entries(damages)) {
    apply(join(stage.dir(), 'ledger.sqlite'));
    stage.start();
    const life = stage.life();
    const started = await life.until(life.isUp, 20_000);
    if (started) await life.until(() => false, 1_500);
    const said = life.output();
    if (started || life.ended() === undefined)
      tally.violation(`selkie up started on a ledger that was ${damage}: ${said.trim().slice(-400)}`);
    else if (!/^selkie: .*ledger\.sqlite.*(restore|backup)/m.test(said))
      tally.violation(`on a ledger that was ${damage}, selkie up does not say what to do: ${said.trim()}`);
    await life.kill();
    copy(saved, stage.dir());
  }
  if (await stage.startUp()) await goesOn(fault, 'after the ledger was restored');
  return Object.keys(damages).join(', ');
};

/** Late, not wrong: invariant 10. */
export const movedClocks = async (fault: Fault): Promise<string> => {
  const { stage, tally } = fault;
  const { clock } = stage;
  await stage.kill();
  clock.set(-hours(2));
  if (await stage.startUp()) {
    await signsOn(fault, 'with the clock two hours back');
    const steps = stage.life().steps();
    const { status, body } = await callApi(stage.dir(), `/v1/domains/${hasty.domain}`);
    if (status !== 503 || !/clock/.test(JSON.stringify(body)))
      tally.violation(
        `invariant 10: with the clock two hours back the API answers ${status}: ${JSON.stringify(body)}`,
      );
    await sleep(1_000);
    if (stage.life().steps() > steps)
      tally.violation('invariant 10: the engine went on with a clock two hours behind the ledger');
    clock.set(0);
    await goesOn(fault, 'after the clock was right again');
  }
  clock.set(hours(5));
  await goesOn(fault, 'after the clock went five hours forward');
  await stage.kill();
  // The ledger's time stands still until the clock has caught up: the bound allows for that.
  clock.set(hours(5) - 10_000);
  if (await stage.startUp()) await goesOn(fault, 'with the clock ten seconds back, over a restart');
  return '2 h back, right again, 5 h forward, 10 s back';
};
