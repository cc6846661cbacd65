// This host's clock against the control plane's, and the port that bundles are pushed to. Connects to both; sends nothing
// but one request for a path that needs no key.
import { connect } from 'node:net';
import { describe } from '../../core/errors.ts';
import { controlPlaneUrl } from '../pull.ts';
import type { Settings } from '../settings.ts';
import { type Check, skipped, sound, wrong } from './check.ts';

/** Bundles and acknowledgements that are further off are refused. */
const tolerated = 300;
const doubtful = 30;

/** @param now milliseconds since 1970 */
export const clockCheck = (controlPlane: string | undefined, now: () => number): Check => ({
  name: 'clock',
  async run() {
    if (controlPlane === undefined)
      return skipped('no control plane to compare it with (enrol --control-plane)');
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
        'timedatectl set-ntp true',
        'chronyc makestep   (with chrony)',
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
  /** Where the push server listens on this host. */
  readonly address?: string;
}

export const pushPortCheck = (
  settings: Pick<Settings, 'endpointHost' | 'pushPort' | 'controlPlane'> | undefined,
  { unit, address = '127.0.0.1' }: PushPortOptions,
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
    const named = await connectTrouble(endpointHost, port);
    if (named !== undefined)
      return wrong(
        `${endpointHost} port ${port}, where the control plane pushes to, cannot be reached from here (${named}): a firewall, a security group, or a name that leads elsewhere` +
          (settings.controlPlane === undefined ? '' : '. Until then bundles come by pull, each minute'),
        `getent hosts ${endpointHost}`,
        `ufw allow ${port}/tcp, or: firewall-cmd --permanent --add-port=${port}/tcp && firewall-cmd --reload`,
      );
    return sound(`${endpointHost}:${port} can be reached`);
  },
});
