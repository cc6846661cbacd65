// `selkie completion`: what a shell needs to complete its commands; and `selkie names`, by which that asks for names.

import { Argument, type Command } from 'commander';
import { fleetSubject } from '../../core/audit.ts';
import type { DomainStatus } from '../../engine/status.ts';
import type { Api } from '../client.ts';
import { bashCompletion } from '../completion/bash.ts';
import { fishCompletion } from '../completion/fish.ts';
import { type CompletedCommand, completedCommands } from '../completion/model.ts';
import { zshCompletion } from '../completion/zsh.ts';
import { connect } from '../connection.ts';
import { dirOption, example } from '../options.ts';
import { domainPath } from './paths.ts';

const shells: Readonly<Record<string, (commands: readonly CompletedCommand[]) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

export const addCompletion = (program: Command): void => {
  const command = program
    .command('completion')
    .description('print what a shell needs to complete commands, domains, selectors and hosts')
    .addArgument(new Argument('<shell>').choices(Object.keys(shells)))
    .action((shell: string) => {
      process.stdout.write(shells[shell]?.(completedCommands(program)) ?? '');
    });
  example(
    command,
    'selkie completion bash > ~/.selkie-completion.bash',
    'selkie completion zsh > ~/.zsh/functions/_selkie',
    'selkie completion fish > ~/.config/fish/completions/selkie.fish',
  );
};

/** Somebody holds the Tab key: what does not answer at once is not offered. */
const patience = 2_000;
/** More would not be read; what is typed narrows it only in the shell. */
const most = 500;

const hosts = async (api: Api): Promise<readonly string[]> =>
  (await api.call<{ hosts: { host: string }[] }>('GET', `/v1/hosts?limit=${most}`)).hosts.map(
    ({ host }) => host,
  );

const page = async (api: Api): Promise<readonly DomainStatus[]> =>
  (await api.call<{ domains: DomainStatus[] }>('GET', `/v1/domains?limit=${most}`)).domains;

const names: Readonly<Record<string, (api: Api, domain?: string) => Promise<readonly string[]>>> = {
  domains: async (api) => (await page(api)).map(({ domain }) => domain),
  zones: async (api) => [...new Set((await page(api)).map(({ zone }) => zone))],
  hosts,
  subjects: async (api) => [
    fleetSubject,
    ...(await page(api)).map(({ domain }) => domain),
    ...(await hosts(api)).map((host) => `host/${host}`),
  ],
  selectors: async (api, domain) =>
    domain === undefined
      ? []
      : (await api.call<DomainStatus>('GET', domainPath(domain))).keys.map(({ selector }) => selector),
};

/** Hidden: it says nothing of what fails, for a shell would show it in the middle of a line. */
export const addNames = (program: Command): void => {
  program
    .command('names', { hidden: true })
    .addArgument(new Argument('<kind>').choices(Object.keys(names)))
    .argument('[words...]', 'what stands on the line: a domain first, for its selectors')
    .addOption(dirOption())
    .action(async (kind: string, words: readonly string[], _: unknown, self: Command) => {
      const late = setTimeout(() => process.exit(), patience);
      try {
        const found = (await names[kind]?.(await connect(self), words[0])) ?? [];
        process.stdout.write(found.map((name) => `${name}\n`).join(''));
      } catch {
        // Nothing is offered.
      } finally {
        clearTimeout(late);
      }
    });
};
