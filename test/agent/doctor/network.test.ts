// The clock against the control plane's, and the push port.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTcp } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Deliveries } from '../../../agent/deliveries.ts';
import { clockCheck, pushPortCheck } from '../../../agent/doctor/network.ts';
import { instant } from '../../../core/time.ts';
import { freePort } from '../../tools/free-port.ts';

let closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers) close();
  closers = [];
});

/** Its date is noon, whatever it is asked. */
const controlPlane = async (date = 'Sun, 28 Jan 2024 12:00:00 GMT'): Promise<string> => {
  const server = createServer((_, response) => {
    if (date === '') response.sendDate = false;
    else response.setHeader('date', date);
    response.writeHead(404);
    response.end('no');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  const address = server.address();
  return `http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`;
};
const noon = Date.UTC(2024, 0, 28, 12);
const none = async () => undefined;
const clock = async (secondsOff: number) =>
  (await clockCheck(await controlPlane(), () => noon + secondsOff * 1_000, none).run()).findings;

describe('the clock', () => {
  it.each([0, 1, 20, -20])('%s s off is in order', async (off) => expect(await clock(off)).toEqual([]));

  it.each([
    [60, /^it is 60 s ahead of http:/],
    [-400, /^it is 40[01] s behind .*: beyond 300 s bundles are refused/],
  ])('%s s off is wrong', async (off, sentence) => {
    expect(await clock(off)).toEqual([
      {
        problem: expect.stringMatching(sentence),
        mends: expect.arrayContaining(['timedatectl set-ntp true']),
      },
    ]);
  });

  it('cannot be compared with nobody, or with one that has none', async () => {
    expect(await clockCheck(undefined, Date.now, none).run()).toMatchObject({
      skipped: expect.stringContaining('enrol --control-plane URL'),
    });
    expect(await clockCheck(await controlPlane(''), Date.now, none).run()).toMatchObject({
      skipped: expect.stringContaining('what time it is'),
    });
  });

  it.each([
    ['behind it', -60, [expect.stringMatching(/^it is 60 s or more behind: the newest bundle .*T12:00:00/)]],
    ['a little behind it', -20, []],
    ['after it', 86_400, []],
  ])('is held against the newest bundle where there is no control plane: %s', async (_, off, expected) => {
    const seen = await clockCheck(
      undefined,
      () => noon + off * 1_000,
      async () => instant(noon),
    ).run();
    expect(seen.findings.map(({ problem }) => problem)).toEqual(expected);
    expect(seen.skipped).toBeUndefined();
  });

  it('of a control plane that is away is another trouble', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    expect((await clockCheck(url, Date.now, none).run()).findings).toEqual([
      {
        problem: expect.stringContaining(`${url} does not answer`),
        mends: [`curl -v ${url}/v1/bundle-keys`],
      },
    ]);
  });
});

const unit = 'selkie-agent-opendkim';

describe('the push port', () => {
  const listen = async (host: string, port: number): Promise<void> => {
    const server = createTcp((socket) => socket.destroy());
    server.listen(port, host);
    await once(server, 'listening');
    closers.push(() => server.close());
  };
  const check = (
    endpointHost: string,
    pushPort: number,
    controlPlaneUrl?: string,
    deliveries: Deliveries = {},
  ) =>
    pushPortCheck(
      {
        endpointHost,
        pushPort,
        ...(controlPlaneUrl === undefined ? {} : { controlPlane: controlPlaneUrl }),
      },
      { unit, deliveries },
    ).run();

  it('is reached by the name that the control plane uses', async () => {
    const port = await freePort();
    await listen('127.0.0.1', port);
    expect(await check('localhost', port)).toEqual({
      findings: [],
      note: `localhost:${port} leads to this host; whether a firewall lets the control plane through, its first push shows`,
    });
  });

  const pulls = { since: instant(noon), last: instant(noon + 3_600_000), times: 2 };
  it.each<[string, Deliveries]>([
    ['since its enrolment', { pulls }],
    ['since its last push', { pushed: instant(noon - 1_000), pulls }],
  ])('by which nothing came %s, though bundles were pulled, is blocked', async (_, deliveries) => {
    const port = await freePort();
    await listen('127.0.0.1', port);
    // From here it can be reached all the same.
    expect((await check('localhost', port, 'https://api.example.com', deliveries)).findings).toEqual([
      {
        problem: `pushes do not reach this host: bundles came by pull only since 2024-01-28T12:00:00.000Z, 2 times; open TCP port ${port} of localhost to the control plane`,
        mends: expect.arrayContaining([expect.stringContaining(`ufw allow ${port}/tcp`)]),
      },
    ]);
  });

  it('by which bundles come is in order, though this host does not reach itself by that name', async () => {
    const port = await freePort();
    await listen('127.0.0.1', port);
    expect(await check('127.0.0.2', port, undefined, { pushed: instant(noon) })).toEqual({
      findings: [],
      note: 'bundles come by push, the last one at 2024-01-28T12:00:00.000Z or within the hour after',
    });
  });

  it('is no trouble where a single bundle was pulled before it was pushed', async () => {
    const port = await freePort();
    await listen('127.0.0.1', port);
    expect((await check('localhost', port, undefined, { pulls: { ...pulls, times: 1 } })).findings).toEqual(
      [],
    );
  });

  it('where nobody listens is wrong', async () => {
    const port = await freePort();
    expect((await check('127.0.0.1', port)).findings).toMatchObject([
      {
        problem: expect.stringContaining(`nothing listens at port ${port}`),
        mends: expect.arrayContaining(['systemctl restart selkie-agent-opendkim']),
      },
    ]);
  });

  it('that leads elsewhere, before anything came, is wrong', async () => {
    const port = await freePort();
    await listen('127.0.0.1', port);
    // Of loopback too, but nobody listens there.
    expect((await check('127.0.0.2', port, 'https://api.example.com')).findings).toMatchObject([
      {
        problem: expect.stringMatching(
          /^nothing was pushed .* cannot connect to 127\.0\.0\.2 port .* by pull, each minute/,
        ),
        mends: expect.arrayContaining([expect.stringContaining(`ufw allow ${port}/tcp`)]),
      },
    ]);
  });

  it('of a host that only pulls is not looked at', async () => {
    expect(await pushPortCheck({ endpointHost: 'mx1' }, { unit, deliveries: {} }).run()).toMatchObject({
      skipped: expect.any(String),
    });
    expect(await pushPortCheck(undefined, { unit, deliveries: {} }).run()).toMatchObject({
      skipped: expect.any(String),
    });
  });
});
