// `selkie doctor`: whether the control plane itself is well.

import type { Command } from 'commander';
import { doctorChecks } from '../doctor/doctor.ts';
import { example, reading } from '../options.ts';
import { report } from '../report.ts';

export const addDoctor = (program: Command): void => {
  const command = reading(
    program
      .command('doctor')
      .description('whether the control plane is well: clocks, fleet, hosts, late work, drift')
      .option('--fleet <file>', 'the fleet file to compare with (default "fleet.yaml", if there is one)'),
  ).action(async (options: { fleet?: string; json?: true }, self: Command) => {
    const checks = await doctorChecks(self, options.fleet);
    if (!(await report(checks, options.json === true, { at: new Date().toISOString() })))
      process.exitCode = 1;
  });
  example(command, 'selkie doctor', 'selkie doctor --stage test --profile mail --json');
};
