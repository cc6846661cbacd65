// How the doctor tells what it found.
import { describe, expect, it } from 'vitest';
import {
  type Check,
  linesOf,
  runChecks,
  skipped,
  sound,
  summary,
  wrong,
} from '../../../agent/doctor/check.ts';

const check = (name: string, run: Check['run']): Check => ({ name, run });

describe('a result', () => {
  it.each([
    ['in order', sound('mx1.example.com'), ['✓ enrolment: mx1.example.com']],
    ['in order, without a word', sound(), ['✓ enrolment']],
    ['not looked at', skipped('there is none'), ['- enrolment: not looked at: there is none']],
    ['wrong', wrong('it is late', 'sleep 1', 'wake'), ['✗ enrolment: it is late', '    sleep 1', '    wake']],
  ])('%s', (_, seen, lines) => expect(linesOf({ name: 'enrolment', ...seen })).toEqual(lines));

  it('with several findings has a line for each', () => {
    const findings = ['one', 'two'].map((problem) => ({ problem, mends: [`mend ${problem}`] }));
    expect(linesOf({ name: 'x', findings, note: 'y' })).toEqual([
      '✗ x: one',
      '    mend one',
      '✗ x: two',
      '    mend two',
    ]);
  });
});

describe('the checks', () => {
  it('run one after the other, and one that fails has found that', async () => {
    const told: string[] = [];
    const denied = Object.assign(new Error("EACCES: permission denied, lstat '/x'"), { code: 'EACCES' });
    const results = await runChecks(
      [
        check('a', async () => sound()),
        check('b', async () => {
          throw new Error('It is broken.');
        }),
        check('c', () => Promise.reject(denied)),
        check('d', async () => skipped('no')),
      ],
      ({ name }) => told.push(name),
    );
    expect(told).toEqual(['a', 'b', 'c', 'd']);
    expect(results.map(({ findings }) => findings)).toEqual([
      [],
      [{ problem: 'It is broken', mends: [] }],
      [{ problem: denied.message, mends: ['sudo selkie-agent doctor'] }],
      [],
    ]);
    expect(summary(results)).toBe('2 of 3 checks found something wrong.');
  });

  it('are summed up when nothing is wrong', async () => {
    const results = await runChecks([check('a', async () => sound())], () => {});
    expect(summary(results)).toBe('1 check, nothing wrong.');
  });
});
