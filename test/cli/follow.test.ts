// What `--wait` shows: gates as they are passed, what is waited for in place on a terminal and in plain lines elsewhere; and
// that Ctrl-C leaves the work running.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import { followRotation } from '../../cli/follow.ts';
import { terminalProgress } from '../../cli/progress.ts';
import { SelkieError } from '../../core/errors.ts';
import type { DomainStatus } from '../../engine/status.ts';
import { describeWith } from '../tools/machine.ts';
import { type Running, selkie, startUp } from '../tools/selkie.ts';
import { makeFolder, temporaryFolder } from '../tools/temporary-folder.ts';
import { screenOf, selkieOnTerminal } from '../tools/terminal.ts';

const waitsFor =
  'waiting for ns-512.awsdns-00.net at 240401._domainkey.example.jp: 2 of 4 servers show what they should';

const statusAt = (state: DomainStatus['keys'][number]['state'], says?: string): DomainStatus => ({
  domain: 'example.jp',
  zone: 'example.jp',
  pool: 'mx',
  leaving: false,
  keys: [
    { selector: '240128', algorithm: 'rsa2048', state: 'active', record: '', reserved: '' },
    { selector: '240401', algorithm: 'rsa2048', state, record: '', reserved: '' },
  ],
  rotations: [
    {
      id: 'id-7',
      kind: 'requested',
      state: state === 'active' ? 'done' : 'standby',
      requested: '',
      algorithms: ['rsa2048'],
      selectors: ['240401'],
    } as DomainStatus['rotations'][number],
  ],
  taken: [],
  next: [],
  blockedBy: [
    ...(says === undefined ? [] : [{ by: 'trouble' as const, says }]),
    { by: 'wait', selector: '240128', says: 'mail signed with 240128 drains' },
  ],
});

/** Answers one after the other; the last again and again. */
const answering = (answers: readonly (DomainStatus | Error)[]) => {
  let at = 0;
  return async (): Promise<DomainStatus> => {
    const answer = answers[Math.min(at, answers.length - 1)];
    at += 1;
    if (answer === undefined || answer instanceof Error) throw answer;
    return answer;
  };
};

const lines: string[] = [];
const listing = {
  reached: (text: string) => void lines.push(stripVTControlCharacters(text)),
  waiting: (texts: readonly string[]) => void lines.push(...texts.map((text) => `… ${text}`)),
  end: () => {},
};
const one = (answers: readonly (DomainStatus | Error)[]) => ({
  domain: 'example.jp',
  rotation: 'id-7',
  status: answering(answers),
  lookEvery: 1,
});
const away = new SelkieError('unavailable', 'no answer at http://127.0.0.1: is npm start still running?');

afterEach(() => void lines.splice(0));

it('tells each gate once, also those between two looks, and only what the rotation waits for', async () => {
  const end = await followRotation(
    one([statusAt('publishing', waitsFor), statusAt('publishing', waitsFor), statusAt('active')]),
    listing,
  );
  expect(end).toBe('done: example.jp signs with 240401');
  expect(lines).toEqual([
    '  ✓ 240401 reserved: its selector is reserved',
    '  ✓ 240401 stored: its private key is in the vault',
    '  ✓ 240401 publishing: its record is handed to the provider',
    `… ${waitsFor}`,
    `… ${waitsFor}`,
    '  ✓ 240401 published: every name server shows its record',
    '  ✓ 240401 standby: every ready host holds it',
    '  ✓ 240401 active: every ready host signs with it',
  ]);
});

it('a look that fails is no end; five in a row are, with how to look again', async () => {
  expect(await followRotation(one([away, away, statusAt('active')]), listing)).toContain('done');
  await expect(followRotation(one([away]), listing)).rejects.toThrow(
    'What was ordered goes on; look again with: selkie status example.jp',
  );
  await expect(followRotation(one([new SelkieError('not-found', 'gone')]), listing)).rejects.toThrow('gone');
});

it('in place: what was waited for is taken back, in as many lines as it had', () => {
  let seen = '';
  let now = 0;
  const terminal = {
    columns: 40,
    rows: 24,
    write: (text: string) => (seen += text.replaceAll('\n', '\r\n')),
  };
  const progress = terminalProgress(
    terminal,
    (text) => terminal.write(`${text}\n`),
    () => now,
  );
  progress.waiting([waitsFor]);
  const first = screenOf(seen).filter((line) => line !== '');
  expect(first.length).toBeGreaterThan(3);
  expect(first.filter((line) => line.length >= 40)).toEqual([]);
  now = 75_000;
  progress.waiting(['waiting for mx2 to hold 240401']);
  progress.reached('a line that stays');
  progress.waiting(['waiting for mx2 to hold 240401']);
  expect(screenOf(seen)).toEqual([
    'a line that stays',
    expect.stringMatching(/^[|/\\-] waiting for mx2 to hold 240401$/),
    '  1 min 15 s',
    '',
  ]);
  progress.end();
  expect(screenOf(seen)).toEqual(['a line that stays', '']);
});

describeWith(['python3'], 'on a terminal', () => {
  const running: Running[] = [];
  afterEach(async () => {
    for (const each of running.splice(0)) await each.stop('SIGKILL');
  });

  it('rotates before one’s eyes, in colour, and without it where NO_COLOR is set', {
    timeout: 60_000,
  }, async () => {
    const dir = temporaryFolder();
    const up = startUp(dir);
    running.push(up);
    await up.prints('signs with');
    const rotate = ['rotate', 'mail.dev.example.jp', '--wait', '--dir', dir];
    const { status, seen } = await selkieOnTerminal(rotate, []);
    expect(status, seen).toBe(0);
    expect(seen).toContain('\x1b[32m✓');
    const screen = screenOf(seen).filter((line) => line !== '');
    expect(screen.at(-1)).toMatch(/^done: mail\.dev\.example\.jp signs with/);
    expect(screen.slice(1, -1).every((line) => /^ {2}✓ \d{6}e?-2 /.test(line))).toBe(true);
    const plain = await selkieOnTerminal(['status', '--dir', dir], [], {
      env: { ...process.env, NO_COLOR: '1' },
    });
    expect(plain.seen).not.toContain('\x1b[');
    const piped = await selkie(...rotate);
    expect(piped.stdout).not.toContain('\x1b');
    expect(piped.stdout).toMatch(/ {2}✓ \d{6}e?-3 active: every ready host signs with it\n/);
  });

  it('Ctrl-C leaves the work running, and says how to look again', { timeout: 90_000 }, async () => {
    // An API whose rotation never ends, and which after a while does not even answer.
    let looks = 0;
    const api: Server = createServer((request, response) => {
      response.setHeader('content-type', 'application/json');
      if (request.method === 'POST')
        return response.end(
          JSON.stringify({ domain: 'example.jp', rotation: { id: 'id-7', kind: 'requested' } }),
        );
      looks += 1;
      if (looks < 4) response.end(JSON.stringify(statusAt('publishing', waitsFor)));
    });
    api.listen(0, '127.0.0.1');
    await once(api, 'listening');
    const dir = makeFolder();
    const url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
    writeFileSync(join(dir, 'api.json'), JSON.stringify({ url, token: 't' }));
    const ran = await selkieOnTerminal(
      ['rotate', 'example.jp', '--wait', '--dir', dir],
      [['servers show', '\x03']],
      { seconds: 60 },
    );
    api.closeAllConnections();
    api.close();
    expect(ran.status).toBe(130);
    const screen = screenOf(ran.seen)
      .map((line) => line.replace('^C', ''))
      .filter((line) => line !== '');
    expect(screen.at(-1)).toMatch(
      /rotation id-7 of example\.jp goes on by itself; look again with: selkie status example\.jp$/,
    );
    expect(screen.join('\n')).not.toContain('waiting for ns-512');
  });
});
