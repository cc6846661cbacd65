// What a person orders of a domain: `selkie rotate`, `emergency`, `compromise`, `rollback`, `abort`.

import { type Command, Option } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import type { DomainStatus } from '../../engine/status.ts';
import type { Api } from '../client.ts';
import { connect } from '../connection.ts';
import { followRotation } from '../follow.ts';
import { example, ordering } from '../options.ts';
import { say, sayJson } from '../out.ts';
import { openProgress, silentProgress } from '../progress.ts';
import { domainPath } from './paths.ts';
import { rotateMany } from './rotate-many.ts';

interface Ordered {
  readonly domain: string;
  readonly joined?: boolean;
  readonly rotation: { readonly id: string; readonly kind: string; readonly state: string };
}

const lookAgain = (domain: string): string => `look again with: selkie status ${domain}`;

const waitOption = (): Option =>
  new Option('--wait', 'show each step until every host signs with the new keys');

const reasonOf = ({ reason }: { reason?: string }): { reason?: string } =>
  reason === undefined ? {} : { reason };

const whatOf = ({ kind }: Ordered['rotation']): string =>
  kind === 'emergency' ? 'emergency rotation' : kind === 'rollback' ? 'rollback' : 'rotation';

/** Says what became of the order, and waits for its end where that is wanted. */
const follow = async (
  api: Api,
  domain: string,
  { joined, rotation, ...rest }: Ordered,
  options: { readonly wait?: boolean; readonly json?: boolean },
): Promise<void> => {
  const status = (): Promise<DomainStatus> => api.call<DomainStatus>('GET', domainPath(domain));
  const followed = { domain, rotation: rotation.id, status, lookEvery: api.lookEvery };
  if (options.json === true) {
    if (options.wait === true) await followRotation(followed, silentProgress);
    return sayJson({ ...rest, ...(joined === undefined ? {} : { joined }), rotation });
  }
  say(
    `${joined === true ? `joined the ${whatOf(rotation)} under way` : `${whatOf(rotation)} requested`}: ${rotation.id}`,
  );
  if (options.wait === true) say(await followRotation(followed, openProgress()));
  else say(lookAgain(domain));
};

export const addRotate = (program: Command): void => {
  const command = ordering(
    program
      .command('rotate')
      .description('rotate the keys of a domain now; or of all domains, a zone or a pool')
      .argument('[domain]')
      .addOption(new Option('--all', 'all domains of the fleet').conflicts(['zone', 'pool']))
      .addOption(new Option('--zone <zone>', 'the domains of this record zone').conflicts('pool'))
      .option('--pool <pool>', 'the domains that the hosts of this pool sign for')
      .option('--emergency', 'the keys that sign may be in other hands: revoke them after')
      .option('--compromised <selector>', 'as emergency --compromised')
      .option('--unsigned', 'as emergency --unsigned')
      .option('--yes', 'ask nothing where it means more than one domain')
      .addOption(waitOption()),
  ).action(async (domain: string | undefined, options, self: Command) => {
    const many = options.all === true || options.zone !== undefined || options.pool !== undefined;
    if (domain !== undefined && many)
      self.error(`error: ${domain} and --all, --zone or --pool: name the one or the other`);
    if (many) return rotateMany(await connect(self), options);
    if (domain === undefined)
      return self.error("error: missing required argument 'domain', or --all, --zone or --pool");
    const urgent = options.emergency === true || options.compromised !== undefined;
    if (options.unsigned === true && !urgent)
      throw new SelkieError('invalid', '--unsigned goes with --emergency or --compromised');
    const body = {
      ...reasonOf(options),
      ...(urgent ? { kind: 'emergency' } : {}),
      ...(options.compromised === undefined ? {} : { compromised: options.compromised }),
      ...(options.unsigned === true ? { unsigned: true } : {}),
    };
    const api = await connect(self);
    const answer = await api.call<Ordered>('POST', `${domainPath(domain)}/rotations`, body);
    await follow(api, domain, answer, options);
  });
  example(
    command,
    'selkie rotate example.jp --reason "a new administrator" --wait',
    'selkie rotate --pool mx --emergency --reason "mx1 was broken into"',
  );
};

export const addEmergency = (program: Command): void => {
  const command = ordering(
    program
      .command('emergency')
      .description('the keys that sign may be in other hands: replace them in a hurry, then revoke them')
      .argument('<domain>')
      .option('--compromised <selector>', 'only this key; by default those that sign')
      .option('--unsigned', 'revoke at once, though mail goes unsigned until the successor signs')
      .addOption(waitOption()),
  ).action(async (domain: string, options, self: Command) => {
    const body = {
      kind: 'emergency',
      ...reasonOf(options),
      ...(options.compromised === undefined ? {} : { compromised: options.compromised }),
      ...(options.unsigned === true ? { unsigned: true } : {}),
    };
    const api = await connect(self);
    const answer = await api.call<Ordered>('POST', `${domainPath(domain)}/rotations`, body);
    await follow(api, domain, answer, options);
  });
  example(command, 'selkie emergency example.jp --reason "mx1 was broken into" --wait');
};

export const addCompromise = (program: Command): void => {
  const command = ordering(
    program
      .command('compromise')
      .description('others may hold this key, whatever its state: replace it if it signs, and revoke it')
      .argument('<domain>')
      .argument('<selector>')
      .option('--unsigned', 'revoke at once, though mail goes unsigned until the successor signs')
      .addOption(waitOption()),
  ).action(async (domain: string, selector: string, options, self: Command) => {
    const body = { ...reasonOf(options), ...(options.unsigned === true ? { unsigned: true } : {}) };
    const api = await connect(self);
    const answer = await api.call<Partial<Ordered>>(
      'POST',
      `${domainPath(domain)}/keys/${encodeURIComponent(selector)}/compromise`,
      body,
    );
    const { rotation } = answer;
    if (rotation !== undefined) return follow(api, domain, { ...answer, domain, rotation }, options);
    // A key that signs no more needs no successor.
    if (options.json === true) return sayJson(answer);
    say(`${selector} of ${domain} is compromised: it is revoked`);
    say(lookAgain(domain));
  });
  example(command, 'selkie compromise example.jp 240128 --reason "found in a backup"');
};

const givenUp = (domain: string, answer: Ordered, options: { readonly json?: boolean }): void => {
  const { id, kind } = answer.rotation;
  if (options.json === true) sayJson(answer);
  else say(`rotation ${id} (${kind}) is given up; ${lookAgain(domain)}`);
};

export const addRollback = (program: Command): void => {
  const command = ordering(
    program
      .command('rollback')
      .description('go back to the key set before, or give up a rotation that has not switched')
      .argument('<domain>')
      .addOption(waitOption()),
  ).action(async (domain: string, options, self: Command) => {
    const api = await connect(self);
    const answer = await api.call<Ordered>('POST', `${domainPath(domain)}/rollback`, reasonOf(options));
    // What has not switched is given up, and there is nothing to wait for.
    if (answer.rotation.state !== 'aborted') return follow(api, domain, answer, options);
    givenUp(domain, answer, options);
  });
  example(command, 'selkie rollback example.jp --reason "mail fails at a partner" --wait');
};

export const addAbort = (program: Command): void => {
  const command = ordering(
    program.command('abort').description('give up the rotation under way').argument('<domain>'),
  ).action(async (domain: string, options, self: Command) => {
    const api = await connect(self);
    givenUp(
      domain,
      await api.call<Ordered>('POST', `${domainPath(domain)}/abort`, reasonOf(options)),
      options,
    );
  });
  example(command, 'selkie abort example.jp --reason "asked for the wrong domain"');
};
