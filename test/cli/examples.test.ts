// What docs/command-line.md shows of curl and awscurl, run as it stands there against an API that wants signatures.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { minutes } from '../../core/time.ts';
import { describeWith } from '../tools/machine.ts';
import { type Gateway, operator, region, startGateway } from '../tools/signed-gateway.ts';
import { type Simulation, simulate } from '../world/world.ts';

const page = readFileSync('docs/command-line.md', 'utf8');
/** The example whose commands begin with a program's name. */
const blockOf = (name: string): string =>
  [...page.matchAll(/```sh\n([\s\S]*?)```/g)]
    .map(([, text = '']) => text)
    .find((text) => new RegExp(`^ *${name} `, 'm').test(text)) ?? '';

let world: Simulation;
let gateway: Gateway;

describeWith(['botocore', 'curl'], 'docs/command-line.md', () => {
  beforeEach(async () => {
    world = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
    await world.run(minutes(60));
    gateway = await startGateway(createApi(world.world, () => {}));
  });
  afterEach(async () => {
    await gateway.stop();
    world.close();
  });

  const run = async (block: string): Promise<string> => {
    // Everything as it stands, but for the place: it is on this machine.
    const script = block.replace(/^export SELKIE_API=.*$/m, '');
    const env = {
      PATH: process.env.PATH,
      HOME: '/nonexistent',
      ...operator,
      AWS_REGION: region,
      SELKIE_API: gateway.url,
    };
    const { stdout } = await promisify(execFile)('bash', ['-euc', script], { env });
    return stdout;
  };

  it('curl', async () => {
    const block = blockOf('curl');
    expect(block).toContain('--aws-sigv4');
    const answers = await run(block);
    expect(gateway.seen.map(({ what, fault }) => [what, fault])).toEqual([
      ['GET /v1/domains/example.com', null],
      ['POST /v1/domains/example.com/rotations', null],
      ['POST /v1/domains/example.com/rotations', null],
    ]);
    expect(answers).toContain('"kind":"requested"');
    expect(answers).toContain('"kind":"emergency"');
  });

  // It is no package of Debian's, and is not run.
  it('awscurl is shown with requests that curl is shown with', () => {
    const requests = (block: string): readonly (readonly [url: string, body: string])[] =>
      block
        .replaceAll('\\\n', ' ')
        .split('\n')
        .flatMap((line) => {
          const url = /"(\$SELKIE_API\/[^"]+)"/.exec(line)?.[1];
          return url === undefined ? [] : [[url, /(?:-d|--data) '([^']+)'/.exec(line)?.[1] ?? ''] as const];
        });
    const shown = requests(blockOf('awscurl'));
    expect(shown).toHaveLength(2);
    expect(requests(blockOf('curl'))).toEqual(expect.arrayContaining([...shown]));
  });
});
