// The contract of the DnsObserver port, for every implementation: `make` sets a described world up, the suite looks at it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FleetZone } from '../../core/policy.ts';
import { type Duration, minutes, seconds } from '../../core/time.ts';
import type { DnsObserver, Observation, TxtSet } from '../../engine/ports.ts';

export interface ServedZone {
  readonly soaTtl: Duration;
  readonly soaMinimum: Duration;
  /** Name → set; a first label `*` is a wildcard. */
  readonly txt: ReadonlyMap<string, TxtSet>;
  /** Name → target. Empty where the world cannot have CNAMEs. */
  readonly cname: ReadonlyMap<string, string>;
}

export interface ObserverWorld {
  readonly zone: string;
  /** One name server each. `dead`: nothing listens; `stranger`: it serves another zone only. */
  readonly servers: readonly (ServedZone | 'dead' | 'stranger')[];
}

export interface Observed {
  readonly observer: DnsObserver;
  readonly zone: FleetZone;
  close(): Promise<void>;
}

export const dnsObserverContract = (
  name: string,
  make: (world: ObserverWorld) => Promise<Observed>,
  { cnames = true }: { cnames?: boolean } = {},
): void => {
  const zone = 'selkie.example';
  const set = (...values: string[]): TxtSet => ({ ttl: minutes(5), values });
  const everyOctet = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('');
  const sets: ReadonlyMap<string, TxtSet> = new Map([
    [`plain._domainkey.${zone}`, set('v=DKIM1; k=rsa; p=')],
    [`rsa2048._domainkey.${zone}`, set(`v=DKIM1; k=rsa; p=${'A'.repeat(392)}`)],
    [`rsa4096._domainkey.${zone}`, set(`v=DKIM1; k=rsa; p=${'B'.repeat(736)}`)],
    [`huge.${zone}`, set('x'.repeat(3_900))],
    [`octets.${zone}`, set(everyOctet)],
    [`empty.${zone}`, set('')],
    [`several.${zone}`, set('v=spf1 -all', 'other "service"')],
    [`*.wild.${zone}`, set('from the wildcard')],
    [`exact.wild.${zone}`, set('exact')],
    [`deep.exists.wild.${zone}`, set('makes its parent exist')],
  ]);
  const served: ServedZone = {
    soaTtl: minutes(15),
    soaMinimum: minutes(1),
    txt: sets,
    cname: cnames ? new Map([[`alias._domainkey.${zone}`, 'there.elsewhere.example']]) : new Map(),
  };

  const answersOf = ({ answers }: Observation) => answers.map(({ answer }) => answer);

  describe(`${name}: two name servers that agree`, () => {
    let observed: Observed;
    beforeAll(async () => {
      // min(TTL, MINIMUM): 1 minute here, 2 minutes there.
      observed = await make({
        zone,
        servers: [served, { ...served, soaTtl: minutes(2), soaMinimum: minutes(30) }],
      });
    });
    afterAll(() => observed.close());
    const look = (at: string) => observed.observer.observe(observed.zone, at);

    it.each([...sets].filter(([at]) => !at.startsWith('*')))(
      'shows the set at %s, joined',
      async (at, { ttl, values }) => {
        const wanted = { kind: 'txt', set: { ttl, values: [...values].sort() } };
        expect(answersOf(await look(at))).toEqual([wanted, wanted]);
      },
    );

    it('tells which server said it, at which address', async () => {
      const { answers } = await look(`plain._domainkey.${zone}`);
      expect(new Set(answers.map((a) => a.address)).size).toBe(2);
      for (const { server, address } of answers) {
        expect(server).not.toBe('');
        expect(address).toMatch(/^[0-9a-f.:]+#\d+$/);
      }
    });

    it('does not mind the case of a name', async () => {
      const [answer] = answersOf(await look(`PLAIN._DomainKey.${zone.toUpperCase()}`));
      expect(answer).toEqual({ kind: 'txt', set: sets.get(`plain._domainkey.${zone}`) });
    });

    it('shows what a wildcard answers: RFC 4592', async () => {
      const wanted = { kind: 'txt', set: sets.get(`*.wild.${zone}`) };
      expect(answersOf(await look(`anything.wild.${zone}`))).toEqual([wanted, wanted]);
      expect(answersOf(await look(`two.labels.wild.${zone}`))).toEqual([wanted, wanted]);
    });

    it('shows that a wildcard does not reach below a name that exists', async () => {
      expect(answersOf(await look(`other.exists.wild.${zone}`))).toEqual([
        { kind: 'no-such-name' },
        { kind: 'no-such-name' },
      ]);
    });

    it('tells a name without TXT from no such name', async () => {
      expect(answersOf(await look(`_domainkey.${zone}`))).toEqual([{ kind: 'no-data' }, { kind: 'no-data' }]);
      expect(answersOf(await look(`exists.wild.${zone}`))).toEqual([
        { kind: 'no-data' },
        { kind: 'no-data' },
      ]);
      expect(answersOf(await look(zone))).toEqual([{ kind: 'no-data' }, { kind: 'no-data' }]);
      expect(answersOf(await look(`nobody._domainkey.${zone}`))).toEqual([
        { kind: 'no-such-name' },
        { kind: 'no-such-name' },
      ]);
    });

    it.runIf(cnames)('shows where a CNAME leads', async () => {
      const wanted = { kind: 'cname', target: 'there.elsewhere.example', ttl: seconds(300) };
      expect(answersOf(await look(`alias._domainkey.${zone}`))).toEqual([wanted, wanted]);
    });

    it('tells the longest negative TTL: min(SOA TTL, MINIMUM), RFC 2308 §5', async () => {
      expect((await look(`plain._domainkey.${zone}`)).negativeTtl).toBe(minutes(2));
      expect((await look(`nobody.${zone}`)).negativeTtl).toBe(minutes(2));
    });
  });

  describe(`${name}: name servers that do not agree`, () => {
    const at = `plain._domainkey.${zone}`;
    let observed: Observed;
    beforeAll(async () => {
      observed = await make({
        zone,
        servers: [
          served,
          { ...served, txt: new Map([...sets].filter(([name]) => name !== at)), soaMinimum: seconds(0) },
          'dead',
          'stranger',
        ],
      });
    });
    afterAll(() => observed.close());

    it("gives each server's own answer, and a reason for each failure", async () => {
      const seen = await observed.observer.observe(observed.zone, at);
      expect(answersOf(seen)).toEqual([
        { kind: 'txt', set: sets.get(at) },
        { kind: 'no-such-name' },
        { kind: 'failed', why: expect.stringMatching(/./) },
        { kind: 'failed', why: expect.stringMatching(/./) },
      ]);
      expect(seen.negativeTtl).toBe(minutes(1));
    });
  });

  describe(`${name}: no server tells`, () => {
    it('has answers all the same, but no negative TTL', async () => {
      const observed = await make({ zone, servers: ['dead'] });
      try {
        const seen = await observed.observer.observe(observed.zone, `plain._domainkey.${zone}`);
        expect(seen.answers).toHaveLength(1);
        expect(seen.answers[0]?.answer.kind).toBe('failed');
        expect(seen.negativeTtl).toBeUndefined();
      } finally {
        await observed.close();
      }
    });
  });
};
