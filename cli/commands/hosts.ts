// `selkie host`: which mail hosts count.

import type { Command } from 'commander';
import { connect } from '../connection.ts';
import { example, ordering, reading } from '../options.ts';
import { say, sayJson } from '../out.ts';
import { type PrintedHost, printHost } from '../print.ts';
import { allPages, hostPath } from './paths.ts';

export const addHost = (program: Command): void => {
  const host = program.command('host').description('the mail hosts of the fleet');

  const list = reading(
    host.command('list').description('each host, whether it counts, what it trusts, and what troubles it'),
  ).action(async (options, self: Command) => {
    const api = await connect(self);
    const hosts = await allPages(
      api,
      '/v1/hosts',
      (page: { hosts: PrintedHost[]; next?: string }) => page.hosts,
    );
    if (options.json === true) sayJson({ hosts });
    else for (const each of hosts) printHost(each, say);
  });
  example(list, 'selkie host list');

  const exclude = ordering(
    host.command('exclude').description('rotations no longer wait for this host').argument('<host>'),
  ).action(async (name: string, options, self: Command) => {
    const body = options.reason === undefined ? {} : { reason: options.reason };
    const answer = await (await connect(self)).call('POST', `${hostPath(name)}/exclusion`, body);
    if (options.json === true) return sayJson(answer);
    say(
      `${name} is excluded: rotations no longer wait for it; take it back with: selkie host return ${name}`,
    );
  });
  example(exclude, 'selkie host exclude mx3.example.jp --reason "away for repair"');

  const back = ordering(
    host
      .command('return')
      .description('rotations wait for this host again, once it holds a full snapshot')
      .argument('<host>'),
  ).action(async (name: string, options, self: Command) => {
    const body = options.reason === undefined ? undefined : { reason: options.reason };
    const answer = await (await connect(self)).call('DELETE', `${hostPath(name)}/exclusion`, body);
    if (options.json === true) return sayJson(answer);
    say(`${name} counts again once it holds a full snapshot`);
  });
  example(back, 'selkie host return mx3.example.jp');
};
