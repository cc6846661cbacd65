// This host's clock against the control plane's, and whether bundles can be pushed here. Connects to both; sends nothing but
// one request for a path that needs no key.
import { connect } from 'node:net';
import { describe } from '../../core/errors.ts';
import { formatInstant, type Instant } from '../../core/time.ts';
import type { Deliveries } from '../deliveries.ts';
import { controlPlaneUrl } from '../pull.ts';
import type { Settings } from '../settings.ts';
import { type Check, type Seen, skipped, sound, wrong } from './check.ts';

/** Bundles and acknowledgements that are further off are refused. */
const tolerated = 300;
const doubtful = 30;
const mends = ['timedatectl set-ntp true', 'chronyc makestep   (with chrony)'];

/** A clock that stands before something that has happened is behind; one that is ahead, nothing here shows. */
const againstNewest = (newest: Instant | undefined, now: number): Seen => {
  const give = 'selkie-agent enrol --control-plane URL has it compared';
  if (newest === undefined)
    return skipped(`there is no control plane to compare it with, and no bundle has come yet; ${give}`);
  const behind = Math.round((newest - now) / 1_000);
  if (behind > doubtful)
    return wrong(
      `it is ${behind} s or more behind: the newest bundle was issued at ${formatInstant(newest)}; signatures bear a wrong t=`,
      ...mends,
    );
  return sound(`not before the newest bundle, of ${formatInstant(newest)}; ${give} with the control plane's`);
};

/**
 * @param now milliseconds since 1970
 * @param newest when the newest bundle that this host knows was issued, by the control plane's clock
 */
export const clockCheck = (
  controlPlane: string | undefined,
  now: () => number,
  newest: () => Promise<Instant | undefined>,
): Check => ({
  name: 'clock',
  async run() {
    if (controlPlane === undefined) return againstNewest(await newest(), now());
    const url = new URL('v1/bundle-keys', controlPlaneUrl(controlPlane));
    let date: string | null;
    const before = now();
    try {
      const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(10_000) });
      await response.body?.cancel();
      date = response.headers.get('date');
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      return wrong(
        `the control plane ${url.origin} does not answer: ${describe(cause)}. This host signs on with what it has, but gets no new keys`,
        `curl -v ${url}`,
      );
    }
    const after = now();
    const theirs = Date.parse(date ?? '');
    if (Number.isNaN(theirs)) return skipped(`${url.origin} does not say what time it is`);
    // A Date header has whole seconds: it is up to one old.
    const off = Math.round(((before + after) / 2 - theirs - 500) / 1_000);
    const words = `${Math.abs(off)} s ${off < 0 ? 'behind' : 'ahead of'} ${url.origin}`;
    if (Math.abs(off) > doubtful)
      return wrong(
        Math.abs(off) > tolerated
          ? `it is ${words}: beyond ${tolerated} s bundles are refused, and signatures bear a wrong t=`
          : `it is ${words}`,
        ...mends,
      );
    return sound(Math.abs(off) < 2 ? `as at ${url.origin}` : words);
  },
});

/** Why a TCP connection fails; undefined where it comes about. */
const connectTrouble = (host: string, port: number): Promise<string | undefined> =>
  new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (why: string | undefined): void => {
      socket.destroy();
      resolve(why);
    };
    socket.setTimeout(5_000, () => end('no answer within 5 s'));
    socket.once('connect', () => end(undefined));
    socket.once('error', (error) => end(error.message));
  });

export interface PushPortOptions {
  /** The agent's service. */
  readonly unit: string;
  /** How bundles came to this host so far. */
  readonly deliveries: Deliveries;
  /** Where the push server listens on this host. */
  readonly address?: string;
}

/** One bundle may have been pulled just before it would have been pushed; so often, none is pushed. */
const telling = 2;

/** From here to here no firewall is passed: what came is known for certain, what would come is not. */
export const pushPortCheck = (
  settings: Pick<Settings, 'endpointHost' | 'pushPort' | 'controlPlane'> | undefined,
  { unit, deliveries: { pushed, pulls }, address = '127.0.0.1' }: PushPortOptions,
): Check => ({
  name: 'push port',
  async run() {
    const port = settings?.pushPort;
    if (settings === undefined || port === undefined) return skipped('bundles are not pushed to this host');
    const here = await connectTrouble(address, port);
    if (here !== undefined)
      return wrong(
        `nothing listens at port ${port} of this host (${here})`,
        `systemctl restart ${unit}`,
        `ss -ltnp 'sport = :${port}'   (who else has it)`,
      );
    const { endpointHost } = settings;
    const open = [
      `getent hosts ${endpointHost}   (does the name lead here)`,
      `ufw allow ${port}/tcp, or: firewall-cmd --permanent --add-port=${port}/tcp && firewall-cmd --reload`,
      `TCP port ${port} from the control plane, in the security group or router before this host`,
    ];
    if (pulls !== undefined && pulls.times >= telling)
      return wrong(
        `pushes do not reach this host: bundles came by pull only since ${formatInstant(pulls.since)}, ${pulls.times} times; open TCP port ${port} of ${endpointHost} to the control plane`,
        ...open,
      );
    if (pushed !== undefined && pulls === undefined)
      return sound(`bundles come by push, the last one at ${formatInstant(pushed)} or within the hour after`);
    const named = await connectTrouble(endpointHost, port);
    if (named !== undefined)
      return wrong(
        `nothing was pushed to this host yet, and this host cannot connect to ${endpointHost} port ${port}, where the control plane does (${named}): a name that leads elsewhere, a firewall, or a router that sends nothing back to where it came from` +
          (settings.controlPlane === undefined ? '' : '. Until then bundles come by pull, each minute'),
        ...open,
      );
    return sound(
      `${endpointHost}:${port} leads to this host; whether a firewall lets the control plane through, its first push shows`,
    );
  },
});
