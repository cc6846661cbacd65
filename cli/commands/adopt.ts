// `selkie adopt`: how the adoption of keys that signed before Selkie came stands. It only looks: the fleet file orders it, and
// `selkie-agent adopt` on a mail host finds the keys and takes them in (docs/adr/0006-adopted-keys.md).

import type { Command } from 'commander';
import type { DomainStatus } from '../../engine/status.ts';
import { paint } from '../colour.ts';
import { connect } from '../connection.ts';
import { example, reading } from '../options.ts';
import { joined, say, sayJson } from '../out.ts';
import { statuses } from './paths.ts';

interface Adoption {
  readonly domain: string;
  /** `waits`: nothing is adopted yet; `adopted`: its keys sign or retire; `ignored`: what the fleet file says has no effect. */
  readonly state: 'waits' | 'adopted' | 'ignored';
  readonly keys: readonly { readonly selector: string; readonly adopted: string; readonly state: string }[];
  /** What it waits for, which hosts lack the key, why it has no effect. */
  readonly says: readonly string[];
  /** The one that retires adopted keys which still sign. */
  readonly nextRotation?: string;
}

/** The name of the step in status: core/key/actions.ts. */
const step = 'adopt';

/** Undefined: nothing was, or is to be, adopted. */
const adoptionOf = (status: DomainStatus): Adoption | undefined => {
  const { domain, next, blockedBy, notes = [], nextRotation } = status;
  const keys = status.keys.flatMap(({ selector, state, adopted }) =>
    adopted === undefined ? [] : [{ selector, adopted, state }],
  );
  const waits = blockedBy.filter(({ says }) => says.startsWith(`${step}: `)).map(({ says }) => says);
  const about = blockedBy
    .filter(({ selector }) => keys.some((key) => key.selector === selector))
    .map(({ says }) => says);
  if (waits.length > 0 || next.includes(step)) return { domain, state: 'waits', keys, says: waits };
  if (keys.length > 0) {
    const signs = keys.some(({ state }) => state === 'active' || state === 'published');
    return {
      domain,
      state: 'adopted',
      keys,
      says: [...about, ...notes],
      ...(signs && nextRotation !== undefined ? { nextRotation } : {}),
    };
  }
  return notes.length > 0 ? { domain, state: 'ignored', keys, says: notes } : undefined;
};

const colours = { waits: 'busy', adopted: 'good', ignored: 'bad' } as const;

const day = (iso: string): string => iso.slice(0, 10);

const print = ({ domain, state, keys, says, nextRotation }: Adoption): void => {
  say(joined([paint('title', domain), paint(colours[state], state)], 2));
  for (const key of keys) say(`  ${key.selector}  adopted ${day(key.adopted)}, now ${key.state}`);
  for (const text of says) say(`  - ${text}`);
  if (nextRotation !== undefined) say(`  retired by the rotation of ${day(nextRotation)}`);
};

export const addAdopt = (program: Command): void => {
  const command = reading(
    program
      .command('adopt')
      .description('which keys of before are adopted, what that waits for, and how to begin')
      .argument('[domain]'),
  ).action(async (domain: string | undefined, options, self: Command) => {
    const found = (await statuses(await connect(self), domain)).flatMap((one) => adoptionOf(one) ?? []);
    if (options.json === true) return sayJson({ adoptions: found });
    for (const each of found) print(each);
    if (found.length > 0) return;
    say(`${domain ?? 'No domain'} adopts ${domain === undefined ? 'a' : 'no'} key. To begin:`);
    say('  1. selkie-agent adopt on each host that signs already: it shows what to paste');
    say('  2. paste that into the fleet file, and deploy');
    say('  3. selkie-agent adopt --apply on these hosts');
  });
  example(command, 'selkie adopt', 'selkie adopt example.jp --json');
};
