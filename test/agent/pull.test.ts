import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { controlPlaneUrl, pullOnce, startPulls } from '../../agent/pull.ts';
import { verifyPull } from '../../contract/pull.ts';
import { SelkieError } from '../../core/errors.ts';
import { type Duration, milliseconds, seconds } from '../../core/time.ts';
import { startControlPlane, type TestControlPlane } from '../tools/control-plane.ts';
import { freePort } from '../tools/free-port.ts';
import { makeHost, noon, skew } from '../tools/sealed.ts';

const host = makeHost();

describe('one cycle of pulls', () => {
  let plane: TestControlPlane;
  let received: string[] = [];
  beforeEach(async () => {
    plane = await startControlPlane();
    received = [];
  });
  afterEach(() => plane.close());

  const pull = (url = plane.url, timeout?: Duration) =>
    pullOnce({
      url,
      host: host.name,
      identities: async () => [{ signing: host.signingPrivate }],
      standing: () => ({
        cursor: { epoch: 1, n: received.filter((bundle) => bundle !== 'same').length },
        incarnation: 'incarnation-1',
        staged: null,
      }),
      receive: async (bundle) => {
        received.push(bundle);
        return `${bundle} taken`;
      },
      now: () => noon,
      id: randomUUID,
      ...(timeout === undefined ? {} : { timeout }),
    });

  it('asks, and takes nothing where there is nothing', async () => {
    expect(await pull()).toBe(0);
    expect(plane.seen.map((one) => one.what)).toEqual(['POST /v1/hosts/mx1.example.com/pull']);
    const options = { host: host.name, signingKey: host.signingKey, now: noon, skew };
    expect(await verifyPull(plane.seen[0]?.body ?? '', options)).toMatchObject({
      cursor: { epoch: 1, n: 0 },
      incarnation: 'incarnation-1',
    });
  });

  it('takes and acknowledges one after the other, and says each time where it stands', async () => {
    plane.bundles.push('one', 'two');
    expect(await pull()).toBe(2);
    expect(received).toEqual(['one', 'two']);
    const [, first, , second] = plane.seen;
    expect([first?.body, second?.body]).toEqual(['one taken', 'two taken']);
    expect(first?.what).toBe('POST /v1/hosts/mx1.example.com/acknowledgements');
    const options = { host: host.name, signingKey: host.signingKey, now: noon, skew };
    const pulls = plane.seen.filter((one) => one.what.endsWith('/pull'));
    const asked = await Promise.all(pulls.map((one) => verifyPull(one.body, options)));
    expect(asked.map((one) => one.cursor?.n)).toEqual([0, 1, 2]);
    expect(new Set(asked.map((one) => one.nonce)).size).toBe(3);
  });

  it('ends with a bundle that changes nothing, and leaves the rest to the next cycle', async () => {
    plane.bundles.push('one', 'same', 'same');
    expect(await pull()).toBe(2);
    expect(plane.seen.at(-1)?.body).toBe('same taken');
  });

  it('works below a path, as APIs with stages have', async () => {
    await pull(`${plane.url}/prod`);
    expect(plane.seen[0]?.what).toBe('POST /prod/v1/hosts/mx1.example.com/pull');
  });

  it.each([
    [401, 'denied'],
    [404, 'denied'],
    [429, 'unavailable'],
    [502, 'unavailable'],
    [302, 'denied'],
  ])('an answer of %d is said: %s', async (status, code) => {
    plane.bundles.push(status);
    const error: unknown = await pull().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SelkieError);
    expect(error).toMatchObject({ code, message: expect.stringContaining(String(status)) });
  });

  it('an answer without end is refused', async () => {
    plane.bundles.push('x'.repeat(3 * 2 ** 20 + 1));
    await expect(pull()).rejects.toMatchObject({ code: 'invalid' });
    expect(received).toEqual([]);
  });

  it('a control plane that is not there is said', async () => {
    await expect(pull(`http://127.0.0.1:${await freePort()}`)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/does not answer: .*ECONNREFUSED/),
    });
  });
});

describe('the URL of a control plane', () => {
  it.each(['https://api.example.com', 'http://127.0.0.1:8080', 'http://localhost/x'])('may be %s', (url) =>
    expect(controlPlaneUrl(url).href).toBe(`${url}/`),
  );
  it.each(['http://api.example.com', 'ftp://127.0.0.1', 'api.example.com', ''])('may not be %j', (url) =>
    expect(() => controlPlaneUrl(url)).toThrow(/not an https URL/),
  );
});

describe('pulls', () => {
  const start = (cycle: () => Promise<unknown>) => {
    const waiting: { delay: Duration; run: () => void }[] = [];
    const lines: string[] = [];
    const draws = [0, 0.5, 0.999];
    const pulls = startPulls({
      cycle,
      every: seconds(60),
      timer: {
        after(delay, run) {
          const one = { delay, run };
          waiting.push(one);
          return () => void waiting.splice(waiting.indexOf(one), 1);
        },
      },
      random: () => draws.shift() ?? 0.5,
      log: (line) => lines.push(line),
    });
    const settle = () => new Promise((resolve) => setImmediate(resolve));
    const next = async (): Promise<Duration> => {
      await settle();
      const one = waiting.shift();
      one?.run();
      await settle();
      return one?.delay ?? milliseconds(-1);
    };
    return { pulls, waiting, lines, next, settle };
  };

  it('come at once, then about each minute, never on one another', async () => {
    let count = 0;
    const { next, pulls, waiting } = start(async () => {
      count += 1;
    });
    expect(count).toBe(1);
    expect([await next(), await next(), await next()]).toEqual([54_000, 60_000, 65_988]);
    expect(count).toBe(4);
    await pulls.close();
    expect(waiting).toEqual([]);
  });

  it('go on after a failure, which is said once, and when it ends', async () => {
    const outcomes = ['no route', 'no route', 'no name', undefined, undefined];
    const { next, lines, pulls } = start(async () => {
      const why = outcomes.shift();
      if (why !== undefined) throw new Error(why);
    });
    for (let i = 0; i < 5; i += 1) await next();
    expect(lines).toEqual(['pull: no route', 'pull: no name', 'pull: works again']);
    await pulls.close();
  });

  it('end when the one under way has ended', async () => {
    let finish = (): void => {};
    const { pulls, waiting, settle } = start(
      () =>
        new Promise<void>((resolve) => {
          finish = resolve;
        }),
    );
    let closed = false;
    const closing = pulls.close().then(() => {
      closed = true;
    });
    await settle();
    expect(closed).toBe(false);
    finish();
    await closing;
    expect(waiting).toEqual([]);
  });
});
