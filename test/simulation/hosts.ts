// Simulated mail hosts. What a host does with a bundle is the agent's own code (agent/apply.ts) on a key store in memory;
// around it are its power, its network, its clock, its backups. While it has power it signs at every instant with every
// key that it is told to sign with.

import { createSecretKey } from 'node:crypto';
import { withTaken } from '../../agent/adopt/take.ts';
import { type Applier, createApplier } from '../../agent/apply.ts';
import { createBuiltinDriver } from '../../agent/drivers/builtin.ts';
import type { DriverKey } from '../../agent/drivers/driver.ts';
import { createDuties } from '../../agent/duties.ts';
import type { KeyStore, StoreState } from '../../agent/key-store.ts';
import type { Algorithm } from '../../core/algorithm.ts';
import { SelkieError } from '../../core/errors.ts';
import { hostKeyName } from '../../core/key/evidence.ts';
import type { FleetHost } from '../../core/policy.ts';
import { type Duration, type Instant, instant, minutes } from '../../core/time.ts';
import type { Keys } from '../../engine/ports.ts';
import type { HostSeals } from './symbols.ts';

/** How far its clock may differ from the control plane's, in the agent's settings. */
const tolerance = minutes(5);

export interface RingKey {
  readonly domain: string;
  readonly selector: string;
  readonly publicKey: string;
}

/** By `domain/selector`. */
export type Ring = ReadonlyMap<string, RingKey>;

interface Disk {
  readonly state: StoreState;
  readonly keys: ReadonlyMap<string, Uint8Array>;
}

export interface MailHost {
  readonly name: string;
  readonly pool: string;
  readonly fleet: FleetHost;
  readonly pulls: boolean;
  readonly queueLifetime: Duration | undefined;
  /** Off: it neither signs nor answers. */
  powered: boolean;
  /** Whether the control plane and it reach each other. It signs all the same. */
  connected: boolean;
  /** Its clock is this much ahead of the true time, in milliseconds; negative: behind. */
  skew: number;
  /** Its disk gives back other bytes than were written. */
  corrupts: boolean;
  /** What it signs with. */
  readonly ring: Ring;
  readonly state: StoreState;
  holds(domain: string, selector: string): boolean;
  /** A bundle arrives. @returns the acknowledgement @throws what the agent throws */
  receive(bundle: string): Promise<string>;
  /** The body of a pull. */
  ask(nonce: string): Promise<string>;
  /** Its administrator takes a key of its former signer into its key store. Again is the same. */
  adopt(key: FormerKey): void;
  backUp(): void;
  /** The disk as it was at the last backup, and the agent restarted on it. Nothing where there is no backup. */
  restore(): boolean;
  /** An empty disk. */
  wipe(): void;
}

export interface FormerKey extends RingKey {
  readonly algorithm: Algorithm;
  readonly privateKey: Uint8Array;
}

export interface HostWatch {
  /** Before the ring changes: the last instant at which the host signs with what it had. */
  changing(host: MailHost): void;
  /** `by`: a bundle, or its administrator (a disk restored or wiped). */
  changed(host: MailHost, before: Ring, by: 'bundle' | 'disk'): void;
}

export const createHost = (options: {
  readonly name: string;
  readonly pool: string;
  readonly fleet?: Pick<FleetHost, 'encryptionKey' | 'signingKey'>;
  readonly pulls: boolean;
  readonly pushed: boolean;
  readonly queueLifetime: Duration | undefined;
  readonly now: () => Instant;
  readonly id: () => string;
  readonly keys: Keys;
  readonly seals: HostSeals;
  readonly watch: HostWatch;
}): MailHost => {
  const { name, pool, keys, id, watch } = options;
  let ring: Ring = new Map();
  let backup: Disk | undefined;
  const lastUse = new Map<string, Instant>();

  const empty = (): Disk => ({
    state: {
      incarnation: id(),
      cursor: null,
      newest: null,
      keys: new Map(),
      failed: new Map(),
      staged: null,
    },
    keys: new Map(),
  });
  let disk = empty();

  const clock = (): Instant => instant(options.now() + host.skew);

  const note = (): void => {
    if (!host.powered) return;
    for (const key of ring.keys()) lastUse.set(key, clock());
  };

  const signWith = (next: Ring, by: 'bundle' | 'disk'): void => {
    const before = ring;
    if (before.size === next.size && [...next.keys()].every((key) => before.has(key))) {
      ring = next;
      return;
    }
    note();
    watch.changing(host);
    ring = next;
    watch.changed(host, before, by);
  };

  const ringOf = (state: StoreState): Ring =>
    new Map(
      [...state.keys]
        .filter(([, { duty }]) => duty === 'signing')
        .map(([key, { domain, selector, publicKey }]) => [key, { domain, selector, publicKey }]),
    );

  const store: KeyStore = {
    get state() {
      return disk.state;
    },
    put: async (change) => {
      const bytes = new Uint8Array(Buffer.from(change.privateKey, 'base64'));
      if (host.corrupts) bytes.fill(0, bytes.length / 2);
      const file = `${change.domain}/${change.selector}/${change.publicKey}`;
      disk = { ...disk, keys: new Map([...disk.keys, [file, bytes]]) };
      return { file, privateKey: bytes };
    },
    commit: async (state) => {
      disk = { ...disk, state };
    },
    sweep: async () => {
      const named = new Set(
        [...disk.state.keys.values(), ...(disk.state.staged?.keys.values() ?? [])].map(({ file }) => file),
      );
      if ([...disk.keys.keys()].some((file) => !named.has(file)))
        disk = { ...disk, keys: new Map([...disk.keys].filter(([file]) => named.has(file))) };
    },
    lost: new Map(),
    inspect: async () => {},
    heldKeys: (): DriverKey[] =>
      [...disk.state.keys.values()].flatMap(({ file, ...facts }) => {
        const bytes = disk.keys.get(file);
        return bytes === undefined ? [] : [{ ...facts, load: async () => createSecretKey(bytes) }];
      }),
  };

  const driver = createBuiltinDriver({
    replace: (signing) => {
      const names = new Set(signing.map(({ domain, selector }) => hostKeyName(domain, selector)));
      signWith(new Map([...ringOf(disk.state)].filter(([key]) => names.has(key))), 'bundle');
    },
    signingKeys: () => [],
    stopped: () => undefined,
  });
  const duties = createDuties(store, driver, () => {});
  const applier: Applier = createApplier({
    host: name,
    store,
    keys,
    duties,
    now: clock,
    report: () => {
      note();
      return {
        lastUse: Object.fromEntries(
          [...lastUse].filter(([key]) => disk.state.keys.has(key) && !ring.has(key)),
        ),
        ...(options.queueLifetime === undefined ? {} : { queueLifetime: options.queueLifetime }),
      };
    },
  });

  const restart = (next: Disk): void => {
    disk = next;
    signWith(ringOf(disk.state), 'disk');
    lastUse.clear(); // the agent remembers uses in memory
  };

  const host: MailHost = {
    name,
    pool,
    pulls: options.pulls,
    queueLifetime: options.queueLifetime,
    fleet: {
      name,
      pool,
      ...(options.pushed ? { endpoint: `https://${name}:8443` } : {}),
      ...(options.fleet ?? { encryptionKey: '', signingKey: '' }),
    },
    powered: true,
    connected: true,
    skew: 0,
    corrupts: false,
    get ring() {
      return ring;
    },
    get state() {
      return disk.state;
    },
    holds: (domain, selector) => disk.state.keys.has(hostKeyName(domain, selector)),
    receive: async (bundle) => {
      if (!host.powered || !host.connected)
        throw new SelkieError('host.unreachable', `${name} does not answer: is it up?`);
      try {
        const opened = await options.seals.open(bundle, { host: name, now: clock(), skew: tolerance });
        return await options.seals.acknowledge(await applier.apply(opened));
      } catch (error) {
        // As the push server's client reads the agent's refusal.
        const why = error instanceof Error ? error.message : String(error);
        throw new SelkieError('host.refused', `${name} refused: ${why}`);
      }
    },
    ask: (nonce) =>
      options.seals.ask({
        iss: name,
        aud: 'selkie',
        iat: clock() / 1_000,
        nonce,
        incarnation: disk.state.incarnation,
        cursor: disk.state.cursor,
      }),
    adopt: ({ privateKey, ...facts }) => {
      const file = `${facts.domain}/${facts.selector}/${facts.publicKey}`;
      const { state, as } = withTaken(disk.state, { ...facts, file });
      if (as !== 'held') restart({ state, keys: new Map([...disk.keys, [file, privateKey]]) });
    },
    backUp: () => {
      backup = disk;
    },
    restore: () => {
      if (backup === undefined) return false;
      restart(backup);
      return true;
    },
    wipe: () => restart(empty()),
  };
  return host;
};
