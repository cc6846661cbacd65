// `selkie rotate --all`, `--zone`, `--pool`: what they refuse, what has to be confirmed, and what becomes of the order, by the API
// of this machine and by one on AWS.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { createProgram, failureOf } from '../../cli/program.ts';
import { walk } from '../../cli/tree.ts';
import { minutes } from '../../core/time.ts';
import type { World } from '../../engine/world.ts';
import { type LocalApi, startLocalApi } from '../tools/local-api.ts';
import { describeWith } from '../tools/machine.ts';
import { type Ran, selkie, selkieIn } from '../tools/selkie.ts';
import { operator, region, startGateway } from '../tools/signed-gateway.ts';
import { selkieOnTerminal } from '../tools/terminal.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

let simulation: Simulation;
let api: LocalApi;

/** The simulated fleet with more domains in the same zone, and one of them leaving. */
const crowded = (world: World): World => {
  const entry = world.fleet.domains.get(domain);
  if (entry === undefined) throw new Error('no domain');
  const more = ['a', 'b', 'c'].map((label) => {
    const name = `${label}.${domain}`;
    return [name, { ...entry, domain: name, leaving: label === 'c' }] as const;
  });
  return { ...world, fleet: { ...world.fleet, domains: new Map([...world.fleet.domains, ...more]) } };
};

beforeEach(async () => {
  simulation = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
  await simulation.run(minutes(60));
  api = await startLocalApi(crowded(simulation.world));
});
afterEach(async () => {
  await api.close();
  simulation.close();
});
const rotate = (...args: string[]): Promise<Ran> => selkie('rotate', ...args, '--dir', api.dir);
/** In this process: what a command would end with. */
const ends = async (args: readonly string[]): Promise<readonly [status: number, says: string]> => {
  let said = '';
  const program = createProgram();
  for (const { command } of walk(program)) command.configureOutput({ writeErr: (text) => (said += text) });
  try {
    await program.parseAsync(args, { from: 'user' });
    return [0, said];
  } catch (error) {
    const { status, says = '' } = failureOf(error);
    return [status, said + says];
  }
};
const why = ['--reason', 'a drill'];
const rotations = async (): Promise<readonly { kind: string; reason?: string; by?: string }[]> =>
  (await simulation.world.ledger.domain(domain))?.rotations ?? [];

describe('an order for many domains', () => {
  it.each([
    [[domain, '--all', ...why], 2, 'example.com and --all, --zone or --pool: name the one or the other'],
    [['--all', '--zone', domain, ...why], 2, "'--all' cannot be used with option '--zone <zone>'"],
    [
      ['--zone', domain, '--pool', 'mx', ...why],
      2,
      "'--zone <zone>' cannot be used with option '--pool <pool>'",
    ],
    [[], 2, "missing required argument 'domain', or --all, --zone or --pool"],
    [['--all', '--yes'], 1, 'wants --reason'],
    [['--all', '--yes', ...why, '--wait'], 1, 'look with selkie status'],
    [['--all', '--yes', ...why, '--unsigned'], 1, '--unsigned goes with --emergency'],
    [['--all', '--yes', ...why, '--compromised', '240128'], 1, 'a key of one domain'],
    [
      ['--zone', 'elsewhere.jp', '--yes', ...why],
      1,
      'zone elsewhere.jp has no domain in fleet.yaml that stays',
    ],
    [['--pool', 'inbound', '--yes', ...why], 1, 'pool inbound has no domain in fleet.yaml that stays'],
    [
      ['--all', ...why],
      1,
      '3 domains of the fleet get new keys; the work on the last begins 2024-01-28 10:00Z. Where nobody can be asked, --yes says that it is meant',
    ],
  ])('%j is refused: %d', async (args, status, says) => {
    expect(await ends(['rotate', ...args, '--dir', api.dir])).toEqual([
      status,
      expect.stringContaining(says),
    ]);
    await simulation.run(minutes(1));
    expect(await rotations()).toHaveLength(1);
  });

  it('says how many domains, and is carried out', { timeout: 60_000 }, async () => {
    const ran = await rotate('--zone', domain.toUpperCase(), '--yes', ...why);
    expect([ran.status, ran.stderr, ran.stdout]).toEqual([
      0,
      '',
      'rotation of 3 domains of zone EXAMPLE.COM requested: the work on the last begins 2024-01-28 10:00Z\nlook with: selkie status\n',
    ]);
    await simulation.run(minutes(1));
    expect((await rotations()).slice(1)).toMatchObject([{ kind: 'requested', reason: 'a drill' }]);
  });

  it('under the same Idempotency-Key is the same order, as JSON too', { timeout: 60_000 }, async () => {
    const order = () =>
      rotate('--all', '--emergency', '--yes', ...why, '--idempotency-key', 'k', '--json').then((ran) =>
        JSON.parse(ran.stdout),
      );
    const first = await order();
    expect(first).toEqual({ domains: 3, until: expect.stringMatching(/^2024-01-28T10:00/), joined: false });
    expect(await order()).toEqual({ ...first, joined: true });
    await simulation.run(minutes(1));
    expect((await rotations()).slice(1)).toMatchObject([{ kind: 'emergency' }]);
  });
});

it('--emergency of one domain is an emergency', { timeout: 60_000 }, async () => {
  const ran = await rotate(domain, '--emergency', ...why, '--json');
  expect(JSON.parse(ran.stdout)).toMatchObject({ rotation: { kind: 'emergency' } });
});

describeWith(['python3'], 'on a terminal', () => {
  const onTerminal = (typed: string) =>
    selkieOnTerminal(
      ['rotate', '--pool', 'mx', '--emergency', '--unsigned', ...why, '--dir', api.dir],
      [['Type 3 to go on: ', typed]],
    );

  it('goes on when the number is typed', { timeout: 120_000 }, async () => {
    const { status, seen, left } = await onTerminal('3\n');
    expect([status, left]).toEqual([0, []]);
    const text = seen.replaceAll(/\s+/g, ' ');
    expect(text).toContain('mail goes unsigned; the work on the last begins');
    expect(text).toContain('emergency rotation of 3 domains of pool mx requested');
  });

  it.each([
    ['y\n', 1],
    ['\x04', 1],
    ['\x03', 130],
  ])('%j orders nothing', { timeout: 120_000 }, async (typed, status) => {
    const ended = await onTerminal(typed);
    expect([ended.status, ended.left]).toEqual([status, []]);
    expect(ended.seen).toContain('nothing was ordered');
    await simulation.run(minutes(1));
    expect(await rotations()).toHaveLength(1);
  });
});

describeWith(['botocore'], 'on AWS', () => {
  it('is weighed and sent by signed requests', { timeout: 60_000 }, async () => {
    const gateway = await startGateway(createApi(crowded(simulation.world), () => {}));
    const env = { ...process.env, ...operator, AWS_REGION: region };
    const ran = await selkieIn(env, 'rotate', '--pool', 'mx', '--yes', ...why, '--api', gateway.url);
    await gateway.stop();
    expect([ran.status, ran.stderr]).toEqual([0, '']);
    expect(gateway.seen.map(({ what, fault }) => [what, fault])).toEqual([
      ['GET /v1/pools/mx/rotations', null],
      ['POST /v1/pools/mx/rotations', null],
    ]);
  });
});
