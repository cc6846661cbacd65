// What a check of the doctor is: something looks at one side of this host and says what is wrong, each with its mend.
import { describe } from '../../core/errors.ts';
import { isCode } from '../files.ts';

export interface Finding {
  /** What is wrong, as a sentence without its full stop. */
  readonly problem: string;
  /** Commands or lines of a file that mend it, in order. */
  readonly mends: readonly string[];
}

export interface Seen {
  readonly findings: readonly Finding[];
  /** What was seen, worth a word beside ✓ or ✗. */
  readonly note?: string;
  /** Why nothing could be looked at: not wrong by itself. */
  readonly skipped?: string;
}

export interface Check {
  /** `state folder`, `Postfix (postfix-out)`. */
  readonly name: string;
  run(): Promise<Seen>;
}

export interface Result extends Seen {
  readonly name: string;
}

export const sound = (note?: string): Seen =>
  note === undefined ? { findings: [] } : { findings: [], note };

export const wrong = (problem: string, ...mends: readonly string[]): Seen => ({
  findings: [{ problem, mends }],
});

export const skipped = (why: string): Seen => ({ findings: [], skipped: why });

/** One after the other, in their order; a check that fails has found that. */
export const runChecks = async (
  checks: readonly Check[],
  done: (result: Result) => void,
): Promise<readonly Result[]> => {
  const results: Result[] = [];
  for (const { name, run } of checks) {
    let seen: Seen;
    try {
      seen = await run();
    } catch (error) {
      const denied = isCode(error, 'EACCES');
      seen = wrong(describe(error).replace(/\.$/, ''), ...(denied ? ['sudo selkie-agent doctor'] : []));
    }
    const result = { name, ...seen };
    results.push(result);
    done(result);
  }
  return results;
};

/** For people: a line for each check, or for each thing that it found, the mend below. */
export const linesOf = ({ name, findings, note, skipped: why }: Result): readonly string[] => {
  if (why !== undefined && findings.length === 0) return [`- ${name}: not looked at: ${why}`];
  if (findings.length === 0) return [`✓ ${name}${note === undefined ? '' : `: ${note}`}`];
  return findings.flatMap(({ problem, mends }) => [
    `✗ ${name}: ${problem}`,
    ...mends.map((mend) => `    ${mend}`),
  ]);
};

export const summary = (results: readonly Result[]): string => {
  const bad = results.filter(({ findings }) => findings.length > 0).length;
  const idle = results.filter(
    (result) => result.skipped !== undefined && result.findings.length === 0,
  ).length;
  const looked = `${results.length - idle} ${results.length - idle === 1 ? 'check' : 'checks'}`;
  return bad === 0 ? `${looked}, nothing wrong.` : `${bad} of ${looked} found something wrong.`;
};
