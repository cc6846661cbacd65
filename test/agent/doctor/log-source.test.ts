// Where doctor takes the mail log from: named files, Postfix's own, else the journal. The journal's answers are given here;
// that its program takes what it is asked is tried on the real one.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mailLog } from '../../../agent/doctor/log-source.ts';
import { type Exec, systemExec } from '../../../agent/postfix/exec.ts';
import type { Instance } from '../../../agent/postfix/read.ts';
import { describeWith } from '../../tools/machine.ts';
import { temporaryFolder } from '../../tools/temporary-folder.ts';

const postfixLine = '2026-11-30T12:00:00+0000 mx1 postfix/smtpd[7]: connect from localhost[127.0.0.1]';
const signerLine =
  '2026-11-30T12:00:01+0000 mx1 selkie-agent[8]: 4XyZ: DKIM-Signature field added (s=240128, d=example.com)';

/** A journal that has these lines of each unit. */
const journal = (lines: { readonly mail: readonly string[]; readonly signer: readonly string[] }) => {
  const asked: (readonly string[])[] = [];
  const exec: Exec = async (program, args, onLine) => {
    expect(program).toBe('journalctl');
    asked.push(args);
    const found = [...(args.includes('SYSLOG_FACILITY=2') ? lines.mail : []), ...lines.signer];
    for (const line of found) onLine?.(line);
    return { code: 0, out: '', err: '' };
  };
  return { exec, asked };
};

const logsTo = (file: string): Instance =>
  ({ setting: (name: string) => (name === 'maillog_file' ? file : '') }) as unknown as Instance;

describe('the mail log', () => {
  it('is the file that Postfix writes, and the journal for a signer that it does not know of', async () => {
    const file = join(temporaryFolder(), 'postfix.log');
    writeFileSync(file, postfixLine);
    const { exec, asked } = journal({ mail: [], signer: [signerLine] });
    expect(await mailLog(exec, [logsTo(file)], [], 'opendkim')).toEqual({
      from: [file, 'the journal'],
      lines: [postfixLine, signerLine],
    });
    expect(asked).toHaveLength(1);
    expect(asked[0]).not.toContain('SYSLOG_FACILITY=2');
    expect(asked[0]?.at(-1)).toBe('_SYSTEMD_UNIT=opendkim.service');
  });

  it('is the journal, of Postfix and of the signer, where there is no file', async () => {
    const { exec } = journal({ mail: [postfixLine], signer: [signerLine] });
    expect(await mailLog(exec, [logsTo(join(temporaryFolder(), 'none'))], [], 'opendkim')).toEqual({
      from: ['the journal'],
      lines: [postfixLine, signerLine],
    });
  });

  it('is the named file alone where one is named', async () => {
    const file = join(temporaryFolder(), 'named.log');
    writeFileSync(file, signerLine);
    const { exec, asked } = journal({ mail: [postfixLine], signer: [] });
    expect(await mailLog(exec, [], [file], 'opendkim')).toEqual({ from: [file], lines: [signerLine] });
    expect(asked).toEqual([]);
  });
});

describeWith(['journalctl'], 'the journal', () => {
  it('is asked in words that journalctl understands', async () => {
    const [run, folder] = [systemExec(), temporaryFolder()];
    const codes: number[] = [];
    const exec: Exec = async (program, args, onLine) => {
      const outcome = await run(program, [`--directory=${folder}`, ...args], onLine);
      codes.push(outcome.code);
      return outcome;
    };
    const found = await mailLog(exec, [logsTo(join(folder, 'none'))], [], 'opendkim');
    expect({ found, codes }).toEqual({ found: { from: [], lines: [] }, codes: [0] });
  });
});
