// `selkie paste` through the API, as it is on AWS.
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { minutes } from '../../core/time.ts';
import { describeWith } from '../tools/machine.ts';
import { type Ran, selkieIn } from '../tools/selkie.ts';
import { type Gateway, operator, region, startGateway } from '../tools/signed-gateway.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

let world: Simulation;
let gateway: Gateway;

describeWith(['botocore'], 'selkie paste', () => {
  beforeEach(async () => {
    world = await simulate('2024-01-28T09:00:00Z', { algorithms: ['rsa2048', 'ed25519'] }, [
      'mx1.example.com',
    ]);
  });
  afterEach(async () => {
    await gateway.stop();
    world.close();
  });
  const selkie = async (...args: string[]): Promise<Ran> => {
    gateway = await startGateway(createApi(world.world, () => {}));
    return selkieIn({ ...process.env, ...operator, AWS_REGION: region }, ...args, '--api', gateway.url);
  };

  it('shows each record to paste on lines of its own, long ones cut too', { timeout: 60_000 }, async () => {
    world.byHand();
    await world.run(minutes(10));
    const { stdout, stderr } = await selkie('paste', domain);
    expect(stderr).toBe('');
    const lines = stdout.split('\n');
    expect(lines[0]).toBe('example.com: 2 changes to make in its panel');
    expect(lines).toContain('1. ADD this record  (asked 2024-01-28 09:01Z)');
    expect(lines).toContain('   name   240128._domainkey');
    expect(lines).toContain('   name   240128e._domainkey');
    expect(lines.filter((line) => /^v=DKIM1; k=(rsa|ed25519); p=[\w+/=]+$/.test(line))).toHaveLength(2);
    expect(lines.filter((line) => /^"v=DKIM1; k=rsa; p=[\w+/=]+" "[\w+/=]+"$/.test(line))).toHaveLength(1);
    const records = lines.filter((line) => /^"?v=DKIM1/.test(line));
    for (const line of lines.filter((each) => !records.includes(each)))
      expect(line.length, line).toBeLessThanOrEqual(100);
  });

  it('says so where no zone is changed by people', { timeout: 60_000 }, async () => {
    await world.run(minutes(10));
    expect(await selkie('paste')).toMatchObject({
      status: 0,
      stdout: 'no zone of fleet.yaml says provider: manual: there is nothing to paste\n',
    });
  });

  it('fails for a domain that nobody knows', { timeout: 60_000 }, async () => {
    world.byHand();
    await world.run(minutes(10));
    expect(await selkie('paste', 'other.example')).toMatchObject({
      status: 1,
      stdout: '',
      stderr: 'selkie: other.example is not in fleet.yaml, which has 1 domain\n',
    });
  });

  it('says so where nothing is asked for', { timeout: 60_000 }, async () => {
    world.byHand();
    await world.run(minutes(10));
    await world.paste();
    await world.run(minutes(10));
    expect(await selkie('paste', domain)).toMatchObject({
      status: 0,
      stdout: `nothing to paste for ${domain}: all is as it should be\n`,
    });
  });
});
