// `selkie disclosed`: the private halves of retired keys that were published.

import type { Command } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import type { Api } from '../client.ts';
import { connect } from '../connection.ts';
import { example, reading } from '../options.ts';
import { say, sayJson } from '../out.ts';
import { minute } from '../print.ts';
import { allPages, domainPath } from './paths.ts';

interface DisclosedKey {
  readonly selector: string;
  readonly algorithm: string;
  readonly removed: string;
  readonly publicKey: string;
  /** PEM. */
  readonly privateKey: string;
}

const disclosedKeys = (api: Api, domain: string): Promise<readonly DisclosedKey[]> =>
  allPages(
    api,
    `${domainPath(domain)}/disclosed?limit=500`,
    (page: { keys: DisclosedKey[]; next?: string }) => page.keys,
  );

export const addDisclosed = (program: Command): void => {
  const command = reading(
    program
      .command('disclosed')
      .description('retired keys that were published, or the private half of one')
      .argument('<domain>')
      .argument('[selector]'),
  ).action(async (domain: string, selector: string | undefined, options, self: Command) => {
    const keys = await disclosedKeys(await connect(self), domain);
    const key = keys.find((each) => each.selector === selector);
    if (selector !== undefined && key === undefined)
      throw new SelkieError(
        'not-found',
        `${selector} is not published: see selkie disclosed ${domain} for those that are`,
      );
    if (options.json === true) return sayJson(key ?? { domain, keys });
    if (key !== undefined) return void process.stdout.write(key.privateKey);
    if (keys.length === 0)
      say(
        `no key of ${domain} is published: that is done only where fleet.yaml says disclose: after-removal, once a retired key's record is gone`,
      );
    for (const { selector: name, algorithm, removed } of keys)
      say(`${name.padEnd(12)} ${algorithm.padEnd(8)} record gone since ${minute(removed)}`);
  });
  example(command, 'selkie disclosed example.jp', 'selkie disclosed example.jp 240128 > 240128.pem');
};
