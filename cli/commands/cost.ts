// `selkie cost`: what the fleet costs on AWS in a month.

import { type Command, Option } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import { defaultVault, type VaultLayout } from '../../core/policy.ts';
import { readFleet } from '../../fleet/read.ts';
import { stayHere } from '../connection.ts';
import { type Estimate, estimate } from '../cost/estimate.ts';
import { prices, pricesOf } from '../cost/prices.ts';
import { example, jsonOption } from '../options.ts';
import { say, sayJson } from '../out.ts';

/** Dollars that a layout has to save in a month before it is worth a word. */
const worthSaying = 50;

const count = (quantity: number): string =>
  quantity >= 100 ? Math.round(quantity).toLocaleString('en') : String(Number(quantity.toPrecision(2)));
const money = (dollars: number): string =>
  dollars.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
/** Of one domain, which may be a fraction of a cent. */
const smallMoney = (dollars: number): string =>
  dollars >= 0.1 ? money(dollars) : dollars.toLocaleString('en', { maximumSignificantDigits: 2 });

const row = (what: string, quantity: string, dollars: string): string =>
  `  ${what.padEnd(46)} ${quantity.padStart(14)} ${dollars.padStart(12)}`;

/** What an operator should know before they take this for their bill. */
const advice = (found: Estimate, other: Estimate): readonly string[] => {
  const hints: string[] = [];
  const sharded = found.layout === 'sharded' ? found : other;
  if (sharded.secrets > 100 && sharded.keys < 4 * sharded.secrets)
    hints.push(
      'Keys share a secret with those that are made with them. Few domains rotate at one time here, so that the layout sharded saves little: longer periods (rotateEvery) do, or the same one for more domains.',
    );
  const saved = found.total - other.total;
  if (saved >= worthSaying)
    hints.push(
      `With vault: { layout: ${other.layout} } in the fleet file it would be $${money(other.total)}, $${money(saved)} less a month.`,
    );
  return hints;
};

const print = (found: Estimate, hints: readonly string[]): void => {
  const { domains, hosts, zones, keys, secrets, rotations, layout } = found;
  say(
    `${domains.toLocaleString('en')} domains, ${hosts} hosts, ${zones.toLocaleString('en')} zones, vault ${layout}`,
  );
  say(`${count(keys)} keys in ${count(secrets)} secrets, ${count(rotations)} rotations a month`);
  say('');
  say(row('', 'a month', '$ a month'));
  for (const { service, what, quantity, dollars } of found.lines)
    if (quantity > 0) say(row(`${service}: ${what}`, count(quantity), money(dollars)));
  say(row('in all', '', money(found.total)));
  if (domains > 0) say(row('for each domain', '', smallMoney(found.total / domains)));
  say('');
  say(`The hosted zones are paid for with or without Selkie: $${money(found.zonesTotal)}.`);
  for (const hint of hints) say(hint);
  say(
    `Prices of us-east-1 as of ${pricesOf}, without free tier, discounts and taxes; an estimate, and no bill. --json tells where each comes from.`,
  );
};

export const addCost = (program: Command): void => {
  const command = program
    .command('cost')
    .description('what the fleet costs on AWS in a month, by service')
    .option('--fleet <file>', 'the fleet file', 'fleet.yaml')
    .addOption(
      new Option(
        '--layout <layout>',
        'how private keys lie in Secrets Manager; by default as the fleet says',
      ).choices(['per-key', 'sharded']),
    )
    .addOption(jsonOption())
    .action((options: { fleet: string; layout?: VaultLayout; json?: boolean }, self: Command) => {
      stayHere(self, 'cost reckons from the fleet file, and asks no account');
      const fleet = readFleet(options.fleet);
      const layout = options.layout ?? (fleet.vault ?? defaultVault).layout;
      const found = estimate(fleet, layout);
      if (!Number.isFinite(found.total))
        throw new SelkieError('invalid', 'the fleet has a policy without a length: see rotateEvery');
      const hints = advice(found, estimate(fleet, layout === 'per-key' ? 'sharded' : 'per-key'));
      if (options.json !== true) return print(found, hints);
      const sources = found.lines.map((each) => ({ ...each, ...prices[each.price] }));
      sayJson({ ...found, lines: sources, hints, region: 'us-east-1', prices: pricesOf });
    });
  example(command, 'selkie cost --fleet docs/fleet.example.yaml', 'selkie cost --layout sharded --json');
};
