// `selkie init`: a commented fleet.yaml from five answers, or from what Postfix and Route 53 say.

import { existsSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { type Exec, systemExec } from '../../agent/postfix/exec.ts';
import { hasCode, SelkieError } from '../../core/errors.ts';
import { parseFleet } from '../../fleet/read.ts';
import type { Where } from '../connection.ts';
import {
  type Answers,
  localZones,
  manualZones,
  type Parsed,
  parseAlgorithms,
  parseDomains,
  parsePool,
  parseRotateEvery,
  parseZones,
  type Zone,
  zoneOf,
  zoneWord,
} from '../init/answers.ts';
import { type Asker, isTerminal, terminalAsker } from '../init/ask.ts';
import { fleetText } from '../init/fleet-text.ts';
import { type PostfixDomains, postfixDomains } from '../init/postfix-domains.ts';
import { example, jsonOption } from '../options.ts';
import { say, sayJson } from '../out.ts';

interface InitOptions {
  readonly fleet: string;
  readonly domain: readonly string[];
  readonly postfix?: true;
  readonly zone: readonly string[];
  readonly route53?: true;
  readonly local?: true;
  readonly manual?: true;
  readonly pool?: string;
  readonly rotateEvery?: string;
  readonly algorithms?: string;
  readonly yes?: true;
  readonly force?: true;
  readonly json?: true;
  readonly profile?: string;
  readonly region?: string;
}

const usual = { pool: 'outbound', rotateEvery: 'P90D', algorithms: 'rsa2048' } as const;

/** What a flag says.  @throws invalid, with what is wrong */
const told = <T>(flag: string, parsed: Parsed<T>): T => {
  if ('value' in parsed) return parsed.value;
  throw new SelkieError('invalid', `${flag}: ${parsed.wrong}`);
};

/** Hints go to standard error, so that `--json` stays JSON. */
const hint = (text: string): void => void process.stderr.write(`${text}\n`);

const findPostfix = async (options: InitOptions, exec: Exec, asker: Asker | undefined) => {
  const none: PostfixDomains = { domains: [], remarks: [] };
  const wanted = options.postfix === true;
  if (!wanted && (asker === undefined || options.domain.length > 0)) return none;
  return postfixDomains(exec).catch((error: unknown) => {
    // Nobody asked for it: where it is not there, it suggests nothing.
    if (!wanted && hasCode(error, 'not-found', 'unavailable')) return none;
    throw error;
  });
};

const lookUpZones = async ({ profile, region }: InitOptions): Promise<readonly Zone[]> => {
  // Only here: it takes longer to load than all else.
  const { hostedZones } = await import('../init/hosted-zones.ts');
  return hostedZones({ profile, region });
};

/** Names that mail may come from: reverse zones and zones of records alone are none. */
const signing = (zones: readonly Zone[]): readonly string[] =>
  zones.map(({ name }) => name).filter((name) => !name.endsWith('.arpa') && 'value' in parseDomains(name));

const askDomains = async (
  options: InitOptions,
  asker: Asker | undefined,
  suggested: readonly string[],
): Promise<readonly string[]> => {
  if (options.domain.length > 0) return told('--domain', parseDomains(options.domain.join(' ')));
  const suggestion = suggested.length === 0 ? undefined : suggested.join(' ');
  if (asker !== undefined)
    return asker.ask(
      'Which domains does your mail come from?',
      'The part behind the @ of its senders; several with spaces between.',
      suggestion,
      parseDomains,
    );
  if (suggestion !== undefined) return told('domains', parseDomains(suggestion));
  throw new SelkieError(
    'invalid',
    options.postfix === true || options.route53 === true
      ? 'no domain was found there: name it, with --domain example.jp'
      : 'which domains? Name them with --domain example.jp, or have them read with --postfix or --route53',
  );
};

/** The zones among `known` that hold the domains.  @throws not-found, naming those that none holds */
const matching = (domains: readonly string[], known: readonly Zone[]): Parsed<readonly Zone[]> => {
  const missing = domains.filter((domain) => zoneOf(domain, known) === undefined);
  if (missing.length > 0)
    return {
      wrong: `no hosted zone of this account holds ${missing.join(', ')}: name it, as ${missing[0]}=Z0123456789ABC`,
    };
  const used = [...new Set(domains.flatMap((domain) => zoneOf(domain, known) ?? []))];
  const twice = used.find(({ name }) => known.filter((zone) => zone.name === name).length > 1);
  if (twice === undefined) return { value: used };
  const ids = known.flatMap((zone) => (zone.name === twice.name && 'id' in zone ? zone.id : []));
  return {
    wrong: `the account has several hosted zones ${twice.name} (${ids.join(', ')}): name the one that is delegated to, as ${twice.name}=${ids[0]}`,
  };
};

const askZones = async (
  options: InitOptions,
  asker: Asker | undefined,
  domains: readonly string[],
  listed: readonly Zone[] | undefined,
): Promise<readonly Zone[]> => {
  if (options.local === true) return localZones(domains);
  if (options.manual === true) return manualZones(domains);
  const named = options.zone.length === 0 ? [] : told('--zone', parseZones(options.zone.join(' '), []));
  // What is named goes before what is found.
  const known = [...named, ...(listed ?? []).filter(({ name }) => !named.some((zone) => zone.name === name))];
  const found = matching(domains, known);
  if ('value' in found && (named.length > 0 || asker === undefined)) return found.value;
  if (asker === undefined)
    throw new SelkieError(
      'invalid',
      known.length > 0 && 'wrong' in found
        ? found.wrong
            .replace('name it, as', 'name it with --zone')
            .replace('delegated to, as', 'delegated to with --zone')
        : 'which hosted zones? Name them with --zone example.jp=Z0123456789ABC, read them with --route53, say --manual where DNS is elsewhere, or try it with --local',
    );
  const suggestion = 'value' in found ? found.value.map(zoneWord).join(' ') : undefined;
  return asker.ask(
    'Which zones hold them?',
    'route53 looks the hosted zones up with your AWS credentials, or name them:\nexample.jp=Z0123456789ABC, several with spaces between; manual: DNS is\nelsewhere, and you paste what Selkie says (of one zone: example.jp=manual);\nlocal is for trying Selkie on this machine.',
    suggestion ?? 'local',
    async (text) => {
      if (text === 'local') return { value: localZones(domains) };
      if (text === 'manual') return { value: manualZones(domains) };
      if (text !== 'route53') return parseZones(text, domains);
      try {
        const zones = await lookUpZones(options);
        const match = matching(domains, zones);
        if ('value' in match) for (const zone of match.value) say(zoneWord(zone).replace('=', ' is '));
        return match;
      } catch (error) {
        return { wrong: error instanceof SelkieError ? error.message.replace(/\.$/, '') : String(error) };
      }
    },
  );
};

const askPolicy = async (
  options: InitOptions,
  asker: Asker | undefined,
): Promise<Pick<Answers, 'pool' | 'rotateEvery' | 'algorithms'>> => {
  const answer = async <T>(
    flag: string,
    given: string | undefined,
    suggestion: string,
    title: string,
    hintText: string,
    parse: (text: string) => Parsed<T>,
  ): Promise<T> =>
    given !== undefined || asker === undefined
      ? told(flag, parse(given ?? suggestion))
      : asker.ask(title, hintText, suggestion, parse);
  return {
    pool: await answer(
      '--pool',
      options.pool,
      usual.pool,
      'What do you call the mail hosts that sign for them?',
      'One name for the group; it may get more hosts later.',
      parsePool,
    ),
    rotateEvery: await answer(
      '--rotate-every',
      options.rotateEvery,
      usual.rotateEvery,
      'How often does a domain get a new key?',
      'In days, or on-demand: only when somebody asks.',
      parseRotateEvery,
    ),
    algorithms: await answer(
      '--algorithms',
      options.algorithms,
      usual.algorithms,
      'Which keys sign?',
      'rsa2048 is for everyone; rsa2048 ed25519 signs each message with both.',
      parseAlgorithms,
    ),
  };
};

const gather = async (options: InitOptions, asker: Asker | undefined): Promise<Answers> => {
  const postfix = await findPostfix(options, systemExec(), asker);
  for (const remark of postfix.remarks) hint(`- ${remark}`);
  const listed = options.route53 === true ? await lookUpZones(options) : undefined;
  const suggested = postfix.domains.length > 0 ? postfix.domains : signing(listed ?? []);
  const domains = await askDomains(options, asker, suggested);
  const zones = await askZones(options, asker, domains, listed);
  return { domains, zones, ...(await askPolicy(options, asker)) };
};

const write = (file: string, text: string, force: boolean): void => {
  try {
    writeFileSync(file, text, { flag: force ? 'w' : 'wx' });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw code === 'EEXIST'
      ? isThere(file)
      : new SelkieError('unavailable', `${file} cannot be written: ${code}`, { cause });
  }
};

const isThere = (file: string): SelkieError =>
  new SelkieError(
    'exists',
    `${file} is there already: name another with --fleet, or overwrite it with --force`,
  );

const nextSteps = (file: string, zones: readonly Zone[]): readonly string[] => {
  const manual = zones.some((zone) => !('id' in zone));
  return [
    ...(zones.every((zone) => 'id' in zone && zone.id.startsWith('ZLOCAL'))
      ? [`Try it on this machine: selkie up --fleet ${file}`]
      : [
          ...(manual ? [`Put it to work on this machine: selkie up --fleet ${file}`] : []),
          `What it costs on AWS: selkie cost --fleet ${file}`,
          `Put it to work on AWS: npx cdk deploy -c fleet=${file}; docs/aws.md goes through it`,
        ]),
    ...(manual ? ['Then selkie paste says what to paste; docs/how-to/dns-elsewhere.md goes through it'] : []),
  ];
};

const several = (value: string, before: readonly string[]): readonly string[] => [...before, value];

const init = async (options: InitOptions): Promise<void> => {
  const { fleet: file, force } = options;
  if (force !== true && existsSync(file)) throw isThere(file);
  if (options.local === true && (options.route53 === true || options.zone.length > 0))
    throw new SelkieError('invalid', '--local makes zones up: leave --route53 and --zone out');
  if (options.manual === true && (options.local ?? options.route53 ?? options.zone[0]) !== undefined)
    throw new SelkieError(
      'invalid',
      '--manual says that all zones are elsewhere: leave --local, --route53 and --zone out; of one alone, write --zone example.jp=manual',
    );
  const asker =
    options.yes !== true && options.json !== true && isTerminal() ? terminalAsker(file, 5) : undefined;
  let answers: Answers;
  try {
    answers = await gather(options, asker);
  } finally {
    asker?.close();
  }
  const text = fleetText(answers);
  // What does not pass here would be refused at the next command.
  const { domains, zones } = parseFleet(text, { file, version: 0 });
  write(file, text, force === true);
  if (options.json === true) return sayJson({ file, ...answers });
  const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
  say(`\n${file}: ${count(domains.size, 'domain')}, ${count(zones.size, 'zone')}, pool ${answers.pool}`);
  for (const line of nextSteps(file, answers.zones)) say(line);
};

export const addInit = (program: Command): void => {
  const command = program
    .command('init')
    .description('write a fleet file, from five questions or from what Postfix and Route 53 say')
    .option('--fleet <file>', 'the fleet file to write', 'fleet.yaml')
    .option('--domain <domain>', 'a domain that mail comes from (repeatable)', several, [])
    .option('--postfix', "the domains of this host's Postfix")
    .option('--zone <name=id>', 'a hosted zone and its id, or NAME=manual (repeatable)', several, [])
    .option('--route53', "the account's hosted zones, by --profile; their domains, too")
    .option('--manual', 'DNS is elsewhere: you paste what selkie paste says')
    .option('--local', 'no zones of Route 53: for trying it on this machine')
    .option('--pool <name>', `the pool of mail hosts (default "${usual.pool}")`)
    .option('--rotate-every <time>', `days, P90D or on-demand (default "${usual.rotateEvery}")`)
    .option('--algorithms <names>', `rsa2048, ed25519 or both (default "${usual.algorithms}")`)
    .option('--yes', 'ask nothing; so it is too where there is no terminal')
    .option('--force', 'overwrite a file that is there')
    .addOption(jsonOption())
    .action((_: unknown, self: Command) => {
      const { stage, stack, api }: Where = self.optsWithGlobals();
      if ([stage, stack, api].some((each) => each !== undefined))
        throw new SelkieError(
          'invalid',
          'init writes a file, before there is a stack: leave --stage, --stack and --api out',
        );
      return init(self.optsWithGlobals());
    });
  example(
    command,
    'selkie init',
    'selkie init --postfix --route53 --profile mail --yes',
    'selkie init --domain example.jp --zone example.jp=Z0123456789ABC',
    'selkie init --domain example.jp --manual',
  );
};
