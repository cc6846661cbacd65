// What is and what comes: `selkie status`, `plan` and `forecast`.

import type { Command } from 'commander';
import type { Foreseen } from '../../engine/forecast.ts';
import { connect } from '../connection.ts';
import { example, reading, wholeNumber } from '../options.ts';
import { say, sayJson } from '../out.ts';
import { printForecast, printOverview, printPlan, printStatus } from '../print.ts';
import { domainPath, statuses } from './paths.ts';

interface Forecast {
  readonly domain: string;
  readonly events: readonly Foreseen[];
}

export const addStatus = (program: Command): void => {
  const command = reading(
    program
      .command('status')
      .description('what each domain signs with, what happens next, and what it waits for')
      .argument('[domain]'),
  ).action(async (domain: string | undefined, options, self: Command) => {
    const found = await statuses(await connect(self), domain);
    if (options.json === true) sayJson(domain === undefined ? { domains: found } : found[0]);
    else if (found.length > 1) printOverview(found, say);
    else for (const status of found) printStatus(status, say);
  });
  example(command, 'selkie status example.jp', 'selkie status --json --stage test');
};

export const addPlan = (program: Command): void => {
  const command = reading(
    program.command('plan').description('what would be done now, and what it waits for').argument('[domain]'),
  ).action(async (domain: string | undefined, options, self: Command) => {
    const found = await statuses(await connect(self), domain);
    if (options.json === true)
      sayJson(
        found.map(({ domain: name, next, blockedBy, wakeAt }) => ({ domain: name, next, blockedBy, wakeAt })),
      );
    else for (const status of found) printPlan(status, say);
  });
  example(command, 'selkie plan example.jp');
};

export const addForecast = (program: Command): void => {
  const command = reading(
    program
      .command('forecast')
      .description('what will happen if nothing goes wrong')
      .argument('[domain]')
      .option('--days <n>', 'how far', wholeNumber(1, 3_650, 'days are'), 120),
  ).action(async (domain: string | undefined, options, self: Command) => {
    const api = await connect(self);
    const domains =
      domain === undefined ? (await statuses(api, undefined)).map((each) => each.domain) : [domain];
    const found: Forecast[] = [];
    for (const name of domains)
      found.push(await api.call<Forecast>('GET', `${domainPath(name)}/forecast?days=${options.days}`));
    if (options.json === true) sayJson(found);
    else for (const each of found) printForecast(each, say);
  });
  example(command, 'selkie forecast example.jp --days 365');
};
