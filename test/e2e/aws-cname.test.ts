// A domain whose own zone is a customer's and leads to key records in ours: Route 53 of moto holds the records, named serves a
// parent zone, the customer's and ours, and the observer goes the way from the parent's delegation that the world goes.
// Receivers' view: dkimpy and mailauth on what a resolver answers.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createDnsObserver } from '../../adapters/dns/observer.ts';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import { parseDigShort } from '../../core/dkim/txt.ts';
import { milliseconds, seconds } from '../../core/time.ts';
import type { Unit } from '../../engine/ports.ts';
import { statusOf } from '../../engine/status.ts';
import { tick, workOn } from '../../engine/tick.ts';
import { openSession, type World } from '../../engine/world.ts';
import { wire } from '../../functions/wire.ts';
import * as dkimpy from '../oracles/dkimpy.ts';
import * as mailauth from '../oracles/mailauth.ts';
import { lines } from '../oracles/records.ts';
import { freePort } from '../tools/free-port.ts';
import { describeWith, program } from '../tools/machine.ts';
import { startNamed } from '../tools/named.ts';
import { type AwsPlace, isDone, makeAwsPlace } from './aws-place.ts';

const ours = 'keys.parent.example';
const theirs = 'customer.parent.example';
const domain = theirs;
const host = 'mx1.provider.example';

describeWith(['moto_server', 'named', 'dig', 'dkimpy'], "a customer's zone that leads to ours", () => {
  const running: { close(): Promise<void> }[] = [];
  let place: AwsPlace;
  let world: World;
  let port: number;
  /** Of the customer's zone, which an operator of theirs edits. */
  let customer: Awaited<ReturnType<typeof startNamed>> | undefined;
  let zone: Awaited<ReturnType<typeof startNamed>> | undefined;
  let shown = '';
  const queue: { readonly unit: Unit; readonly at: number }[] = [];
  const soa = '@ 0 IN SOA ns1 hostmaster 1 3600 600 86400 0\n@ 60 IN NS ns1\n';

  const serveCustomer = async (more: string): Promise<void> => {
    await customer?.close();
    const file = `${soa}ns1 60 IN A 127.0.0.2\n@ 60 IN TXT "v=spf1 -all"\n${more}\n`;
    customer = await startNamed({ port, address: '127.0.0.2', zones: { [theirs]: file } });
  };
  /** Our zone as Route 53 holds it. */
  const serveOurs = async (): Promise<void> => {
    const text = ((await place.txtLines()).get(ours) ?? []).join('\n');
    if (zone !== undefined && text === shown) return;
    await zone?.close();
    zone = await startNamed({
      port,
      address: '127.0.0.3',
      zones: { [ours]: `${soa}ns1 60 IN A 127.0.0.3\n${text}\n` },
    });
    shown = text;
  };

  beforeAll(async () => {
    vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    place = await makeAwsPlace({
      zones: [{ name: ours }],
      domains: [{ domain, zone: ours, cname: ours }],
      hosts: [{ name: host, reached: 'push' }],
    });
    // Asked of the parent, not told.
    await place.deploy((fleet) => ({
      zones: new Map([...fleet.zones].map(([name, { nameServers: _told, ...rest }]) => [name, rest])),
    }));
    port = await freePort();
    const parent = `${soa}ns1 60 IN A 127.0.0.1
keys 60 IN NS ns1.keys\nns1.keys 60 IN A 127.0.0.3\ncustomer 60 IN NS ns1.customer\nns1.customer 60 IN A 127.0.0.2\n`;
    running.push(
      await startNamed({ port, address: '127.0.0.1', zones: { 'parent.example': parent } }),
      await startNamed({
        port,
        address: '127.0.0.4',
        zones: {},
        forwards: {
          'parent.example': { address: '127.0.0.1', port },
          [theirs]: { address: '127.0.0.2', port },
          [ours]: { address: '127.0.0.3', port },
        },
      }),
    );
    await serveCustomer('');
    await serveOurs();
    const wired = wire(process.env);
    world = {
      ...wired,
      observer: createDnsObserver({
        resolvers: [`127.0.0.4:${port}`],
        port,
        timeout: seconds(1),
        delegationAge: seconds(5),
      }),
      queue: {
        send: async (units, delay = milliseconds(0)) => {
          for (const unit of units) queue.push({ unit, at: Date.now() + delay });
        },
      },
    };
  }, 120_000);
  afterAll(async () => {
    for (const one of [...running, customer, zone]) await one?.close();
    await place?.close();
    vi.restoreAllMocks();
  }, 60_000);

  const status = async () =>
    (await world.ledger.domain(domain)) === undefined
      ? undefined
      : await statusOf(world, await openSession(world), domain);

  const saysOf = async (): Promise<string> =>
    ((await status())?.blockedBy ?? []).map((one) => one.says).join('\n');

  const until = async (holds: () => Promise<boolean>): Promise<void> => {
    for (const end = Date.now() + 60_000; !(await holds()); ) {
      if (Date.now() > end) throw new Error(`it does not come: ${JSON.stringify(await status())}`);
      await tick(world);
      const due = queue.splice(0);
      queue.push(...due.filter(({ at }) => at > Date.now()));
      const now = new Map(
        due.filter(({ at }) => at <= Date.now()).map(({ unit }) => [JSON.stringify(unit), unit]),
      );
      for (const unit of now.values()) await workOn(world, unit);
      await serveOurs();
    }
  };

  /** What a receiver's resolver gives. */
  const resolve = async (name: string): Promise<string> => {
    const { stdout } = await promisify(execFile)(program('dig') ?? 'dig', [
      ...['-r', '@127.0.0.4', '-p', String(port), '+short', name, 'TXT'],
    ]);
    // `+short` prints the CNAMEs on the way first.
    const texts = stdout.split('\n').filter((line) => line.startsWith('"'));
    return parseDigShort(texts.join('\n'))[0] ?? '';
  };
  const expectSigned = async (selector: string): Promise<void> => {
    const { raw } = await sendThroughMilter(
      { host: '127.0.0.1', port: place.hosts[0]?.milter ?? 0 },
      {
        macros: { i: selector },
        from: `jo@${domain}`,
        to: ['rcpt@example.com'],
        raw: Buffer.from(
          `From: Jo <jo@${domain}>\r\nTo: rcpt@example.com\r\nSubject: ${selector}\r\nDate: ${new Date().toUTCString()}\r\nMessage-ID: <1@${domain}>\r\n\r\nHello.\r\n`,
        ),
      },
    );
    const name = `${selector}._domainkey.${domain}`;
    const known = { [name]: await resolve(name) };
    expect(lines(await dkimpy.verify(raw, known))).toEqual([`${selector} ${domain} pass`]);
    expect(lines(await mailauth.verify(raw, known))).toEqual([`${selector} ${domain} pass`]);
  };

  test('waits for the CNAME, says which, and signs when the world sees the record through it', async () => {
    await until(async () => (await saysOf()).includes('CNAME'));
    const key = (await status())?.keys[0];
    const { selector = '' } = key ?? {};
    const target = `${selector}._domainkey.${domain}.${ours}`;
    expect(key).toMatchObject({ record: `${selector}._domainkey.${domain}`, target, state: 'publishing' });
    const says = await saysOf();
    expect(says).toContain(`${selector}._domainkey.${domain}. CNAME ${target}.`);
    expect(says).toContain(`_domainkey.${domain}. DNAME _domainkey.${domain}.${ours}.`);
    expect(says).toContain('ns1.customer.parent.example (127.0.0.2#');

    await serveCustomer(`${selector}._domainkey 60 IN CNAME ${target}.`);
    await until(async () => isDone(await status()));
    await expectSigned(selector);
  }, 120_000);

  test('with one DNAME, the next rotation asks nobody for anything', async () => {
    await serveCustomer(`_domainkey 60 IN DNAME _domainkey.${domain}.${ours}.`);
    const before = (await status())?.keys[0]?.selector ?? '';
    const { status: code } = await place.functions.api('POST', `/v1/domains/${domain}/rotations`);
    expect(code).toBe(202);
    await until(async () => isDone(await status(), 2));
    const now = (await status())?.keys.find(({ state }) => state === 'active')?.selector ?? '';
    expect(now).not.toBe(before);
    await expectSigned(now);
    // The one before stays visible for mail under way.
    expect(await resolve(`${before}._domainkey.${domain}`)).toContain('p=');
  }, 120_000);
});
