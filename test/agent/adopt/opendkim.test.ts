// From a real OpenDKIM to this agent, as an administrator goes: its keys signed, `selkie-agent adopt --apply`, and
// `selkie-agent run` signs with the same keys, before any control plane is there. Every signature is verified by dkimpy.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type DnsServer, startDnsServer } from '../../../adapters/dns/server.ts';
import { hours } from '../../../core/time.ts';
import type { TxtSet } from '../../../engine/ports.ts';
import { parseFleet } from '../../../fleet/read.ts';
import * as dkimpy from '../../oracles/dkimpy.ts';
import { lines } from '../../oracles/records.ts';
import { agentProgram, runAgent } from '../../tools/agent-program.ts';
import { freePort } from '../../tools/free-port.ts';
import { describeWith, program } from '../../tools/machine.ts';
import { mailer, safeFolder, startOpendkim, type TestOpendkim } from '../../tools/opendkim.ts';
import { zoneSource } from '../../tools/zone-source.ts';

const domains = {
  'example.jp': ['mail', 1024],
  'b.example': ['s2020', 2048],
  'c.example': ['old', 1024],
} as const;

describeWith(['opendkim', 'opendkim-genkey', 'dkimpy'], 'an OpenDKIM whose keys are adopted', () => {
  let keys: string;
  let opendkim: TestOpendkim;
  let dns: DnsServer;
  let adopt: readonly string[];
  let config: string;
  const records: Record<string, string> = {};
  const zones = new Map<string, Map<string, TxtSet>>();
  const folder = mkdtempSync(join(tmpdir(), 'selkie-adopt-'));
  const state = join(folder, 'state');

  beforeAll(async () => {
    keys = mkdtempSync(join(safeFolder(), 'keys-'));
    const [table, signing]: [string[], string[]] = [[], []];
    for (const [domain, [selector, bits]] of Object.entries(domains)) {
      const folder = join(keys, domain);
      mkdirSync(folder, { mode: 0o755 });
      execFileSync(program('opendkim-genkey') ?? 'opendkim-genkey', [
        ...['-D', folder, '-d', domain, '-s', selector, '-b', String(bits)],
      ]);
      const text = readFileSync(join(folder, `${selector}.txt`), 'utf8');
      const value = [...text.matchAll(/"([^"]*)"/g)].map(([, part]) => part).join('');
      const name = `${selector}._domainkey.${domain}`;
      records[name] = value;
      zones.set(domain, new Map([[name, { ttl: hours(1), values: [value] }]]));
      table.push(`${domain} ${domain}:${selector}:${join(folder, `${selector}.private`)}`);
      signing.push(`*@${domain} ${domain}`);
    }
    signing.push('*@*.example.jp example.jp');
    // Its keys belong to whoever started it; that is not what is tested here.
    opendkim = await startOpendkim({
      keyTable: `${table.join('\n')}\n`,
      signingTable: `${signing.join('\n')}\n`,
      lines: ['RequireSafeKeys no'],
    });
    for (const domain of Object.keys(domains))
      execFileSync('chown', ['-R', `${opendkim.uid}:${opendkim.gid}`, join(keys, domain)]);
    execFileSync('chmod', ['755', keys, join(keys, '..')]);
    dns = await startDnsServer({ host: '127.0.0.1', port: 0, zones: zoneSource(zones) });
    config = join(folder, 'agent.yaml');
    writeFileSync(
      config,
      `opendkim: { config: ${opendkim.config} }\nrecords:\n  nameServers: { '.': ['127.0.0.1:${dns.port}'] }\n`,
    );
    adopt = ['adopt', '--dir', state, '--config', config];
  }, 60_000);
  afterAll(async () => {
    await opendkim?.end();
    await dns?.close();
    for (const made of [join(keys, '..'), folder]) rmSync(made, { recursive: true, force: true });
  });

  /** Selector, domain and result of what signs there, for an author of each domain. */
  const signed = async (target: Parameters<typeof mailer>[0]): Promise<readonly string[]> => {
    const connection = await mailer(target);
    const found: string[] = [];
    for (const author of [...Object.keys(domains), 'lists.example.jp']) {
      const { verdict, raw } = await connection.send(`someone@${author}`);
      expect(verdict).toBe('accept');
      found.push(...lines(await dkimpy.verify(raw, records)));
    }
    await connection.close();
    return found;
  };
  const wanted = [
    'mail example.jp pass',
    's2020 b.example pass',
    'old c.example pass',
    'mail example.jp pass',
  ];

  it('is looked at, and nothing is changed', async () => {
    expect(await signed(opendkim.target)).toEqual(wanted);
    const { code, out, err } = await runAgent(...adopt);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain('selector mail, RSA, 1024 bits');
    expect(out).toContain('  record: its server shows this key\n');
    expect(out).toContain('- match: "*@*.example.jp"\n      domain: example.jp\n');
    expect(out).toMatch(/Nothing was changed\. selkie-agent adopt --apply takes 3 of 3 keys into/);
    expect(() => statSync(state)).toThrow('ENOENT');
    const entries = out.slice(
      out.indexOf('domains:'),
      out.indexOf('\n# Add this to', out.indexOf('domains:')),
    );
    const fleet = parseFleet(
      `${entries}\nzones: { example.jp: { id: Z1 }, b.example: { id: Z2 }, c.example: { id: Z3 } }\npools: [mx]\n`,
      { file: 'fleet.yaml', version: 1 },
    );
    expect(
      [...fleet.domains.values()].map(({ domain, adopted }) => [
        domain,
        ...(adopted ?? []).map((key) => key.algorithm),
      ]),
    ).toEqual([
      ['example.jp', 'rsa1024'],
      ['b.example', 'rsa2048'],
      ['c.example', 'rsa1024'],
    ]);
  });

  it('takes nothing of a key whose record is another, and says so', async () => {
    const name = 'old._domainkey.c.example';
    const right = zones.get('c.example')?.get(name);
    zones
      .get('c.example')
      ?.set(name, { ttl: hours(1), values: [records['mail._domainkey.example.jp'] ?? ''] });
    const { code, out, err } = await runAgent(...adopt, '--apply');
    expect(code).toBe(1);
    expect(out).toContain('✗ not adopted: old._domainkey.c.example: the record is of another key');
    expect(err).toContain('1 of 3 keys were not adopted');
    if (right !== undefined) zones.get('c.example')?.set(name, right);
  });

  it('hands its keys over, and the agent signs with them before any control plane is there', async () => {
    const before = readFileSync(opendkim.keyTable, 'utf8');
    const { code, out } = await runAgent(...adopt, '--apply');
    expect(code).toBe(0);
    expect(out).toContain('example.jp/mail: this host held it already.\n');
    expect(out).toContain('c.example/old: this host holds it and signs with it.\n');
    expect(readFileSync(opendkim.keyTable, 'utf8')).toBe(before);
    expect(readdirSync(join(keys, 'c.example')).toSorted()).toEqual(['old.private', 'old.txt']);
    expect(statSync(join(state, 'store/index.json')).mode & 0o777).toBe(0o600);

    const port = await freePort();
    const table = "signing: { table: [{ match: '*@*.example.jp', domain: example.jp }] }\n";
    writeFileSync(config, `${readFileSync(config, 'utf8')}${table}`);
    const milter = `inet:${port}@127.0.0.1`;
    const agent = spawn(process.execPath, [
      agentProgram,
      'run',
      '--dir',
      state,
      '--config',
      config,
      '--milter',
      milter,
    ]);
    try {
      let said = '';
      await new Promise<void>((resolve, reject) => {
        for (const stream of [agent.stdout, agent.stderr])
          stream.on('data', (text) => {
            said += text;
            if (said.includes('is not enrolled')) resolve();
          });
        agent.once('exit', () => reject(new Error(said)));
      });
      expect(said).toContain(`signs at ${milter}`);
      expect(await signed({ host: '127.0.0.1', port })).toEqual(wanted);
      // Its folder is taken while it runs.
      const again = await runAgent(...adopt, '--apply');
      expect([again.code, again.err]).toEqual([1, expect.stringContaining('stop it first')]);
    } finally {
      if (agent.exitCode === null) {
        agent.kill('SIGTERM');
        await once(agent, 'exit');
      }
    }
  }, 60_000);
});
