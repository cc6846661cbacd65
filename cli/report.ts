// What the checks of `verify` and `doctor` print: for people a line each, as they end; for programs one object.

import { styleText } from 'node:util';
import { type Check, linesOf, type Result, runChecks, summary } from '../agent/doctor/check.ts';
import { say, sayJson } from './out.ts';

const colours = { '✓': 'green', '✗': 'red', '-': 'dim' } as const;

const coloured = (line: string): string => {
  const mark = line.slice(0, 1);
  // styleText looks whether it is a terminal, and at NO_COLOR.
  return mark in colours
    ? `${styleText(colours[mark as keyof typeof colours], mark, { stream: process.stdout })}${line.slice(1)}`
    : line;
};

const resultOf = ({ findings, skipped }: Result): 'fail' | 'skipped' | 'pass' =>
  findings.length > 0 ? 'fail' : skipped === undefined ? 'pass' : 'skipped';

/**
 * Runs them and shows them.
 * @param about what programs are told besides
 * @param more what programs are told of a check besides, by its name, once it has run
 * @returns whether nothing was wrong
 */
export const report = async (
  checks: readonly Check[],
  json: boolean,
  about: Readonly<Record<string, unknown>>,
  more: ReadonlyMap<string, object> = new Map(),
): Promise<boolean> => {
  const results = await runChecks(checks, (result) => {
    if (!json) for (const line of linesOf(result)) say(coloured(line));
  });
  const ok = results.every(({ findings }) => findings.length === 0);
  if (!json) say(summary(results));
  else
    sayJson({
      ...about,
      ok,
      checks: results.map((result) => ({
        name: result.name,
        result: resultOf(result),
        ...(result.note === undefined ? {} : { note: result.note }),
        ...(result.skipped === undefined ? {} : { skipped: result.skipped }),
        ...(result.findings.length === 0 ? {} : { findings: result.findings }),
        ...more.get(result.name),
      })),
    });
  return ok;
};
