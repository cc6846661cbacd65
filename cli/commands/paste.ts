// `selkie paste`: what somebody is to paste into the panels of zones that no program can change.

import type { Command } from 'commander';
import { isWithin, lowerName } from '../../core/names.ts';
import type { ByHandStatus } from '../../engine/by-hand.ts';
import { connect } from '../connection.ts';
import { example, reading } from '../options.ts';
import { say, sayJson } from '../out.ts';
import { printByHand } from '../print-by-hand.ts';
import { allPages, domainPath } from './paths.ts';

type Zone = ByHandStatus['zones'][number];

/** The zones with what concerns one domain; those of which nothing does are left out. */
const ofDomain = (zones: readonly Zone[], domain: string): readonly Zone[] =>
  zones.flatMap((zone) => {
    const parent = `_domainkey.${domain}`;
    // Also where the record lies behind a CNAME: 240128._domainkey.example.com.keys.example.net.
    const changes = zone.changes.filter(({ name }) => isWithin(name, domain) || name.includes(`.${parent}.`));
    return changes.length === 0 ? [] : [{ ...zone, changes }];
  });

export const addPaste = (program: Command): void => {
  const command = reading(
    program
      .command('paste')
      .description('what to paste where people change the zone, and what its servers show')
      .argument('[domain]'),
  ).action(async (domain: string | undefined, options: { json?: true }, self: Command) => {
    const api = await connect(self);
    const all = await allPages(api, '/v1/by-hand?limit=100', (page: ByHandStatus) => page.zones);
    const zones = domain === undefined ? all : ofDomain(all, lowerName(domain));
    // Where nothing is asked for, it may be that nobody knows the domain: that is said.
    if (domain !== undefined && zones.length === 0 && !all.some(({ zone }) => zone === lowerName(domain)))
      await api.call('GET', domainPath(domain));
    if (options.json === true) return sayJson({ zones });
    if (all.length === 0)
      return say('no zone of fleet.yaml says provider: manual: there is nothing to paste');
    const asked = zones.filter(({ changes }) => changes.length > 0);
    if (asked.length === 0)
      return say(`nothing to paste${domain === undefined ? '' : ` for ${domain}`}: all is as it should be`);
    for (const zone of asked) printByHand(zone, say);
  });
  example(command, 'selkie paste', 'selkie paste example.jp --json');
};
