// Follows a rotation to its end: each gate as it is passed, and what the next one waits for. Ctrl-C leaves the work running.
import { setTimeout as sleep } from 'node:timers/promises';
import { SelkieError } from '../core/errors.ts';
import type { DomainStatus } from '../engine/status.ts';
import { paint } from './colour.ts';
import { untilInterrupted } from './interrupt.ts';
import type { Progress } from './progress.ts';

type KeyState = DomainStatus['keys'][number]['state'];

/** The gates of a key that comes into use, in their order, in words. */
const gates = [
  ['reserved', 'its selector is reserved'],
  ['stored', 'its private key is in the vault'],
  ['publishing', 'its record is handed to the provider'],
  ['published', 'every name server shows its record'],
  ['standby', 'every ready host holds it'],
  ['active', 'every ready host signs with it'],
] as const satisfies readonly (readonly [KeyState, string])[];

const gateOf = (state: KeyState): number => gates.findIndex(([name]) => name === state);

/** Looks that may fail in a row: the work does not need us. */
const patience = 5;

export interface Followed {
  readonly domain: string;
  readonly rotation: string;
  status(): Promise<DomainStatus>;
  /** Milliseconds. */
  readonly lookEvery: number;
}

const lookAgain = (domain: string): string => `look again with: selkie status ${domain}`;

const patiently = async (followed: Followed, progress: Progress): Promise<DomainStatus> => {
  for (let failed = 1; ; failed += 1) {
    try {
      return await followed.status();
    } catch (error) {
      if (!(error instanceof SelkieError) || error.retry === 'never') throw error;
      if (failed >= patience)
        throw new SelkieError(
          error.code,
          `${error.message}. What was ordered goes on; ${lookAgain(followed.domain)}`,
          { cause: error },
        );
      progress.waiting([`no answer for the moment: ${error.message}`]);
      await sleep(followed.lookEvery);
    }
  }
};

const followed = async (one: Followed, progress: Progress): Promise<string> => {
  const passed = new Map<string, number>();
  const tell = ({ keys }: DomainStatus, selectors: readonly string[]): void => {
    for (const { selector, state } of keys) {
      if (!selectors.includes(selector)) continue;
      const [before, now] = [passed.get(selector) ?? -1, gateOf(state)];
      for (const [name, means] of gates.slice(before + 1, now + 1))
        progress.reached(`  ${paint('good', '✓')} ${selector} ${name}: ${means}`);
      passed.set(selector, Math.max(before, now));
    }
  };
  for (;;) {
    const now = await patiently(one, progress);
    const rotation = now.rotations.find(({ id }) => id === one.rotation);
    if (rotation === undefined || rotation.state === 'aborted')
      throw new SelkieError(
        'conflict',
        `rotation ${one.rotation} was aborted${rotation?.aborted === undefined ? '' : `: ${rotation.aborted}`}`,
      );
    tell(now, rotation.selectors);
    if (rotation.state === 'done') return `done: ${now.domain} signs with ${rotation.selectors.join(' + ')}`;
    const ours = now.blockedBy.filter(
      ({ selector }) => selector === undefined || rotation.selectors.includes(selector),
    );
    progress.waiting(ours.map(({ says }) => says));
    await sleep(one.lookEvery);
  }
};

/**
 * @returns what to say at the end
 * @throws conflict: it was aborted; Interrupted: by Ctrl-C; what its status throws
 */
export const followRotation = async (one: Followed, progress: Progress): Promise<string> => {
  try {
    const goesOn = `rotation ${one.rotation} of ${one.domain} goes on by itself; ${lookAgain(one.domain)}`;
    return await untilInterrupted(goesOn, () => followed(one, progress));
  } finally {
    progress.end();
  }
};
