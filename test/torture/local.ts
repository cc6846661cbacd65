// The local half of the torture: the real process (`selkie up`) is killed at any moment, again and again, its disk fills,
// its ledger is damaged and its clock moves, while rotations are asked for and mail flows. At the end it is left alone,
// and then every message must verify that invariant 1 protects, and ledger, vault, zone and host must agree.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { audit, isCompromised } from './audit.ts';
import { type Chance, chanceOf } from './chance.ts';
import { movedClock } from './clock.ts';
import { damagedLedger, type Fault, fullDisk, movedClocks } from './faults.ts';
import { firstStarts } from './first-starts.ts';
import { domains, fleetYaml } from './fleet.ts';
import { startJudge } from './judge.ts';
import { startMail } from './mail.ts';
import { startOperator } from './orders.ts';
import type { Outcome, TortureOptions } from './outcome.ts';
import { looksLikeKeys, vaultKeysIn } from './secrets.ts';
import { settle } from './settle.ts';
import { type Stage, setStage } from './stage.ts';
import { newTally, type Tally } from './tally.ts';

const faults = {
  'disk full': fullDisk,
  'ledger damaged': damagedLedger,
  'clock moved': movedClocks,
} as const;
export type FaultName = keyof typeof faults;

export interface LocalOptions extends TortureOptions {
  /** All, unless told otherwise. */
  readonly faults?: readonly FaultName[];
  /** Looks into the folder while the process is still up, before it is removed. */
  readonly lastLook?: (dir: string, dnsPort: number) => Promise<void>;
}

/** While it starts, right behind one of the engine's steps, or at any time. */
const momentOfDeath = async (stage: Stage, chance: Chance, tally: Tally): Promise<void> => {
  const life = stage.life();
  if (chance.often(0.2)) {
    await life.until(() => false, chance.between(0, 1_500));
    return;
  }
  await life.until(life.isUp, 20_000);
  if (chance.often(0.08)) {
    const from = life.steps() + chance.between(1, 20);
    await life.until(() => life.steps() >= from, 4_000);
    await life.freeze(chance.between(50, 2_500));
    tally.count('freezes');
  }
  if (chance.often(0.75)) {
    const from = life.steps() + chance.between(1, 40);
    await life.until(() => life.steps() >= from, 4_000);
    await life.until(() => false, chance.between(0, 25));
    return;
  }
  await life.until(() => false, chance.between(0, 2_500));
};

const figuresOf = (tally: Tally, more: Readonly<Record<string, number | string>>) => {
  const names = [
    'kills',
    'answered',
    'signed',
    'unsigned',
    'put off',
    'not taken',
    'before the first key',
    'verified at once',
    'verified again',
    'compromised, at once',
    'compromised, again',
    'not verified at once in time',
    'not verified again in time',
    'rotation asked',
    'emergency asked',
    'rollback asked',
    'abort asked',
    'orders refused',
    'answers lost',
  ];
  const rest = [...tally.counts.keys()].filter((name) => !names.includes(name)).toSorted();
  return {
    ...Object.fromEntries([...names, ...rest].map((name) => [name, tally.counts.get(name) ?? 0])),
    ...more,
  };
};

export const tortureLocal = async (options: LocalOptions): Promise<Outcome> => {
  const { kills, seed, forMinutes, progress } = options;
  const started = performance.now();
  const base = mkdtempSync(join(tmpdir(), 'selkie-torture-'));
  const [dir, fleet, log, evidence] = ['state', 'fleet.yaml', 'output.log', 'evidence'].map((name) =>
    join(base, name),
  ) as [string, string, string, string];
  mkdirSync(evidence);
  writeFileSync(fleet, fleetYaml);
  writeFileSync(log, '');
  const chance = chanceOf(seed);
  const tally = newTally();
  const clock = movedClock(join(base, 'clock'));
  progress('first starts');
  const folders = Math.ceil(kills / 25);
  await firstStarts({ folders, base, fleet, log, clock, chance: chanceOf(seed - 1), tally });
  const stage = await setStage({ dir, fleet, log, clock, tally });
  const judge = startJudge({
    dnsPort: () => stage.ports().dns,
    clock,
    tally,
    evidence,
    isCompromised: (domain, selector) => isCompromised(stage.dir(), domain, selector),
  });
  const mail = startMail({
    milterPort: () => stage.ports().milter,
    chance: chanceOf(seed + 1),
    tally,
    judge,
    clock,
    senders: 2,
  });
  const operators = domains.map((domain, index) =>
    startOperator({ domain, dir: stage.dir, chance: chanceOf(seed + 2 + index), tally }),
  );
  const done = (): number => operators.reduce((sum, operator) => sum + operator.done(), 0);
  const fault: Fault = { stage, tally, base, done, chance };
  const said: Record<string, string> = {};

  const count = (name: string): number => tally.counts.get(name) ?? 0;
  let told = 0;
  const tell = (): void => {
    if (performance.now() - told < 5_000) return;
    told = performance.now();
    progress(
      `${count('kills')} kills, ${done()} rotations, ${count('signed')} signed, ${count('verified at once')} verified, ${count('put off')} put off, ${count('unsigned')} unsigned, ${tally.violations.length} violations`,
    );
  };

  try {
    const chosen = options.faults ?? (Object.keys(faults) as FaultName[]);
    const overAt = forMinutes === undefined ? Number.POSITIVE_INFINITY : started + forMinutes * 60_000;
    for (let lives = 0; lives < kills && performance.now() < overAt; lives += 1) {
      // Spread over the run: after a quarter, two quarters and three quarters of the kills.
      const due = chosen.find(
        (name, index) => said[name] === undefined && lives >= (kills * (index + 1)) / (chosen.length + 1),
      );
      if (due !== undefined) {
        progress(`fault: ${due}`);
        said[due] = await faults[due](fault);
      } else await momentOfDeath(stage, chance, tally);
      if (chance.often(0.06)) await stage.stop();
      else await stage.kill();
      stage.start();
      tell();
    }
    await stage.life().kill();
    if (await stage.startUp()) {
      for (const operator of operators) await operator.stop();
      await settle(stage, tally, progress);
      await mail.stop();
      progress('settled; verifying everything for the last time');
      await judge.close();
      const finding = await audit(stage.dir(), stage.ports().dns);
      for (const each of finding.violations) tally.violation(each);
      for (const file of [log, join(stage.dir(), 'ledger.sqlite'), join(stage.dir(), 'zones.sqlite')]) {
        const text = readFileSync(file, 'latin1');
        for (const each of [...looksLikeKeys(text), ...(await vaultKeysIn(text, stage.dir()))])
          tally.violation(`invariant 9: ${each} stands in ${file}`);
      }
      await options.lastLook?.(stage.dir(), stage.ports().dns);
      const { violations: _, ...agreement } = finding;
      Object.assign(said, {
        keys: agreement.keys,
        records: agreement.records,
        secrets: agreement.secrets,
        'orphan secrets': agreement.orphans,
      });
    }
  } finally {
    await stage.life().kill();
  }
  const figures = figuresOf(tally, {
    'rotations done': done(),
    seconds: Math.round((performance.now() - started) / 1_000),
    ...said,
  });
  if (tally.violations.length === 0) rmSync(base, { recursive: true, force: true });
  return {
    name: 'local',
    figures,
    violations: tally.violations.map((each) => (each.includes(base) ? each : `${each} (all of it: ${base})`)),
  };
};
