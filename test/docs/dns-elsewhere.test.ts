// docs/how-to/dns-elsewhere.md, run as it stands: its fleet, each of its commands, and a person who pastes into a real BIND.
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { splitValue } from '../../core/dkim/txt.ts';
import { seconds } from '../../core/time.ts';
import type { ByHandStatus } from '../../engine/by-hand.ts';
import { readFleet } from '../../fleet/read.ts';
import { freePort } from '../tools/free-port.ts';
import { describeWith } from '../tools/machine.ts';
import { startNamed } from '../tools/named.ts';
import { editZone } from '../tools/panel.ts';
import { type Ran, type Running, selkie, startUp } from '../tools/selkie.ts';

const page = readFileSync('docs/how-to/dns-elsewhere.md', 'utf8');
const blocks = (language: string): readonly string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    ([, text = '']) => text,
  );
const commands = blocks('sh').flatMap((text) => text.split('\n').filter((line) => line !== ''));
/** A command's words; quotes hold words together. */
const words = (command: string): readonly string[] =>
  [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '').slice(1);

const domain = 'example.jp';
// A negative TTL of nothing, so that the test need not wait for caches.
const empty =
  '$TTL 60\n@ IN SOA ns.elsewhere.example. hostmaster 1 3600 600 604800 0\n@ IN NS ns.elsewhere.example.\n';

let dir: string;
let port: number;
const closers: (() => unknown)[] = [];
let up: Running;

describeWith(['named', 'nsupdate'], 'docs/how-to/dns-elsewhere.md', () => {
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'selkie-elsewhere-'));
    port = await freePort();
    const named = await startNamed({ port, zones: { [domain]: empty }, updatable: true });
    closers.push(() => named.close());
  });
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
    rmSync(dir, { recursive: true, force: true });
  });

  const ran = new Set<string>();
  /** Runs a command of the page: it stands there, and only places and the selector are this test's. */
  const run = (
    command: string,
    about: { selector?: string; more?: readonly string[] } = {},
  ): Promise<Ran> => {
    expect(commands).toContain(command);
    ran.add(command);
    const place = /^selkie import/.test(command) ? [] : ['--dir', join(dir, 'state')];
    return selkie(
      ...words(command).map((word) => {
        if (word === 'SELECTOR') return about.selector ?? word;
        if (/\.(yaml|zone|conf)$|^config\/$/.test(word)) return join(dir, word.replace(/^\/etc\//, ''));
        return word;
      }),
      ...place,
      ...(about.more ?? []),
    );
  };
  const fine = async (...args: Parameters<typeof run>): Promise<string> => {
    const { status, stdout, stderr } = await run(...args);
    expect({ command: args[0], status, stderr: status === 0 ? '' : stderr }).toEqual({
      command: args[0],
      status: 0,
      stderr: '',
    });
    return stdout;
  };
  const asked = async (): Promise<ByHandStatus['zones'][number]['changes']> =>
    (JSON.parse(await fine('selkie paste example.jp --json')) as ByHandStatus).zones[0]?.changes ?? [];
  /** Whatever is asked for, as a person does it who reads `selkie paste`. */
  const pasteAll = async (): Promise<void> => {
    for (const { name, ttl, add } of await asked())
      await editZone(port, domain, [
        {
          name,
          set: add.length === 0 ? undefined : { ttl: seconds(ttl), values: add.map(({ value }) => value) },
        },
      ]);
  };

  it('its fleet, its commands, and a key that signs only once the name server shows it', async () => {
    const [yaml = ''] = blocks('yaml');
    const fleet = join(dir, 'fleet.yaml');
    // The world's servers for example.jp are not ours to edit.
    writeFileSync(
      fleet,
      yaml.replace(
        '    provider: manual\n',
        `    provider: manual\n    nameServers: ['127.0.0.1:${port}']\n`,
      ),
    );
    expect(readFleet(fleet).zones.get(domain)).toMatchObject({ provider: 'manual' });

    const start = 'selkie up --fleet fleet.yaml';
    expect(commands).toContain(start);
    ran.add(start);
    up = startUp(join(dir, 'state'), '--fleet', fleet);
    closers.push(() => up.stop('SIGKILL'));
    await up.prints('asks somebody to add in the DNS panel of zone example.jp');

    const text = await fine('selkie paste example.jp');
    const selector = /name +(\d{6})\._domainkey$/m.exec(text)?.[1] ?? '';
    expect(text).toContain('example.jp: one change to make in its panel\n\n1. ADD this record  (asked ');
    expect(text).toContain(
      `(in full ${selector}._domainkey.example.jp; the panel may add .example.jp itself)`,
    );
    expect(text).toContain('TTL    3600, or less where the panel has no such choice');
    expect(text).toContain('0 of 1 name servers show it');
    const value = await fine('selkie record example.jp SELECTOR --format value', { selector });
    const lines = text.split('\n');
    expect(`${lines[lines.indexOf('   value') + 1]}\n`).toBe(value);
    expect(await fine('selkie status example.jp')).toContain('waiting for somebody to add in the DNS panel');
    expect(up.output()).not.toContain('signs with');
    for (const format of ['panel', 'octodns', 'terraform', 'zone', 'opendkim', 'route53'])
      expect(await fine(`selkie record example.jp SELECTOR --format ${format}`, { selector })).toContain(
        value.slice(18, 100),
      );

    // As a panel does that keeps one string alone.
    const wrong = { ttl: seconds(3600), values: [splitValue(value.trimEnd())[0] ?? ''] };
    await editZone(port, domain, [{ name: `${selector}._domainkey.${domain}`, set: wrong }]);
    const says = `shows only the first 255 of ${value.length - 1} characters`;
    expect(await fine('selkie paste example.jp')).toContain(says);
    expect(page).toContain('shows only the first 255 of 410 characters');

    await pasteAll();
    await up.prints(`${domain} signs with ${selector}`);
    expect(await fine('selkie paste example.jp')).toContain('nothing to paste for example.jp');

    await fine('selkie rotate example.jp --reason "a drill"');
    await up.prints(`asks somebody to add in the DNS panel of zone example.jp ${selector}-2._domainkey`);
    expect(await asked()).toMatchObject([
      { do: 'add', host: `${selector}-2._domainkey`, servers: 1, shown: 0 },
    ]);
    await pasteAll();
    await up.prints(`every ready host signs with ${selector}-2`);
    expect(await asked()).toEqual([]);
  }, 120_000);

  it('its imports', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const p = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
    const put = (name: string, text: string | Buffer) =>
      writeFileSync(join(dir, name), text, { mode: 0o600 });
    const strings = splitValue(`v=DKIM1; k=rsa; p=${p}`).map((each) => `"${each}"`);
    put(
      'example.jp.zone',
      `$ORIGIN example.jp.\n@ 60 SOA ns h 1 1 1 1 1\n@ 60 NS ns\nmail._domainkey 60 TXT ( ${strings.join(' ')} )\n`,
    );
    await fine('selkie import zonefile example.jp.zone --write fleet.yaml');
    expect(readFleet(join(dir, 'fleet.yaml')).domains.get(domain)?.adopted).toMatchObject([
      { selector: 'mail', publicKey: p },
    ]);

    mkdirSync(join(dir, 'config'));
    put('config/example.jp.yaml', `mail._domainkey: { type: TXT, value: 'v=DKIM1\\; k=rsa\\; p=${p}' }\n`);
    expect(await fine('selkie import octodns config/')).toContain(p);

    await editZone(port, domain, [
      { name: `mail._domainkey.${domain}`, set: { ttl: seconds(60), values: [`v=DKIM1; k=rsa; p=${p}`] } },
    ]);
    put('mail.private', privateKey.export({ type: 'pkcs8', format: 'pem' }));
    put('opendkim.conf', `Domain ${domain}\nSelector mail\nKeyFile ${join(dir, 'mail.private')}\n`);
    const more = ['--name-server', `127.0.0.1:${port}`];
    expect(await fine('selkie import opendkim /etc/opendkim.conf', { more })).toContain(p);
  }, 60_000);

  it('every command of the page was run', () =>
    expect([...commands].toSorted()).toEqual([...ran].toSorted()));
});
