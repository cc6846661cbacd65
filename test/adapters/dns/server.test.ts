// The embedded authoritative server: by raw sockets for what clients do wrong, by dig for what they do right.
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import { decode, encode, type RecordType } from 'dns-packet';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readQuery } from '../../../adapters/dns/message.ts';
import { type DnsServer, startDnsServer, type ZoneSource } from '../../../adapters/dns/server.ts';
import { ask } from '../../../adapters/dns/wire.ts';
import { parseDigShort, parseZoneRecords } from '../../../core/dkim/txt.ts';
import { minutes, seconds } from '../../../core/time.ts';
import type { TxtSet } from '../../../engine/ports.ts';
import { freePort } from '../../tools/free-port.ts';
import { describeWith, program } from '../../tools/machine.ts';
import { zoneSource } from '../../tools/zone-source.ts';

const set = (...values: string[]): TxtSet => ({ ttl: minutes(5), values });
const key = `v=DKIM1; k=rsa; p=${'A'.repeat(392)}`;
const zones = new Map<string, ReadonlyMap<string, TxtSet>>([
  [
    'selkie.example',
    new Map([
      ['a._domainkey.selkie.example', set(key)],
      ['several.selkie.example', set('one', 'two')],
      ['big.selkie.example', set('x'.repeat(1_500))],
      [
        'too-big.selkie.example',
        set(...Array.from({ length: 20 }, (_, n) => String(n).padStart(4_000, '.'))),
      ],
      ['*.wild.selkie.example', set('any')],
      ['*.odd.selkie.example', set('any')],
      ['b.exists.wild.selkie.example', set('b')],
      ['x.*.star.selkie.example', set('below a wildcard without TXT')],
      ['covered.below.selkie.example', set('the parent is not asked')],
    ]),
  ],
  ['below.selkie.example', new Map([['key.below.selkie.example', set('child')]])],
]);

let server: DnsServer;
beforeAll(async () => {
  server = await startDnsServer({ host: '127.0.0.1', port: 0, zones: zoneSource(zones) });
});
afterAll(() => server.close());

const udp = async (message: Buffer, patience = 1_000): Promise<Buffer | undefined> => {
  const socket = createSocket('udp4');
  try {
    socket.send(message, server.port, '127.0.0.1');
    const answer = await Promise.race([
      once(socket, 'message').then(([got]: Buffer[]) => got),
      new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), patience)),
    ]);
    return answer;
  } finally {
    socket.close();
  }
};

const question = (name: string, type: RecordType = 'TXT') => ({ name, type, class: 'IN' as const });
const query = (name: string, type: RecordType = 'TXT', edns?: { size: number; version?: number }): Buffer =>
  encode({
    type: 'query',
    id: 4_711,
    questions: [question(name, type)],
    ...(edns === undefined
      ? {}
      : {
          additionals: [
            {
              name: '.',
              type: 'OPT',
              udpPayloadSize: edns.size,
              extendedRcode: 0,
              ednsVersion: edns.version ?? 0,
              flags: 0x8000,
              flag_do: true,
              options: [],
            },
          ],
        }),
  });
const rcodeOf = (message: Buffer | undefined): number | undefined =>
  message === undefined ? undefined : message.readUInt16BE(2) & 0xf;
const replied = async (message: Buffer) => {
  const answer = await udp(message);
  if (answer === undefined) throw new Error('no answer');
  return decode(answer);
};

describe('answers', () => {
  it('holds an RSA-2048 record in 512 octets without EDNS', async () => {
    const answer = await udp(query('a._domainkey.selkie.example'));
    expect(answer?.length).toBeLessThanOrEqual(512);
    expect(answer && decode(answer)).toMatchObject({
      flag_aa: true,
      flag_tc: false,
      flag_ra: false,
      additionals: [],
    });
  });

  it.each([
    ['no EDNS', 'big.selkie.example', undefined, true],
    ['less than 512', 'a._domainkey.selkie.example', 100, false],
    ['room for more than we send', 'big.selkie.example', 4_096, true],
  ])('keeps to the size of the client: %s', async (_, name, size, truncated) => {
    const answer = await udp(query(name, 'TXT', size === undefined ? undefined : { size }));
    expect(answer && decode(answer)).toMatchObject({ flag_tc: truncated, answers: truncated ? [] : [{}] });
    expect(answer?.length).toBeLessThanOrEqual(Math.max(512, size ?? 512));
  });

  it('echoes the question byte for byte, and points to it', async () => {
    const asked = query('A._dOMAINkEY.SELKIE.example');
    const answer = await udp(asked);
    expect(answer?.subarray(12, asked.length)).toEqual(asked.subarray(12));
    expect(answer && decode(answer).answers?.[0]?.name).toBe('A._dOMAINkEY.SELKIE.example');
  });

  it('copies DO and says its size (RFC 3225, RFC 6891)', async () => {
    const { additionals } = await replied(query('several.selkie.example', 'TXT', { size: 1_232 }));
    expect(additionals).toEqual([
      expect.objectContaining({ type: 'OPT', udpPayloadSize: 1_232, flag_do: true }),
    ]);
  });

  it.each<[string, RecordType, number, number]>([
    ['selkie.example', 'SOA', 0, 1],
    ['selkie.example', 'NS', 0, 1],
    ['selkie.example', 'TXT', 0, 0],
    ['several.selkie.example', 'TXT', 0, 2],
    ['several.selkie.example', 'A', 0, 0],
    ['_domainkey.selkie.example', 'TXT', 0, 0],
    ['nobody._domainkey.selkie.example', 'TXT', 3, 0],
    ['x.wild.selkie.example', 'TXT', 0, 1],
    ['x.wild.selkie.example', 'A', 0, 0],
    ['y.x.wild.selkie.example', 'TXT', 0, 1],
    ['*.wild.selkie.example', 'TXT', 0, 1],
    ['wild.selkie.example', 'TXT', 0, 0],
    // RFC 4592 §2.2.1 and §2.2.2: a name that exists, empty or not, stops the wildcard above it.
    ['exists.wild.selkie.example', 'TXT', 0, 0],
    ['y.exists.wild.selkie.example', 'TXT', 3, 0],
    ['y.star.selkie.example', 'TXT', 0, 0],
    ['key.below.selkie.example', 'TXT', 0, 1],
    ['covered.below.selkie.example', 'TXT', 3, 0],
  ])('%s %s: rcode %i, %i records', async (name, type, rcode, count) => {
    const reply = await replied(query(name, type));
    expect([(reply.flags ?? 0) & 0xf, reply.answers?.length]).toEqual([rcode, count]);
    expect(reply.flag_aa).toBe(true);
    // RFC 2308 §2: the SOA tells how long the absence may be kept.
    expect(reply.authorities?.map((a) => a.type)).toEqual(count === 0 ? ['SOA'] : []);
  });

  it('is refused outside of its zones, of its class, and for transfers', async () => {
    expect(rcodeOf(await udp(query('selkie.example.org')))).toBe(5);
    expect(rcodeOf(await udp(query('.')))).toBe(5);
    expect(rcodeOf(await udp(query('notselkie.example')))).toBe(5);
    expect(rcodeOf(await udp(query('selkie.example', 'AXFR')))).toBe(5);
    const chaos = encode({
      type: 'query',
      id: 1,
      questions: [{ ...question('selkie.example'), class: 'CH' }],
    });
    expect(rcodeOf(await udp(chaos))).toBe(5);
  });

  it('knows a dot in a label from a dot between labels', async () => {
    const [dotted] = [query('several_selkie.example')];
    dotted.writeUInt8(0x2e, dotted.indexOf('_'));
    expect(rcodeOf(await udp(dotted))).toBe(5);
  });

  it('answers for a name of any octets through a wildcard', async () => {
    const asked = query('aaa.odd.selkie.example');
    Buffer.from([0x00, 0xff, 0x2e]).copy(asked, 13);
    const answer = await udp(asked);
    expect(rcodeOf(answer)).toBe(0);
    expect(answer?.readUInt16BE(6)).toBe(1);
    expect(answer?.subarray(12, asked.length)).toEqual(asked.subarray(12));
  });

  it('shows changes at once, and the SOA as it was told', async () => {
    const records = new Map<string, TxtSet>();
    const own = await startDnsServer({
      host: '127.0.0.1',
      port: 0,
      zones: zoneSource(new Map([['z.example', records]])),
      soaTtl: seconds(7),
      soaMinimum: seconds(3),
    });
    const look = () =>
      ask(
        { address: '127.0.0.1', port: own.port },
        { name: 'k.z.example', type: 'TXT' },
        { timeout: seconds(1) },
      );
    const before = await look();
    expect(before).toMatchObject({
      rcode: 'NXDOMAIN',
      authorities: [{ name: 'z.example', ttl: 3, data: { minimum: 3, rname: 'hostmaster.z.example' } }],
    });
    records.set('k.z.example', set('there'));
    expect((await look()).answers).toHaveLength(1);
    await own.close();
    await own.close();
    await expect(look()).rejects.toMatchObject({ code: 'unavailable', message: 'nothing listens there' });
  });
});

describe('what it does not understand', () => {
  it('answers NOTIMP, FORMERR or BADVERS, and drops what is no query', async () => {
    const update = query('selkie.example');
    update.writeUInt16BE(5 << 11, 2);
    expect(rcodeOf(await udp(update))).toBe(4);
    const two = encode({
      type: 'query',
      id: 1,
      questions: [question('selkie.example'), question('selkie.example')],
    });
    expect(rcodeOf(await udp(two))).toBe(1);
    expect(rcodeOf(await udp(query('selkie.example').subarray(0, -1)))).toBe(1);
    const pointer = Buffer.concat([query('.').subarray(0, 12), Buffer.from([0xc0, 12, 0, 16, 0, 1])]);
    expect(rcodeOf(await udp(pointer))).toBe(1);
    const later = await replied(query('selkie.example', 'SOA', { size: 1_232, version: 1 }));
    expect(later).toMatchObject({
      answers: [],
      additionals: [{ type: 'OPT', extendedRcode: 1, ednsVersion: 0 }],
    });
    const answer = query('selkie.example');
    answer.writeUInt8(0x80, 2);
    expect(await udp(answer, 100)).toBeUndefined();
    expect(await udp(Buffer.from('junk'), 100)).toBeUndefined();
  });

  it('reads any octets without failing, mutated queries too', () => {
    const good = query('a._domainkey.selkie.example', 'TXT', { size: 1_232 });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat(), (noise, at) => {
        readQuery(Buffer.from(noise));
        const mutated = Buffer.from(good);
        Buffer.from(noise.subarray(0, 4)).copy(mutated, at % good.length);
        readQuery(mutated);
      }),
      { numRuns: 2_000 },
    );
  });

  it('lives on after a storm of garbage by UDP and TCP', async () => {
    const socket = createSocket('udp4');
    const [noise] = fc.sample(
      fc.array(fc.uint8Array({ maxLength: 100 }), { minLength: 200, maxLength: 200 }),
      1,
    );
    for (const octets of noise ?? []) socket.send(octets, server.port, '127.0.0.1');
    const stream = connect(server.port, '127.0.0.1');
    stream.on('error', () => {});
    stream.write(Buffer.concat([Buffer.from([0, 9]), Buffer.from('not a dns')]));
    // Too short for a header: the connection is ended.
    await once(stream, 'close');
    expect(rcodeOf(await udp(query('several.selkie.example')))).toBe(0);
    socket.close();
  });

  it('says SERVFAIL where its source fails', async () => {
    const broken: ZoneSource = {
      zones: () => {
        throw new Error('the ledger is gone');
      },
      find: () => undefined,
      hasBelow: () => false,
    };
    const own = await startDnsServer({ host: '::1', port: 0, zones: broken });
    const reply = await ask(
      { address: '::1', port: own.port },
      { name: 'a.example', type: 'TXT' },
      { timeout: seconds(1) },
    );
    expect(reply.rcode).toBe('SERVFAIL');
    await own.close();
  });
});

describe('TCP', () => {
  const framed = (message: Buffer): Buffer => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(message.length);
    return Buffer.concat([length, message]);
  };

  it('answers several questions on one connection, in pieces', async () => {
    const socket = connect(server.port, '127.0.0.1');
    let got = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      got = Buffer.concat([got, chunk]);
    });
    const both = Buffer.concat([
      framed(query('big.selkie.example')),
      framed(query('several.selkie.example')),
    ]);
    for (const octet of both) {
      socket.write(Buffer.from([octet]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const first = () => (got.length >= 2 ? 2 + got.readUInt16BE(0) : Number.POSITIVE_INFINITY);
    const complete = () => got.length >= first() + 2 && got.length >= first() + 2 + got.readUInt16BE(first());
    await expect.poll(complete).toBe(true);
    expect(decode(got.subarray(2, first())).answers).toHaveLength(1);
    expect(decode(got.subarray(first() + 2)).answers).toHaveLength(2);
    socket.destroy();
  });

  it('truncates even there what no message can hold', async () => {
    await expect(
      ask(
        { address: '127.0.0.1', port: server.port },
        { name: 'too-big.selkie.example', type: 'TXT' },
        { timeout: seconds(1) },
      ),
    ).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('truncated') });
  });
});

describe('its port', () => {
  const source = zoneSource(new Map());

  it('is refused with a clear sentence where another has it: TCP, or UDP alone', async () => {
    const refusal = {
      code: 'invalid',
      field: 'dnsPort',
      message: `The DNS server cannot listen on 127.0.0.1:${server.port}: another program uses that port. Stop it, or choose another port.`,
    };
    await expect(
      startDnsServer({ host: '127.0.0.1', port: server.port, zones: source }),
    ).rejects.toMatchObject(refusal);
    const other = createSocket('udp4');
    // A port that is free for TCP: one that the system gives for UDP may be held by a connection that lingers in TIME-WAIT.
    const port = await freePort();
    other.bind(port, '127.0.0.1');
    await once(other, 'listening');
    await expect(startDnsServer({ host: '127.0.0.1', port, zones: source })).rejects.toMatchObject({
      code: 'invalid',
      field: 'dnsPort',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
    other.close();
    // Nothing of the refused one is left behind.
    const own = await startDnsServer({ host: '127.0.0.1', port, zones: source });
    expect(own.port).toBe(port);
    await own.close();
  });

  it.each(['192.0.2.77', 'localhost'])(
    'is refused where the host is no address of this machine: %s',
    async (host) => {
      await expect(startDnsServer({ host, port: 0, zones: source })).rejects.toMatchObject({
        code: 'invalid',
        field: 'dnsHost',
        message: expect.stringContaining(host),
      });
    },
  );
});

describeWith(['dig'], 'dig', () => {
  const dig = async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(program('dig') ?? 'dig', [
      ...['-r', '@127.0.0.1', '-p', String(server.port), '+time=2', '+tries=1', '+norecurse'],
      ...args,
    ]);
    return stdout;
  };

  it('finds a key record, with EDNS and a cookie as it asks by default', async () => {
    const text = await dig('a._domainkey.selkie.example', 'TXT');
    expect(text).toMatch(/status: NOERROR/);
    expect(text).toMatch(/flags: qr aa;/);
    expect(text).not.toMatch(/warning|malformed|extra bytes/i);
    expect(parseZoneRecords(text).map((r) => [r.owner, r.ttl, r.strings.join('')])).toEqual([
      ['a._domainkey.selkie.example.', minutes(5), key],
    ]);
  });

  it.each([['+noedns'], ['+tcp'], ['+bufsize=512'], ['+dnssec']])('gets the same %s', async (option) => {
    expect(parseDigShort(await dig('+short', option, 'a._domainkey.selkie.example', 'TXT'))).toEqual([key]);
    expect(parseDigShort(await dig('+short', option, 'big.selkie.example', 'TXT'))).toEqual([
      'x'.repeat(1_500),
    ]);
    expect(parseDigShort(await dig('+short', option, 'several.selkie.example', 'TXT'))).toEqual([
      'one',
      'two',
    ]);
  });

  it('is told of a truncated answer', async () => {
    expect(await dig('+ignore', '+noedns', 'big.selkie.example', 'TXT')).toMatch(/flags: qr aa tc;/);
  });

  it('sees the wildcard, NODATA, NXDOMAIN and REFUSED', async () => {
    expect(parseDigShort(await dig('+short', 'x.wild.selkie.example', 'TXT'))).toEqual(['any']);
    const empty = await dig('_domainkey.selkie.example', 'TXT');
    expect(empty).toMatch(/status: NOERROR.*\n.*ANSWER: 0, AUTHORITY: 1/);
    const none = await dig('nobody.selkie.example', 'TXT');
    expect(none).toMatch(/status: NXDOMAIN/);
    expect(none).toMatch(
      /^selkie\.example\.\s+0\s+IN\s+SOA\s+localhost\. hostmaster\.selkie\.example\. 1 3600 600 604800 0$/m,
    );
    expect(await dig('example.org', 'TXT')).toMatch(/status: REFUSED/);
    expect(await dig('+edns=1', '+noednsneg', 'selkie.example', 'SOA')).toMatch(/status: BADVERS/);
    expect(await dig('selkie.example', 'ANY', '+notcp')).toMatch(/ANSWER: 2,/);
  });
});
