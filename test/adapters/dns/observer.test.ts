// The real observer: the port's contract on the embedded server and on BIND, then what only it can show.
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { decode, encode } from 'dns-packet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isFitSource, isRoutable, nameServersOf, parseServer } from '../../../adapters/dns/delegation.ts';
import { createDnsObserver } from '../../../adapters/dns/observer.ts';
import { startDnsServer } from '../../../adapters/dns/server.ts';
import { buildKeyRecord, printKeyRecord } from '../../../core/dkim/key-record.ts';
import { parseDigShort, printStrings, splitValue } from '../../../core/dkim/txt.ts';
import { milliseconds, minutes, seconds } from '../../../core/time.ts';
import {
  dnsObserverContract,
  type Observed,
  type ObserverWorld,
  type ServedZone,
} from '../../contracts/dns-observer.ts';
import { freePort } from '../../tools/free-port.ts';
import { describeWith, program } from '../../tools/machine.ts';
import { startNamed } from '../../tools/named.ts';
import { zoneSource } from '../../tools/zone-source.ts';

interface Running {
  readonly port: number;
  close(): Promise<void>;
}

const nowhere: Running['close'] = async () => {};

/** The observer, told of one server each. */
const world =
  (start: (zone: string, served: ServedZone) => Promise<Running>) =>
  async ({ zone, servers }: ObserverWorld): Promise<Observed> => {
    const running: Running[] = [];
    for (const served of servers) {
      if (served === 'dead') running.push({ port: await freePort(), close: nowhere });
      else if (served === 'stranger')
        running.push(
          await start('other.example', {
            soaTtl: minutes(1),
            soaMinimum: minutes(1),
            txt: new Map(),
            cname: new Map(),
          }),
        );
      else running.push(await start(zone, served));
    }
    return {
      observer: createDnsObserver({ timeout: milliseconds(500) }),
      zone: { name: zone, id: 'Z1', nameServers: running.map(({ port }) => `127.0.0.1:${port}`) },
      close: async () => {
        for (const { close } of running) await close();
      },
    };
  };

dnsObserverContract(
  'the embedded server',
  world((zone, { soaTtl, soaMinimum, txt }) =>
    startDnsServer({
      host: '127.0.0.1',
      port: 0,
      zones: zoneSource(new Map([[zone, txt]])),
      soaTtl,
      soaMinimum,
    }),
  ),
  { cnames: false },
);

const zoneFile = ({ soaTtl, soaMinimum, txt, cname }: ServedZone): string =>
  [
    `@ ${soaTtl / seconds(1)} IN SOA ns.elsewhere.example. hostmaster 1 3600 600 604800 ${soaMinimum / seconds(1)}`,
    '@ 300 IN NS ns.elsewhere.example.',
    ...[...txt].flatMap(([name, { ttl, values }]) =>
      values.map((v) => `${name}. ${ttl / seconds(1)} IN TXT ${printStrings(splitValue(v), 'zone')}`),
    ),
    ...[...cname].map(([name, target]) => `${name}. 300 IN CNAME ${target}.`),
    '',
  ].join('\n');

describeWith(['named'], "BIND's named", () => {
  dnsObserverContract(
    'named',
    world(async (zone, served) => {
      const port = await freePort();
      return { port, ...(await startNamed({ port, zones: { [zone]: zoneFile(served) } })) };
    }),
  );
});

describeWith(['named', 'dig'], "a key record's zone form in named", () => {
  it('is served as the value that it was printed from', async () => {
    const domain = 'mail.dev.selkie.example';
    const publicKey = generateKeyPairSync('rsa', { modulusLength: 2048 })
      .publicKey.export({ type: 'spki', format: 'der' })
      .toString('base64');
    const value = buildKeyRecord({ algorithm: 'rsa2048', publicKey, tags: { note: 'a "b"; c' } });
    const port = await freePort();
    const head =
      '$TTL 300\n@ IN SOA ns.elsewhere.example. hostmaster 1 1 1 1 0\n@ IN NS ns.elsewhere.example.\n';
    const file = `${head}${printKeyRecord({ domain, selector: '240128', value }, 'zone')}`;
    const named = await startNamed({ port, zones: { [domain]: file } });
    try {
      const name = `240128._domainkey.${domain}`;
      const { stdout } = await promisify(execFile)(program('dig') ?? 'dig', [
        ...['-r', '@127.0.0.1', '-p', String(port), '+short', name, 'TXT'],
      ]);
      expect(parseDigShort(stdout)).toEqual([value]);
      const { answers } = await createDnsObserver().observe(
        { name: domain, id: 'Z1', nameServers: [`127.0.0.1:${port}`] },
        name,
      );
      expect(answers[0]?.answer).toEqual({ kind: 'txt', set: { ttl: minutes(5), values: [value] } });
    } finally {
      await named.close();
    }
  });
});

/** A UDP server that answers as it is told; nothing by TCP. */
const puppet = async (answer: (query: Buffer) => readonly Buffer[]): Promise<Running> => {
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    for (const message of answer(query)) socket.send(message, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    port: socket.address().port,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
};

const authoritative = 1 << 10;
const replyTo = (query: Buffer, change: { id?: number; name?: string; flags?: number } = {}): Buffer => {
  const { id, questions } = decode(query);
  const [question] = questions ?? [];
  const name = change.name ?? question?.name ?? '';
  return encode({
    type: 'response',
    id: change.id ?? id ?? 0,
    flags: change.flags ?? authoritative,
    questions: [{ name, type: 'TXT', class: 'IN' }],
    answers: [{ name, type: 'TXT', ttl: 60, data: ['v=', 'right'] }],
  });
};

describe('a server that is not to be trusted', () => {
  const look = async (answer: (query: Buffer) => readonly Buffer[]) => {
    const server = await puppet(answer);
    try {
      const seen = await createDnsObserver({ timeout: milliseconds(150) }).observe(
        { name: 'selkie.example', id: 'Z1', nameServers: [`127.0.0.1:${server.port}`] },
        'a.selkie.example',
      );
      return seen.answers[0]?.answer;
    } finally {
      await server.close();
    }
  };
  const right = { kind: 'txt', set: { ttl: seconds(60), values: ['v=right'] } };

  it('is believed where it answers as it should', async () => {
    expect(await look((query) => [replyTo(query)])).toEqual(right);
  });

  it.each<[string, (query: Buffer) => Buffer]>([
    ['another id', (query) => replyTo(query, { id: (query.readUInt16BE(0) + 1) & 0xffff })],
    ['another question', (query) => replyTo(query, { name: 'b.selkie.example' })],
    ['the query itself', (query) => query],
    ['a cut message', (query) => replyTo(query).subarray(0, -3)],
    ['a message cut between two strings', (query) => replyTo(query).subarray(0, -6)],
    ['a few octets', () => Buffer.from('junk')],
    ['nothing', () => Buffer.alloc(0)],
  ])('is passed over where it sends %s, and the true answer is still heard', async (_, forge) => {
    expect(await look((query) => [forge(query)])).toMatchObject({ kind: 'failed' });
    expect(await look((query) => [forge(query), replyTo(query)])).toEqual(right);
  });

  it('is asked again where a packet is lost', async () => {
    const seen = new Set<string>();
    expect(
      await look((query) => {
        const isFirst = !seen.has(String(query.subarray(12)));
        seen.add(String(query.subarray(12)));
        return isFirst ? [] : [replyTo(query)];
      }),
    ).toEqual(right);
  });

  it.each([
    ['not authoritative', 0, 'not authoritative'],
    ['refusing', 5, 'it says REFUSED'],
    ['failing', authoritative | 2, 'it says SERVFAIL; nothing listens there by TCP'],
  ])('is not a witness where it is %s', async (_, flags, why) => {
    expect(await look((query) => [replyTo(query, { flags })])).toEqual({
      kind: 'failed',
      why: expect.stringContaining(why),
    });
  });

  it('is asked by TCP where it truncates', async () => {
    expect(await look((query) => [replyTo(query, { flags: authoritative | 0x0200 })])).toEqual({
      kind: 'failed',
      why: expect.stringContaining('by TCP'),
    });
  });
});

describe('name servers that the operator lists', () => {
  it.each([
    ['ns1.example.com', { host: 'ns1.example.com', port: 53 }],
    ['NS1.Example.com.', { host: 'ns1.example.com', port: 53 }],
    ['ns1.example.com:5353', { host: 'ns1.example.com', port: 5353 }],
    ['192.0.2.1', { host: '192.0.2.1', port: 53 }],
    ['192.0.2.1:5353', { host: '192.0.2.1', port: 5353 }],
    ['2001:db8::1', { host: '2001:db8::1', port: 53 }],
    ['[2001:db8::1]', { host: '2001:db8::1', port: 53 }],
    ['[2001:db8::1]:5353', { host: '2001:db8::1', port: 5353 }],
  ])('reads %s', (text, wanted) => expect(parseServer(text, 53)).toEqual(wanted));

  it.each([
    '',
    '192.0.2.1:0',
    '192.0.2.1:65536',
    '192.0.2.300',
    '[192.0.2.1]:53',
    '[::1',
    'a b',
    'http://ns1',
    ':53',
  ])('refuses "%s"', (text) =>
    expect(() => parseServer(text, 53)).toThrow(
      expect.objectContaining({ code: 'invalid', field: 'nameServers' }),
    ),
  );

  const options = { resolvers: [], port: 53, timeout: milliseconds(100) };

  it.each([
    ['2001:db8::5', '2001:db8::1', true],
    ['fd00::2', '2001:db8::1', false],
    ['fe80::1', '2600:9000::1', false],
    ['fd00::2', 'fd00::53', true],
    ['10.0.0.2', '192.0.2.1', true],
  ])('from %s, %s is in reach: %s', (source, target, wanted) => {
    expect(isFitSource(source, target)).toBe(wanted);
  });

  it('always has a route to loopback, and none to where the system refuses', async () => {
    expect(await isRoutable('127.0.0.1')).toBe(true);
    expect(await isRoutable('::1')).toBe(true);
    // Without SO_BROADCAST the system refuses this one everywhere.
    expect(await isRoutable('255.255.255.255')).toBe(false);
    await expect(
      nameServersOf({ name: 'a.example', nameServers: ['255.255.255.255'] }, options),
    ).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('no route') });
  });

  it('asks an address once', async () => {
    const found = await nameServersOf(
      { name: 'a.example', nameServers: ['127.0.0.1', '127.0.0.1:53', '[::1]:54'] },
      options,
    );
    expect(found).toEqual([
      { server: '127.0.0.1', at: { address: '127.0.0.1', port: 53 } },
      { server: '[::1]:54', at: { address: '::1', port: 54 } },
    ]);
  });

  it('shows a name server whose name cannot be resolved as failed, instead of leaving it out', async () => {
    const seen = await createDnsObserver({ resolvers: [], timeout: milliseconds(100) }).observe(
      { name: 'a.example', id: 'Z1', nameServers: ['ns.nowhere.example'] },
      'b.a.example',
    );
    expect(seen.answers).toEqual([
      {
        server: 'ns.nowhere.example',
        address: 'unknown',
        answer: { kind: 'failed', why: expect.stringContaining('No resolver') },
      },
    ]);
  });

  it('says so where no resolver tells the delegation', async () => {
    const observer = createDnsObserver({
      resolvers: [`127.0.0.1:${await freePort()}`],
      timeout: milliseconds(100),
    });
    await expect(observer.observe({ name: 'a.example', id: 'Z1' }, 'b.a.example')).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('nothing listens there'),
    });
  });
});

// One server each on 127.0.0.x, all on one port as in the world: .1 the parent, .2 and .3 the child, .4 the resolver.
describeWith(['named'], "the parent's delegation", () => {
  const running: { close(): Promise<void> }[] = [];
  let port = 0;
  const soa = '@ 60 IN SOA ns hostmaster 1 3600 600 604800 60\n';
  const child = `${soa}@ IN 60 NS ns1\n@ 60 IN NS outside.parent.example.\nns1 60 IN A 127.0.0.2\nkey 60 IN TXT "here"\ndeep.cut 60 IN NS ns1\n`;

  beforeAll(async () => {
    port = await freePort();
    const parent = `${soa}@ 60 IN NS ns\nns 60 IN A 127.0.0.1
child 60 IN NS ns1.child\nchild 60 IN NS outside\nns1.child 60 IN A 127.0.0.2\noutside 60 IN A 127.0.0.3
lame 60 IN NS ns.gone\nempty 60 IN TXT "no zone"\n`;
    running.push(
      await startNamed({ port, address: '127.0.0.1', zones: { 'parent.example': parent } }),
      await startNamed({ port, address: '127.0.0.2', zones: { 'child.parent.example': child } }),
      // This one lags: it has no key yet.
      await startNamed({
        port,
        address: '127.0.0.3',
        zones: { 'child.parent.example': child.replace('key 60 IN TXT "here"\n', '') },
      }),
      await startNamed({
        port,
        address: '127.0.0.4',
        zones: {},
        forwards: {
          'parent.example': { address: '127.0.0.1', port },
          'child.parent.example': { address: '127.0.0.2', port },
        },
      }),
    );
  });
  afterAll(async () => {
    for (const { close } of running) await close();
  });

  const observer = (elapsed?: () => number) =>
    createDnsObserver({
      resolvers: [`127.0.0.4:${port}`],
      port,
      timeout: seconds(1),
      ...(elapsed === undefined ? {} : { elapsed }),
    });
  const zone = (name: string) => ({ name, id: 'Z1' });

  it('is followed from the parent to every server, with glue and without', async () => {
    const { answers, negativeTtl } = await observer().observe(
      zone('child.parent.example'),
      'key.child.parent.example',
    );
    expect(answers.toSorted((a, b) => a.address.localeCompare(b.address))).toEqual([
      {
        server: 'ns1.child.parent.example',
        address: `127.0.0.2#${port}`,
        answer: { kind: 'txt', set: { ttl: minutes(1), values: ['here'] } },
      },
      { server: 'outside.parent.example', address: `127.0.0.3#${port}`, answer: { kind: 'no-such-name' } },
    ]);
    expect(negativeTtl).toBe(minutes(1));
  });

  it('shows a name server without an address as failed', async () => {
    const { answers } = await observer().observe(zone('lame.parent.example'), 'key.lame.parent.example');
    expect(answers).toEqual([
      {
        server: 'ns.gone.parent.example',
        address: 'unknown',
        answer: { kind: 'failed', why: 'its name has no address' },
      },
    ]);
  });

  it.each(['nobody.parent.example', 'empty.parent.example'])(
    'says so where there is none: %s',
    async (name) => {
      await expect(observer().observe(zone(name), `key.${name}`)).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringMatching(/delegation .* cannot be learned .*zones\[\]\.nameServers/),
      });
    },
  );

  it('is walked from the zone above, though that is not the next label up', async () => {
    const { answers } = await observer().observe(
      zone('deep.cut.child.parent.example'),
      'x.deep.cut.child.parent.example',
    );
    expect(answers.map((a) => a.server)).toEqual(['ns1.child.parent.example']);
    // That server does not serve the zone: an answer that is not the zone's own is no witness.
    expect(answers[0]?.answer.kind).toBe('failed');
  });

  it('names a deeper zone that holds the name', async () => {
    const { answers } = await observer().observe(
      zone('child.parent.example'),
      'x.deep.cut.child.parent.example',
    );
    expect(answers[0]?.answer).toEqual({
      kind: 'failed',
      why: expect.stringContaining('refers to the servers of deep.cut.child.parent.example'),
    });
  });

  it('is learned again when it is old, and not before', async () => {
    let now = 0;
    const watching = observer(() => now);
    await watching.observe(zone('child.parent.example'), 'key.child.parent.example');
    await running.pop()?.close();
    now = minutes(1) - 1;
    await watching.observe(zone('child.parent.example'), 'key.child.parent.example');
    now = minutes(1);
    await expect(
      watching.observe(zone('child.parent.example'), 'key.child.parent.example'),
    ).rejects.toMatchObject({
      code: 'unavailable',
    });
  });
});
