// Which kinds of fault have met which states of a key. For the summary, never for judgement.

import type { DomainRow } from '../../core/key/evidence.ts';
import { stateOf } from '../../core/key/state.ts';

export class Coverage {
  /** Fault → times that it struck. */
  readonly struck = new Map<string, number>();
  /** Fault → states of keys that were there when it did. */
  readonly met = new Map<string, Set<string>>();

  static statesOf(rows: Iterable<DomainRow>): readonly string[] {
    const states = new Set<string>();
    for (const row of rows)
      for (const key of row.keys) if (key.evidence.destroyed === undefined) states.add(stateOf(key));
    return [...states];
  }

  count(fault: string, states: readonly string[], times = 1): void {
    this.struck.set(fault, (this.struck.get(fault) ?? 0) + times);
    const met = this.met.get(fault) ?? new Set();
    for (const state of states) met.add(state);
    this.met.set(fault, met);
  }

  /** Notes that a fault goes on while keys are in these states. */
  meet(fault: string, states: readonly string[]): void {
    this.count(fault, states, 0);
  }

  add(other: {
    readonly struck: Iterable<readonly [string, number]>;
    readonly met: Iterable<readonly [string, Iterable<string>]>;
  }): void {
    for (const [fault, times] of other.struck) this.count(fault, [], times);
    for (const [fault, states] of other.met) this.count(fault, [...states], 0);
  }
}
