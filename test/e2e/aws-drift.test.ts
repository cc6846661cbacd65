// Drift and a compromised key as AWS runs them: the handlers of tick, queue and API on moto, a mail host whose signatures mailauth
// judges, and somebody who changes the zone by hand.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Change,
  ChangeResourceRecordSetsCommand,
  ListResourceRecordSetsCommand,
} from '@aws-sdk/client-route-53';
import { DeleteSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import { verifyAuditChain } from '../../contract/audit.ts';
import type { AuditEvent } from '../../core/audit.ts';
import type { driftStatus } from '../../engine/drift.ts';
import * as mailauth from '../oracles/mailauth.ts';
import { lines } from '../oracles/records.ts';
import { describeWith } from '../tools/machine.ts';
import { motoClient } from '../tools/moto.ts';
import { type AwsPlace, isDone, makeAwsPlace } from './aws-place.ts';

const zone = 'example.jp';
const domain = `mail.${zone}`;
type Report = Awaited<ReturnType<typeof driftStatus>>['audits'][number];

describeWith(['moto_server', 'named'], 'on AWS, somebody else has a hand in it', () => {
  let place: AwsPlace;

  beforeAll(async () => {
    vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    for (const method of ['log', 'info', 'warn', 'error'] as const)
      vi.spyOn(console, method).mockImplementation(() => {});
    place = await makeAwsPlace({
      zones: [{ name: zone }],
      domains: [{ domain, zone }],
      hosts: [{ name: 'mx1.example.jp', reached: 'push' }],
    });
    await place.until(async () => isDone(await place.status(domain)));
  }, 120_000);
  afterAll(async () => {
    await place?.close();
    vi.restoreAllMocks();
  }, 60_000);

  const signing = async (): Promise<string> =>
    (await place.status(domain))?.keys.find(({ state }) => state === 'active')?.selector ?? '';
  /** TXT records by their names. */
  const records = async (): Promise<Readonly<Record<string, string>>> =>
    Object.fromEntries(
      ((await place.txtLines()).get(zone) ?? []).map((line) => [
        line.slice(0, line.indexOf(' ')).replace(/\.$/, ''),
        [...line.matchAll(/"([^"]*)"/g)].map(([, text]) => text).join(''),
      ]),
    );
  /** By hand, past Selkie. */
  const byHand = async (...changes: Change[]): Promise<void> => {
    const { id, client } = place.zones.get(zone) ?? {};
    await client?.send(
      new ChangeResourceRecordSetsCommand({ HostedZoneId: id, ChangeBatch: { Changes: changes } }),
    );
  };
  const setAt = async (name: string) => {
    const { id, client } = place.zones.get(zone) ?? {};
    const { ResourceRecordSets: sets = [] } =
      (await client?.send(new ListResourceRecordSetsCommand({ HostedZoneId: id }))) ?? {};
    const found = sets.find((set) => set.Type === 'TXT' && set.Name === `${name}.`);
    if (found === undefined) throw new Error(`nothing stands at ${name}`);
    return found;
  };
  const reports = async (): Promise<readonly Report[]> =>
    ((await place.functions.api('GET', '/v1/drift')).body as { audits: readonly Report[] }).audits;
  const reportOf = async (subject: string): Promise<Report | undefined> =>
    (await reports()).find((report) => report.subject === subject);
  /** Has the zone audited, and waits for what it says. */
  const audit = async (reason: string): Promise<Report> => {
    const before = (await reportOf(`zone/${zone}`))?.at ?? '';
    // The ledger's clock counts whole seconds: a report of the same second could not be told from the one before.
    while (Date.now() - Date.parse(before) < 1000) await sleep(50);
    const { status } = await place.functions.api('POST', '/v1/drift', JSON.stringify({ zone, reason }));
    expect(status).toBe(202);
    const done = async (): Promise<boolean> => {
      const report = await reportOf(`zone/${zone}`);
      return report?.complete === true && report.at > before;
    };
    await place.until(done);
    const report = await reportOf(`zone/${zone}`);
    if (report === undefined) throw new Error('no report');
    return report;
  };
  const expectSigned = async (selector: string): Promise<void> => {
    const { raw } = await sendThroughMilter(
      { host: '127.0.0.1', port: place.hosts[0]?.milter ?? 0 },
      {
        macros: { i: 'A' },
        from: `jo@${domain}`,
        to: ['rcpt@example.com'],
        raw: Buffer.from(
          `From: jo@${domain}\r\nTo: rcpt@example.com\r\nSubject: A\r\nDate: ${new Date().toUTCString()}\r\nMessage-ID: <${randomUUID()}@${domain}>\r\n\r\nHello.\r\n`,
        ),
      },
    );
    expect(lines(await mailauth.verify(raw, await records()))).toEqual([`${selector} ${domain} pass`]);
  };

  test('a key record that somebody deleted is put back as it was, and a stranger’s is left alone', async () => {
    const selector = await signing();
    const name = `${selector}._domainkey.${domain}`;
    // moto takes whatever sorts behind a name for the name itself, so it sorts before. An edited record moto would not let be put
    // back at all: test/engine/drift.test.ts has that.
    const stray = `000000._domainkey.${domain}`;
    const before = await records();
    await byHand(
      { Action: 'DELETE', ResourceRecordSet: await setAt(name) },
      {
        Action: 'CREATE',
        ResourceRecordSet: {
          Name: stray,
          Type: 'TXT',
          TTL: 60,
          ResourceRecords: [{ Value: '"v=DKIM1; p=AAAA"' }],
        },
      },
    );
    const { findings } = await audit('somebody was at the console');
    expect(findings.map((finding) => [finding.kind, finding.name, finding.mended !== undefined])).toEqual(
      expect.arrayContaining([
        ['record-missing', name, true],
        ['record-foreign', stray, false],
      ]),
    );
    const after = await records();
    expect(after).toEqual({ ...before, [stray]: 'v=DKIM1; p=AAAA' });
    await expectSigned(selector);
  }, 60_000);

  test('the next audit finds only what was left alone', async () => {
    const { findings } = await audit('again');
    expect(findings.map(({ kind }) => kind)).toEqual(['record-foreign']);
  }, 60_000);

  test('who asked for audits is in a trail that holds', async () => {
    const { body } = await place.functions.api('GET', '/v1/audit');
    const { events, last } = body as { events: readonly AuditEvent[]; last: unknown };
    expect(events.map(({ who, what, why }) => [who, what, why])).toEqual([
      ['arn:aws:iam::123456789012:user/operator', 'audit', 'somebody was at the console'],
      ['arn:aws:iam::123456789012:user/operator', 'audit', 'again'],
    ]);
    expect(verifyAuditChain(events)).toEqual({ ok: true });
    expect(last).toEqual({ n: 2, hash: events.at(-1)?.hash });
  });

  test('each day everything is compared: a secret that is gone is an alarm, with no trail of its own', async () => {
    const key = (await place.status(domain))?.keys[0];
    const secrets = new SecretsManagerClient(motoClient(place.moto.url));
    const { body } = await place.functions.api('GET', `/v1/domains/${domain}/keys/${key?.selector}`);
    expect(body).toMatchObject({ state: 'active' });
    await secrets.send(
      new DeleteSecretCommand({
        SecretId: `selkie/${domain}/${key?.selector}`,
        ForceDeleteWithoutRecovery: true,
      }),
    );
    await place.functions.tick({ audit: true });
    await place.until(async () => {
      const known = (await reports()).filter(({ complete }) => complete).map(({ subject }) => subject);
      return ['domains', 'hosts', 'secrets', `zone/${zone}`].every((subject) => known.includes(subject));
    });
    const all = (await reports()).flatMap(({ findings }) => findings);
    expect(all.find(({ kind }) => kind === 'secret-missing')).toMatchObject({
      level: 'alarm',
      domain,
      selector: key?.selector,
    });
    const trail = await place.functions.api('GET', '/v1/audit');
    expect((trail.body as { events: readonly unknown[] }).events).toHaveLength(2);
  }, 60_000);

  test('a compromised key is replaced, then revoked by a tombstone, and mail verifies with the successor', async () => {
    const old = await signing();
    const { status } = await place.functions.api(
      'POST',
      `/v1/domains/${domain}/keys/${old}/compromise`,
      JSON.stringify({ reason: 'found in a backup' }),
    );
    expect(status).toBe(202);
    const stateOf = async (selector: string): Promise<string | undefined> =>
      (await place.status(domain))?.keys.find((key) => key.selector === selector)?.state;
    await place.until(async () => (await stateOf(old)) === 'revoked');
    const successor = await signing();
    expect(successor).not.toBe(old);
    expect((await records())[`${old}._domainkey.${domain}`]).toMatch(/^v=DKIM1; (k=\w+; )?p=$/);
    await expectSigned(successor);
    const { body } = await place.functions.api('GET', `/v1/domains/${domain}/audit`);
    const { events } = body as { events: readonly AuditEvent[] };
    expect(events.at(-1)).toMatchObject({ what: 'compromise', why: 'found in a backup' });
    expect(verifyAuditChain(events)).toEqual({ ok: true });
  }, 90_000);
});
