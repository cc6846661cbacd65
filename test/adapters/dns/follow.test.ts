// Names that lead into a zone of ours, followed from zone to zone. With a real name server: test/e2e/aws-cname.test.ts.
import { describe, expect, it } from 'vitest';
import { createFollow } from '../../../adapters/dns/follow.ts';
import { minutes } from '../../../core/time.ts';
import type { ServerAnswer } from '../../../engine/ports.ts';

const ours = { name: 'keys.example.net', id: 'Z1' };
const leads = (target: string): ServerAnswer['answer'] => ({ kind: 'cname', target, ttl: minutes(5) });
const none: ServerAnswer['answer'] = { kind: 'no-such-name' };

/** Name → what each name server of its zone says; zones are a name's last two labels. */
const world = (said: Readonly<Record<string, readonly ServerAnswer['answer'][]>>) => {
  const asked: string[] = [];
  const follow = createFollow({
    zoneOf: async (name) => name.split('.').slice(-2).join('.'),
    observe: async (zone, name) => {
      asked.push(`${name} in ${zone.name}`);
      return {
        negativeTtl: zone.name === 'slow.example' ? minutes(90) : minutes(1),
        answers: (said[name] ?? [none]).map((answer, n) => ({
          server: `ns${n + 1}.${zone.name}`,
          address: `192.0.2.${n + 1}#53`,
          answer,
        })),
      };
    },
  });
  return { asked, look: (name: string) => follow(name, ours) };
};

describe('a name that leads into our zone', () => {
  it('is followed to there, and no further', async () => {
    const target = 'a.keys.example.net';
    const { asked, look } = world({ 'a.shop.example': [leads(target), leads(target)] });
    expect(await look('A.Shop.example.')).toEqual({
      negativeTtl: minutes(1),
      answers: [
        { server: 'ns1.shop.example', address: '192.0.2.1#53', answer: leads(target) },
        { server: 'ns2.shop.example', address: '192.0.2.2#53', answer: leads(target) },
      ],
    });
    expect(asked).toEqual(['a.shop.example in shop.example']);
  });

  it('is followed over other zones, and the longest negative TTL on the way counts', async () => {
    const { look } = world({
      'a.shop.example': [leads('b.slow.example')],
      'b.slow.example': [leads('a.keys.example.net'), none],
    });
    expect(await look('a.shop.example')).toEqual({
      negativeTtl: minutes(90),
      answers: [
        { server: 'ns1.slow.example', address: '192.0.2.1#53', answer: leads('a.keys.example.net') },
        { server: 'ns2.slow.example', address: '192.0.2.2#53', answer: none },
      ],
    });
  });

  it("keeps each server's own answer where they differ", async () => {
    const { look } = world({ 'a.shop.example': [leads('a.keys.example.net'), none] });
    expect((await look('a.shop.example')).answers.map(({ answer }) => answer.kind)).toEqual([
      'cname',
      'no-such-name',
    ]);
  });

  it('that leads in a circle is unavailable', async () => {
    const { look, asked } = world({
      'a.shop.example': [leads('b.shop.example')],
      'b.shop.example': [leads('a.shop.example')],
    });
    await expect(look('a.shop.example')).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('the 8th alias on the way'),
    });
    expect(asked).toHaveLength(8);
  });
});
