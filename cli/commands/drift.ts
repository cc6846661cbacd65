// `selkie drift`: what the last audits found that is not as the ledger says.

import type { Command } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import type { driftStatus } from '../../engine/drift.ts';
import { connect } from '../connection.ts';
import { example, idempotencyOption, reading } from '../options.ts';
import { say, sayJson } from '../out.ts';
import { printAudit } from '../print.ts';
import { allPages } from './paths.ts';

type Page = Awaited<ReturnType<typeof driftStatus>>;

interface Options {
  readonly zone?: string;
  readonly run?: true;
  readonly reason?: string;
  readonly json?: true;
}

export const addDrift = (program: Command): void => {
  const command = reading(
    program
      .command('drift')
      .description('what the last audits of records, secrets, rows and hosts found')
      .option('--zone <zone>', 'only this record zone')
      .option('--run', 'audit now; what it finds is shown by another selkie drift'),
  )
    .option('--reason <text>', 'with --run: why, for the audit trail')
    .addOption(idempotencyOption())
    .action(async (options: Options, self: Command) => {
      const { zone, reason } = options;
      if (reason !== undefined && options.run !== true)
        throw new SelkieError('invalid', '--reason goes with --run');
      const api = await connect(self);
      if (options.run === true) {
        const answer = await api.call<{ audits: number }>('POST', '/v1/drift', {
          ...(zone === undefined ? {} : { zone }),
          ...(reason === undefined ? {} : { reason }),
        });
        if (options.json === true) return sayJson(answer);
        const what = answer.audits === 1 ? 'audit was' : 'audits were';
        return say(`${answer.audits} ${what} asked for; look in a minute: selkie drift`);
      }
      const all = await allPages(api, '/v1/drift?limit=50', (page: Page) => page.audits);
      const wanted = zone === undefined ? undefined : `zone/${zone.toLowerCase().replace(/\.$/, '')}`;
      const found = wanted === undefined ? all : all.filter(({ subject }) => subject === wanted);
      if (options.json === true) return sayJson({ audits: found });
      if (found.length === 0)
        throw new SelkieError(
          'not-found',
          `no audit of ${zone === undefined ? 'anything' : `zone ${zone}`} is known: ask for one with selkie drift --run${zone === undefined ? '' : ` --zone ${zone}`}`,
        );
      for (const audit of found) printAudit(audit, say);
    });
  example(command, 'selkie drift', 'selkie drift --run --zone example.jp');
};
