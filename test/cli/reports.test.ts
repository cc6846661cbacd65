// `selkie reports` as a person uses it: files, mails, an mbox and a Maildir, through the real API behind signed requests.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { reportLimits } from '../../adapters/reports/limits.ts';
import { piecesAt } from '../../cli/reports/mailboxes.ts';
import { days, hours, instant } from '../../core/time.ts';
import { requestRotation } from '../../engine/commands.ts';
import { openSession } from '../../engine/world.ts';
import { record, report, xmlOf } from '../reports/made.ts';
import { zipOf } from '../reports/zip.ts';
import { describeWith } from '../tools/machine.ts';
import { type Ran, selkieIn } from '../tools/selkie.ts';
import { type Gateway, operator, region, startGateway } from '../tools/signed-gateway.ts';
import { makeFolder } from '../tools/temporary-folder.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';

// Each command is a process of its own, and the machine may have more to do.
vi.setConfig({ testTimeout: 180_000 });

const xml = (id: string, more: Parameters<typeof report>[1] = {}, ...records: ReturnType<typeof record>[]) =>
  xmlOf(report(records.length === 0 ? [record()] : records, { id, ...more }));
const mail = (text: string, subject = 'Report Domain: example.com'): string =>
  `From: noreply@receiver.example\nSubject: ${subject}\nMIME-Version: 1.0\nContent-Type: application/gzip\nContent-Transfer-Encoding: base64\n\n${gzipSync(text).toString('base64')}\n`;

describe('what lies at a path', () => {
  const pieces = async (path: string): Promise<readonly string[]> => {
    const found: string[] = [];
    for await (const piece of piecesAt(path))
      found.push(piece instanceof Error ? piece.message : `${piece.name}: ${Buffer.from(piece.bytes)}`);
    return found.map((text) => text.replace(path, '.'));
  };

  it('an mbox, message by message, with either line’s end, and "From " within a message', async () => {
    for (const end of ['\n', '\r\n']) {
      const file = join(makeFolder(), 'box');
      const lines = [
        'From a@b Mon Jan  1',
        'Subject: 1',
        '',
        'x',
        'From here on',
        '',
        'From c@d Tue',
        'Subject: 2',
        '',
        'y',
        '',
      ];
      writeFileSync(file, lines.join(end));
      expect(await pieces(file)).toEqual([
        `., message 1: Subject: 1${end}${end}x${end}From here on${end}${end}`,
        `., message 2: Subject: 2${end}${end}y${end}`,
      ]);
    }
  });

  it('an mbox whose messages lie across what is read at once', async () => {
    const file = join(makeFolder(), 'box');
    const bodies = [700_000, 1_048_560, 5, 2_500_000, 1].map((length, n) => `${n}${'z'.repeat(length)}`);
    writeFileSync(file, bodies.map((body) => `From a@b\n${body}\n\n`).join(''));
    const found: string[] = [];
    for await (const piece of piecesAt(file))
      if (!(piece instanceof Error)) found.push(String(Buffer.from(piece.bytes)));
    expect(found.map((text) => text.trim().length)).toEqual(bodies.map((body) => body.length));
    expect(found.map((text) => text[0]).join('')).toBe('01234');
  });

  it('a message that is too long is told, and those around it are read', async () => {
    const file = join(makeFolder(), 'box');
    writeFileSync(
      file,
      Buffer.concat([
        Buffer.from('From a@b\n1\n\nFrom a@b\n'),
        Buffer.alloc(reportLimits.mail + 5_000_000, 0x78),
        Buffer.from('\n\nFrom a@b\n3\n\n'),
      ]),
    );
    const found = await pieces(file);
    expect(found.map((text) => text.trim())).toEqual([
      '., message 1: 1',
      '., message 2 is over 40 MiB: no mail with a report is',
      '., message 3: 3',
    ]);
  });

  it('a Maildir: what is delivered, in its folders too, and not its indexes', async () => {
    const dir = makeFolder();
    for (const folder of ['cur', 'new', 'tmp', '.DMARC/cur', '.DMARC/new', '.DMARC/tmp'])
      mkdirSync(join(dir, folder), { recursive: true });
    for (const file of ['cur/1', 'new/2', 'tmp/3', '.DMARC/cur/4', 'dovecot.index.log'])
      writeFileSync(join(dir, file), 'x');
    expect(await pieces(dir)).toEqual(['./.DMARC/cur/4: x', './cur/1: x', './new/2: x']);
  });

  it('a folder of files; nothing, and what is not there', async () => {
    const dir = makeFolder();
    mkdirSync(join(dir, 'older'));
    writeFileSync(join(dir, 'b.xml'), 'b');
    writeFileSync(join(dir, 'older', 'a.xml'), 'a');
    writeFileSync(join(dir, 'empty'), '');
    expect(await pieces(dir)).toEqual(['./b.xml: b', './empty: ', './older/a.xml: a']);
    await expect(pieces(join(dir, 'none'))).rejects.toMatchObject({ code: 'not-found' });
  });
});

describeWith(['botocore'], 'selkie reports', () => {
  let world: Simulation;
  let gateway: Gateway;
  beforeEach(async () => {
    world = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
    await world.run(hours(2));
    gateway = await startGateway(createApi(world.world, () => {}));
  });
  afterEach(async () => {
    await gateway.stop();
    world.close();
  });
  const selkie = (...args: string[]): Promise<Ran> =>
    selkieIn(
      {
        PATH: process.env.PATH,
        HOME: '/nonexistent',
        ...operator,
        AWS_REGION: region,
        SELKIE_API: gateway.url,
      },
      'reports',
      ...args,
    );

  it('brings in whatever reports come in, once, and shows the rates', async () => {
    const dir = makeFolder();
    const at = (name: string): string => join(dir, name);
    writeFileSync(at('1.xml'), xml('1'));
    writeFileSync(
      at('2.xml.gz'),
      gzipSync(xml('2', {}, record({ count: 30, dkim: false, spf: false, signatures: [] }))),
    );
    writeFileSync(at('3.zip'), zipOf([{ name: '3.xml', data: Buffer.from(xml('3')) }]));
    writeFileSync(at('4.eml'), mail(xml('4', { reporter: 'other.example' })));
    writeFileSync(
      at('box'),
      `From a@b\n${mail(xml('5'))}\nFrom a@b\nSubject: hello\n\nno report\n\nFrom a@b\n${mail(xml('1'))}\n`,
    );
    const all = ['1.xml', '2.xml.gz', '3.zip', '4.eml', 'box'].map(at);
    const first = await selkie('import', ...all);
    expect(first.stderr).toBe('');
    expect(first.status).toBe(0);
    expect(first.stdout).toContain(
      'receiver.example  2024-01-28  1\n  example.com: 10 messages, DMARC passed 100%\n',
    );
    expect(first.stdout).toContain('example.com: 30 messages, DMARC passed 0.0%');
    expect(first.stdout).toContain('example.com: 10 messages, DMARC passed 100% (known)');
    expect(first.stdout.trimEnd().split('\n').at(-1)).toBe('5 new, 1 known, 1 file or mail without a report');
    const again = JSON.parse((await selkie('import', '--json', ...all)).stdout);
    expect(again).toMatchObject({ saved: 0, known: 6, refused: 0, without: 1 });
    expect(again.reports).toHaveLength(6);

    const list = await selkie('show');
    expect(list.stdout).toContain('domain       messages  DMARC  by DKIM  by SPF  last\n');
    expect(list.stdout).toContain('example.com        70  57.1%    57.1%   57.1%  2024-01-28\n');
    const one = await selkie('show', domain, '--days', '7');
    expect(one.status).toBe(0);
    expect(one.stdout).toContain('70 messages in 5 reports of 2 receivers');
    expect(one.stdout).toMatch(/240128 +40 +100% +2024-01-28 +2024-01-28 +receiver\.exampl/);
    for (const line of [...list.stdout.split('\n'), ...one.stdout.split('\n')])
      expect(line.length, line).toBeLessThanOrEqual(80);
    expect(JSON.parse((await selkie('show', domain, '--json')).stdout)).toMatchObject({ messages: 70 });
  });

  it('says what is wrong with one, takes the others, and fails', async () => {
    const dir = makeFolder();
    writeFileSync(join(dir, 'a.xml'), '<!DOCTYPE x><feedback/>');
    writeFileSync(join(dir, 'b.xml'), xml('b'));
    writeFileSync(join(dir, 'c.gz'), gzipSync(Buffer.alloc(40_000_000, 0x20)));
    writeFileSync(
      join(dir, 'd.xml'),
      xml('d', { domain: 'other.example' }, record({ from: 'other.example', signatures: [] })),
    );
    const { status, stdout, stderr } = await selkie('import', dir);
    expect(status).toBe(1);
    expect(stdout.trimEnd().split('\n').at(-1)).toBe(
      '1 new, 0 known, 1 about domains that are not in fleet.yaml, 2 refused',
    );
    expect(stderr).toContain(`${join(dir, 'a.xml')}: the report has a document type (DOCTYPE)`);
    expect(stderr).toContain(`${join(dir, 'c.gz')}: refused: `);
    writeFileSync(join(dir, 'none.txt'), 'hello');
    const none = await selkie('import', join(dir, 'none.txt'));
    expect([none.status, none.stderr]).toEqual([
      1,
      'selkie: there is no DMARC aggregate report in what was given\n',
    ]);
    expect((await selkie('import', join(dir, 'missing'))).stderr).toMatch(/missing cannot be read/);
    expect((await selkie('import')).status).toBe(2);
  });

  it('says that a retired key is still seen, and status says so too', async () => {
    await requestRotation(world.world, await openSession(world.world), domain, {});
    await world.run(days(3));
    const now = world.now();
    const file = join(makeFolder(), 'late.xml');
    writeFileSync(
      file,
      xml(
        'late',
        { begin: instant(now - hours(30)), end: instant(now - hours(6)) },
        record({ signatures: [{ domain, selector: '240128e', result: 'pass' }] }),
      ),
    );
    const brought = await selkie('import', file);
    expect(brought.stdout).toMatch(
      /! 240128e of example\.com is retired, and 10 messages with it still came: it drains until 2024-02-0\d \d\d:\d\dZ/,
    );
    expect((await selkie('show', domain)).stdout).toContain('240128e (draining)');
  });

  it('says where there are none yet', async () => {
    expect((await selkie('show')).stdout).toMatch(/^no reports since \d{4}-\d\d-\d\d: bring some in/);
    expect((await selkie('show', domain)).stdout).toMatch(/^no reports on example\.com since/);
    expect((await selkie('show', 'other.example')).status).toBe(1);
  });
});
