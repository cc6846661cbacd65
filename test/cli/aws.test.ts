// The commands against an API on AWS: botocore judges the signatures, moto has the stacks and says who asks.
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { minutes } from '../../core/time.ts';
import { freePort } from '../tools/free-port.ts';
import { describeWith } from '../tools/machine.ts';
import { type Moto, startMoto } from '../tools/moto.ts';
import { type Ran, selkieIn } from '../tools/selkie.ts';
import { type Gateway, operator, region, startGateway } from '../tools/signed-gateway.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

let world: Simulation;
let gateway: Gateway;
let home: string;

/** This process's environment without anything of AWS. */
const bare = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('AWS_'))),
  HOME: home,
  AWS_EC2_METADATA_DISABLED: 'true',
});
const signedIn = (): NodeJS.ProcessEnv => ({ ...bare(), ...operator, AWS_REGION: region });
const selkie = (...args: string[]): Promise<Ran> => selkieIn(signedIn(), ...args, '--api', gateway.url);

const open = async (): Promise<void> => {
  home = temporaryFolder();
  world = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
  await world.run(minutes(60));
  gateway = await startGateway(createApi(world.world, () => {}));
};
const shut = async (): Promise<void> => {
  await gateway.stop();
  world.close();
};
const rotations = async (): Promise<number> =>
  (await world.world.ledger.domain(domain))?.rotations.length ?? 0;

describeWith(['botocore'], 'signed requests', () => {
  beforeEach(open);
  afterEach(shut);

  it('are right in botocore’s eyes: with a query, a body, a session token, and without', async () => {
    const status = await selkie('status', '--json');
    expect(status.stderr).toBe('');
    expect(JSON.parse(status.stdout).domains[0]).toMatchObject({ domain, keys: [{ state: 'active' }] });
    const rotated = await selkie('rotate', domain, '--reason', 'a “new” administrator + ~', '--json');
    expect(rotated.stderr).toBe('');
    expect(JSON.parse(rotated.stdout)).toMatchObject({ domain, rotation: { kind: 'requested' } });
    expect((await selkie('host', 'exclude', 'mx1.example.com')).status).toBe(0);
    expect((await selkie('host', 'return', 'mx1.example.com')).status).toBe(0);
    // A name that has to be escaped in a path is signed as it is sent.
    const odd = await selkie('status', 'two words/%41');
    expect([odd.status, odd.stderr]).toEqual([1, expect.stringContaining('is no domain name')]);
    expect(gateway.seen.map(({ fault }) => fault)).toEqual([null, null, null, null, null]);
    expect(gateway.seen.map(({ what }) => what)).toEqual([
      'GET /v1/domains?limit=500',
      `POST /v1/domains/${domain}/rotations`,
      'POST /v1/hosts/mx1.example.com/exclusion',
      'DELETE /v1/hosts/mx1.example.com/exclusion',
      'GET /v1/domains/two%20words%2F%2541',
    ]);
  });

  it.each(['cut', 503] as const)(
    'an order whose answer is lost (%s) is sent once more, and is one order',
    async (how) => {
      const before = await rotations();
      gateway.lose(how);
      const { status, stdout, stderr } = await selkie('rotate', domain);
      expect([status, stderr]).toEqual([0, '']);
      expect(stdout).toMatch(/rotation .*: id-\d+/);
      const keys = gateway.seen.map(({ headers }) => headers.get('idempotency-key'));
      expect(keys).toHaveLength(2);
      expect(keys[0]).toBe(keys[1]);
      expect(await rotations()).toBe(before + 1);
    },
  );

  it('gives up where the second answer is lost too', async () => {
    gateway.lose(503);
    gateway.lose(503);
    const { status, stderr } = await selkie('rotate', domain);
    expect(status).toBe(1);
    expect(stderr).toContain("the API's function failed or took too long (HTTP 503)");
    expect(gateway.seen).toHaveLength(2);
  });

  it('sends the idempotency key that it is told', async () => {
    const ask = () => selkie('rotate', domain, '--idempotency-key', 'monday', '--json');
    const [first, again] = [await ask(), await ask()];
    expect(JSON.parse(again.stdout).rotation.id).toBe(JSON.parse(first.stdout).rotation.id);
    expect(gateway.seen.map(({ headers }) => headers.get('idempotency-key'))).toEqual(['monday', 'monday']);
    const bad = await selkie('rotate', domain, '--idempotency-key', 'two words');
    expect([bad.status, bad.stderr]).toEqual([2, expect.stringContaining('printable characters')]);
  });

  it('refuses before it asks: no credentials, expired, no region, two, no TLS', {
    timeout: 120_000,
  }, async () => {
    const status = (env: NodeJS.ProcessEnv, ...args: string[]) =>
      selkieIn(env, 'status', ...args).then((ran) => [ran.status, ran.stderr]);
    const says = (text: string) => [1, expect.stringContaining(text)];
    const api = ['--api', gateway.url];
    expect(await status({ ...bare(), AWS_REGION: region }, ...api)).toEqual(says('no AWS credentials'));
    expect(await status({ ...bare(), ...operator }, ...api)).toEqual(says('which AWS region?'));
    const eu = 'https://abc123.execute-api.eu-west-1.amazonaws.com';
    expect(await status(signedIn(), '--api', eu, '--region', 'us-east-1')).toEqual(
      says('the API lies in eu-west-1: leave --region out'),
    );
    expect(await status(signedIn(), '--api', 'http://selkie.example.jp')).toEqual(says('without TLS'));
    expect(await status(signedIn(), '--api', 'selkie')).toEqual(says('is no URL of an API'));
    expect(await status(signedIn(), ...api, '--stage', 'test')).toEqual(
      says('leave --stage and --stack out'),
    );
    expect(await status(signedIn(), ...api, '--dir', home)).toEqual(says('leave one out'));
    const expired = { ...signedIn(), AWS_CREDENTIAL_EXPIRATION: '2024-01-28T09:00:00Z' };
    expect(await status(expired, ...api)).toEqual(says('have expired at 2024-01-28T09:00:00.000Z'));
    expect(await status(bare(), ...api, '--profile', 'nobody', '--region', region)).toEqual(
      says('no AWS credentials of profile nobody'),
    );
    const port = await freePort();
    expect(await status(signedIn(), '--api', `http://127.0.0.1:${port}`)).toEqual(says('no answer at'));
    expect(gateway.seen).toEqual([]);
  });

  it('by SELKIE_API, which an option overrules', async () => {
    const env = { ...signedIn(), SELKIE_API: gateway.url };
    expect((await selkieIn(env, 'status', domain)).stdout).toContain(domain);
    const local = await selkieIn(env, 'status', domain, '--dir', home);
    expect(local.stderr).toContain(`nothing has been started in ${home}`);
    expect(gateway.seen).toHaveLength(1);
  });

  it.each([
    [404, '{"message":"Not Found"}', 'has no such path: is it the ApiUrl of Selkie'],
    [429, '{"message":"Too Many Requests"}', 'takes no more requests for the moment'],
    [403, '{"message":"The security token included in the request is expired"}', 'credentials have expired'],
    [200, '<html>', 'answers something that is no JSON'],
    [418, 'teapot', 'answers 418 to GET /v1/domains/example.com: is it the API of Selkie?'],
  ])('says what an answer %i of somebody else means', async (code, text, sentence) => {
    gateway.say(code, text);
    const { status, stderr } = await selkie('status', domain);
    expect([status, stderr]).toEqual([1, expect.stringContaining(sentence)]);
  });
});

describeWith(['botocore', 'moto_server'], 'in an account', () => {
  let moto: Moto;
  beforeAll(async () => {
    moto = await startMoto();
  }, 60_000);
  afterAll(() => moto.stop());
  beforeEach(open);
  afterEach(shut);
  const inAccount = (): NodeJS.ProcessEnv => ({ ...signedIn(), AWS_ENDPOINT_URL: moto.url });

  const makeStack = async (name: string, outputs: Record<string, unknown>): Promise<void> => {
    const template = { Resources: { Topic: { Type: 'AWS::SNS::Topic' } }, Outputs: outputs };
    const body = new URLSearchParams({
      Action: 'CreateStack',
      Version: '2010-05-15',
      StackName: name,
      TemplateBody: JSON.stringify(template),
    });
    const scope = `Credential=a/20240128/${region}/cloudformation/aws4_request`;
    const headers = { authorization: `AWS4-HMAC-SHA256 ${scope}, SignedHeaders=host, Signature=0` };
    const response = await fetch(moto.url, { method: 'POST', headers, body });
    expect(response.status, await response.text()).toBe(200);
  };

  it('finds the API of a stage, and says where it does not', { timeout: 120_000 }, async () => {
    await makeStack('selkie-test', { ApiUrl: { Value: `${gateway.url}/` }, Other: { Value: 'a & b' } });
    const found = await selkieIn(inAccount(), '--stage', 'test', 'status', domain);
    expect(found.stderr).toBe('');
    expect(found.stdout).toContain(domain);
    expect(gateway.seen).toMatchObject([{ what: `GET /v1/domains/${domain}`, fault: null }]);
    await makeStack('mail', { Other: { Value: 'x' } });
    const status = (...args: string[]) =>
      selkieIn(inAccount(), 'status', ...args).then((ran) => [ran.status, ran.stderr]);
    expect(await status('--stack', 'mail')).toEqual([
      1,
      expect.stringContaining('it is no stack of Selkie; name another with --stack'),
    ]);
    expect(await status('--stage', 'staging')).toEqual([
      1,
      expect.stringContaining('there is no stack selkie-staging in eu-west-1'),
    ]);
    // Another region of the same account has none of them.
    expect(await status('--stage', 'test', '--region', 'us-east-1')).toEqual([
      1,
      expect.stringContaining('there is no stack selkie-test in us-east-1'),
    ]);
    expect(await status('--stage', 'Test 1')).toEqual([1, expect.stringContaining('small letters')]);
  });

  it('a caller who may not is told who they are, and what they lack', async () => {
    const env = { ...inAccount(), AWS_SECRET_ACCESS_KEY: 'another' };
    const { status, stderr } = await selkieIn(env, 'status', '--api', gateway.url);
    expect(gateway.seen[0]?.fault).toBe('signature');
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^selkie: arn:aws:\S+ may not call http:\S+: it needs execute-api:Invoke on arn:aws:execute-api:eu-west-1:\d{12}:\*\/\*/,
    );
    expect(stderr).not.toContain('another\n');
  });
});
