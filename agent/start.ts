// The agent, put together: identity, key store, milter, push server and pulls of one mail host. The wiring file of this
// floor: `selkie-agent run` calls it, and so does the local control plane.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { type AuthorityOptions, createAuthority } from '../adapters/dns/authority.ts';
import { createNodeKeys } from '../adapters/node-keys.ts';
import type { Succession } from '../contract/manifest.ts';
import { describe } from '../core/errors.ts';
import type { FleetHost } from '../core/policy.ts';
import { type Duration, instant, milliseconds, minutes, seconds } from '../core/time.ts';
import { type Applier, createApplier, type Report } from './apply.ts';
import { openDeliveries } from './deliveries.ts';
import { createBuiltinDriver } from './drivers/builtin.ts';
import type { Driver } from './drivers/driver.ts';
import { createDuties, type Duties } from './duties.ts';
import { privateFolder } from './files.ts';
import { type Identities, openIdentities } from './identities.ts';
import { fleetEntry, type Identity } from './identity.ts';
import { type KeyStore, openKeyStore } from './key-store.ts';
import { lockOrStandIn } from './lock.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { type Milter, type MilterPolicy, startMilter } from './milter/server.ts';
import { controlPlaneUrl, pullOnce, startPulls, type Timer } from './pull.ts';
import { startPushServer } from './push-server.ts';
import { createReceiver } from './receive.ts';
import { startRecordCheck } from './record-check.ts';
import { askMilter } from './self-check.ts';
import { createKeyRing, type KeyRing } from './signing/key-ring.ts';
import { thumbprints } from './trust.ts';
import { recordUse } from './use.ts';

/** What signs this host's mail: our own milter, or somebody else's signer behind its driver. */
export type Signer = { readonly milter: MilterPolicy } | { readonly driver: Driver };

export interface AgentOptions {
  /** The state folder; made 0700. */
  readonly dir: string;
  /** The host's name in the fleet file. */
  readonly name: string;
  /** DNS name or IP address that the control plane connects to. */
  readonly endpointHost: string;
  /** 0: the system's choice. Absent: this host is not pushed to, it only pulls. */
  readonly pushPort?: number;
  /** Where the push server listens; all addresses where absent. */
  readonly pushAddress?: string;
  readonly signer: Signer;
  /** Bundle keys trusted at present. */
  readonly trusted: () => readonly JWK[] | Promise<readonly JWK[]>;
  /** Does what a trusted manifest says of bundle keys; absent: `trusted` alone decides. */
  readonly succeed?: (succession: Succession) => Promise<void>;
  /** URL of the control plane's API; absent: no pulls. */
  readonly controlPlane?: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: Log;
  /** Counts what is signed, and shows how this host stands. */
  readonly metrics?: Metrics;
  /** The longest time that mail may lie in this host's queues, where it is known. */
  readonly queueLifetime?: () => Duration | undefined;
  /** How the authoritative servers of the signing keys' records are found; absent: records are not looked after. */
  readonly records?: AuthorityOptions;
  readonly pullEvery?: Duration;
  readonly timer?: Timer;
  readonly random?: () => number;
  /** Fresh identifiers. */
  readonly id?: () => string;
}

export interface Agent {
  /** For the fleet file, without a pool: of the present identity. */
  readonly entry: Omit<FleetHost, 'pool'>;
  readonly ports: { readonly push?: number; readonly milter?: number };
  /** What keeps this host from signing all of its mail as it should, a sentence each; empty: nothing. */
  trouble(): Promise<readonly string[]>;
  /** Of our own milter: what holds for connections from now on. Another address is taken at the next start only. */
  configure(policy: MilterPolicy): void;
  /** Ends everything; messages and bundles in hand are finished. Again is the same. */
  close(): Promise<void>;
}

/** How far the control plane's clock may differ from this host's. */
const skew = minutes(5);

export const systemTimer: Timer = {
  after(delay, run) {
    const timer = setTimeout(run, delay);
    return () => clearTimeout(timer);
  },
};

/**
 * How long a start waits for the first look at the records. A host that was restored from an old backup may hold a key that
 * is revoked since: what it signed before the look would fail, while mail that waits for a moment is only late. Beyond this
 * an outage of DNS would become one of mail.
 */
const firstLook = seconds(5);

type Closer = () => Promise<void>;

const startPushing = (
  { pushPort: port, pushAddress: address, log }: AgentOptions,
  identities: Identities,
  receive: (bundle: string) => Promise<string>,
) =>
  port === undefined
    ? undefined
    : startPushServer({
        port,
        tls: identities.present.tls,
        others: async () => (await identities.all()).map(({ tls }) => tls),
        receive,
        log,
        ...(address === undefined ? {} : { address }),
      });

/** Ends when the first records were looked at, or the time for it is over. */
const startLookingAfterRecords = async (
  { records, now, log, random = Math.random }: AgentOptions,
  { store, duties, timer }: { readonly store: KeyStore; readonly duties: Duties; readonly timer: Timer },
  closers: Closer[],
): Promise<void> => {
  if (records === undefined) return;
  const { look } = createAuthority(records);
  const check = startRecordCheck({
    held: () => store.state.keys,
    look,
    stop: (keys) => duties.stop(keys),
    now: () => instant(now()),
    timer,
    random,
    log,
  });
  closers.push(async () => check.close());
  let cancel = (): void => {};
  const enough = new Promise<void>((resolve) => {
    cancel = timer.after(firstLook, resolve);
  });
  await Promise.race([check.settled, enough]);
  cancel();
};

const startSigning = async (
  { signer, now, log, metrics }: AgentOptions,
  ring: KeyRing,
): Promise<Milter | undefined> =>
  'milter' in signer
    ? startMilter({
        ...signer.milter,
        ring,
        now,
        log,
        ...(metrics === undefined ? {} : { meter: metrics.meter }),
      })
    : undefined;

/** Milliseconds in which our own milter answers itself. */
const selfCheckWithin = 5_000;

const troubleOf = async (
  { signer }: AgentOptions,
  milter: Milter | undefined,
  { store, duties }: { readonly store: KeyStore; readonly duties: Duties },
): Promise<readonly string[]> => {
  const keys = [...duties.unusable].flatMap(([name, why]) =>
    store.state.keys.get(name)?.duty === 'signing' ? [`key ${name}: ${why}`] : [],
  );
  if (!('milter' in signer)) return keys;
  const { listen } = signer.milter;
  const target = 'path' in listen ? { path: listen.path } : { ...listen, port: milter?.port ?? listen.port };
  const state = await askMilter(target, selfCheckWithin);
  return typeof state === 'object' ? [state.trouble, ...keys] : keys;
};

/** Each few key files; a store of 100,000 keys is read through in five minutes. */
const inspectionPause = milliseconds(50);

const inspectAtLeisure = (store: KeyStore, timer: Timer, log: Log): Closer => {
  let cancel = (): void => {};
  let ended = false;
  const goOn = () =>
    new Promise<boolean>((resolve) => {
      cancel = timer.after(inspectionPause, () => resolve(!ended));
    });
  store.inspect(goOn).catch((error: unknown) => log(`the key files cannot be checked: ${describe(error)}`));
  return async () => {
    ended = true;
    cancel();
  };
};

const wire = async (options: AgentOptions, closers: Closer[]): Promise<Omit<Agent, 'close'>> => {
  const { dir, name, endpointHost, trusted, controlPlane, log } = options;
  const now = () => instant(options.now());
  const id = options.id ?? randomUUID;
  if (controlPlane !== undefined) controlPlaneUrl(controlPlane);
  await privateFolder(dir);
  const timer = options.timer ?? systemTimer;
  closers.push(await lockOrStandIn(dir, { timer, log }));
  let showIdentity = (_: Identity): void => {};
  const identities = await openIdentities({
    dir,
    endpointHost,
    now,
    timer,
    log,
    switched: (identity) => showIdentity(identity),
  });
  closers.push(async () => identities.close());
  const store: KeyStore = await openKeyStore(join(dir, 'store'), id, {
    damaged: () => void duties.enforce(),
    untidy: (error) => log(`key store: what it no longer names stays on the disk: ${describe(error)}`),
  });

  const uses = recordUse(createKeyRing(), options.now);
  const driver = 'driver' in options.signer ? options.signer.driver : createBuiltinDriver(uses.ring);
  closers.push(() => driver.close());
  let cancelLook = (): void => {};
  closers.push(async () => cancelLook());
  const duties = createDuties(store, driver, log, (look) => {
    cancelLook();
    cancelLook = timer.after(minutes(1), look);
  });
  await duties.enforce();
  closers.push(inspectAtLeisure(store, timer, log));
  const report = (): Report => {
    const queueLifetime = options.queueLifetime?.();
    return {
      ...(queueLifetime === undefined ? {} : { queueLifetime }),
      lastUse: uses.retired((key) => store.state.keys.has(key)),
    };
  };
  const applier: Applier = createApplier({
    host: name,
    store,
    duties,
    keys: createNodeKeys(),
    now,
    report,
  });
  options.metrics?.watch({ store, folder: join(dir, 'store', 'keys'), duties });
  const trusts = async () => thumbprints(await trusted());
  const receiver = createReceiver({
    host: name,
    identities: identities.all,
    proved: identities.proved,
    applier,
    trusted: async () => trusted(),
    ...(options.succeed === undefined ? {} : { succeed: options.succeed }),
    trusts,
    now,
    skew,
  });
  const receive = options.metrics?.countBundles(receiver) ?? receiver;
  const deliveries = await openDeliveries(dir, { now, log });

  const push = await startPushing(options, identities, deliveries.note('push', receive));
  if (push !== undefined) closers.push(() => push.close());
  showIdentity = ({ tls }) => push?.show(tls);
  await startLookingAfterRecords(options, { store, duties, timer }, closers);
  const milter = await startSigning(options, uses.ring);
  if (milter !== undefined) closers.push(() => milter.close());
  if (controlPlane !== undefined) {
    const standing = () => store.state;
    const ask = { url: controlPlane, host: name, identities: identities.all, trusts };
    const take = deliveries.note('pull', receive);
    const cycle = () => pullOnce({ ...ask, standing, receive: take, now, id });
    const pulls = startPulls({
      cycle: options.metrics?.countContacts(cycle) ?? cycle,
      every: options.pullEvery ?? seconds(60),
      timer,
      random: options.random ?? Math.random,
      log,
    });
    closers.push(() => pulls.close());
  }
  const entry = fleetEntry(identities.present, {
    endpointHost,
    ...(push === undefined ? {} : { pushPort: push.port }),
  });
  return {
    entry: { name, ...entry },
    trouble: () => troubleOf(options, milter, { store, duties }),
    configure: (policy) => milter?.configure(policy),
    ports: {
      ...(push === undefined ? {} : { push: push.port }),
      ...(milter?.port === undefined ? {} : { milter: milter.port }),
    },
  };
};

/**
 * Starts the agent of one host. It signs with what its key store holds, whether or not the control plane can be reached.
 * @throws SelkieError invalid, with field pushPort, milterPort, milterSocket,
 *   controlPlane, endpointHost or dir; busy where another agent
 *   works on `dir`; unsafe where others may enter it. Nothing is left running.
 */
export const startAgent = async (options: AgentOptions): Promise<Agent> => {
  const closers: Closer[] = [];
  let closing: Promise<void> | undefined;
  const closeAll = async (): Promise<void> => {
    for (const close of closers.toReversed()) await close();
  };
  const close = (): Promise<void> => {
    closing ??= closeAll();
    return closing;
  };
  try {
    return { ...(await wire(options, closers)), close };
  } catch (error) {
    await close();
    throw error;
  }
};
