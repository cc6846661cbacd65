// `selkie doctor`, put together: reaches the API as any command does, then looks at what it tells.

import type { Command } from 'commander';
import { type Check, type Seen, skipped, sound, wrong } from '../../agent/doctor/check.ts';
import { describe, hasCode } from '../../core/errors.ts';
import type { Fleet } from '../../core/policy.ts';
import { readFleet } from '../../fleet/read.ts';
import type { Api } from '../client.ts';
import { allPages, statuses } from '../commands/paths.ts';
import { connect, deploymentOf, goesToAws, type Where, wayTo } from '../connection.ts';
import type { PrintedHost } from '../print.ts';
import { type Audit, clocks, drift, fleetVersions, type Health, hosts, rotations } from './checks.ts';

interface Reached {
  readonly api: Api;
  readonly health: Health;
  /** This machine's clock, in the middle of the call. */
  readonly local: number;
  readonly took: number;
}

const reach = async (command: Command): Promise<Reached> => {
  const api = await connect(command);
  const before = Date.now();
  const health = await api.call<Health>('GET', '/v1/health');
  const after = Date.now();
  return { api, health, local: (before + after) / 2, took: after - before };
};

/** Who asks, where that is AWS. */
const credentials = async ({ api = process.env.SELKIE_API ?? '', profile, region }: Where): Promise<Seen> => {
  const [{ openAccount }, { gatewayOf }] = await Promise.all([
    import('../aws-account.ts'),
    import('../aws-client.ts'),
  ]);
  const named = URL.canParse(api) ? gatewayOf(new URL(api))?.region : undefined;
  const { arn } = await (await openAccount({ profile, region: named ?? region })).identity();
  return sound(arn);
};

const fleetFile = (name: string, wanted: boolean): { name: string; fleet: Fleet } | undefined => {
  try {
    return { name, fleet: readFleet(name) };
  } catch (error) {
    if (!wanted && hasCode(error, 'not-found')) return undefined;
    throw error;
  }
};

/**
 * The checks, those behind the first only where that passes: what cannot be reached cannot be looked at.
 * @param fleet the file's name; absent: fleet.yaml, where there is one
 */
export const doctorChecks = async (
  command: Command,
  fleet: string | undefined,
): Promise<readonly Check[]> => {
  const where: Where = command.optsWithGlobals();
  const aws = goesToAws(where);
  const told = (name: string, run: () => Seen | Promise<Seen>): Check => ({ name, run: async () => run() });
  const identity = aws ? [told('credentials', () => credentials(where))] : [];
  let reached: Reached;
  try {
    reached = await reach(command);
  } catch (error) {
    const mend = aws
      ? `aws sts get-caller-identity${where.profile === undefined ? '' : ` --profile ${where.profile}`}`
      : 'npm start';
    return [...identity, told('control plane', () => wrong(describe(error), mend))];
  }
  const { api, health, local, took } = reached;
  const way = wayTo(where);
  const run = (words: string): string => `selkie ${words}${way}`;
  const domains = await statuses(api, undefined);
  const place = deploymentOf(where);
  return [
    ...identity,
    told('control plane', () => sound(`${api.url}, ${took} ms`)),
    told('clock', () => clocks(health, local)),
    told('fleet', () =>
      fleetVersions(
        health,
        domains,
        fleetFile(fleet ?? 'fleet.yaml', fleet !== undefined),
        aws ? 'npx cdk diff, then npx cdk deploy' : 'stop and start it again: npm start',
      ),
    ),
    told('hosts', async () =>
      hosts(
        health,
        await allPages(api, '/v1/hosts', (page: { hosts: PrintedHost[]; next?: string }) => page.hosts),
        run,
      ),
    ),
    told('rotations', () => rotations(health, domains, run)),
    told('drift', async () =>
      drift(
        health,
        await allPages(api, '/v1/drift?limit=50', (page: { audits: Audit[]; next?: string }) => page.audits),
        run,
      ),
    ),
    ...(!aws
      ? []
      : [
          told('dead letters', async () => {
            if (place === undefined) return skipped('its stack is not named: --stage NAME or --stack NAME');
            return (await import('./dead-letters.ts')).deadLetters(place);
          }),
        ]),
  ];
};
