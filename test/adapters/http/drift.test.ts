// The routes on drift, in the application that mounts them, on a world that the real engine drives.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createApi } from '../../../adapters/http/api.ts';
import { keyRecordName } from '../../../core/names.ts';
import { hours, minutes } from '../../../core/time.ts';
import type { driftStatus } from '../../../engine/drift.ts';
import { domain, type Simulation, simulate } from '../../world/world.ts';

type Answer = Awaited<ReturnType<typeof driftStatus>> & { readonly code?: string };

let simulation: Simulation;
beforeEach(async () => {
  simulation = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
  await simulation.run(hours(3));
});
afterEach(() => simulation.close());

const call = async (method: string, path: string, body?: string) => {
  const request = new Request(`http://localhost${path}`, { method, ...(body === undefined ? {} : { body }) });
  const response = await createApi(simulation.world, () => {}).request(request);
  const answer = (await response.json()) as Answer;
  return { status: response.status, location: response.headers.get('location'), answer };
};
const deleteKey = async (): Promise<string> => {
  const [key] = (await simulation.world.ledger.domain(domain))?.keys ?? [];
  const name = keyRecordName(key?.selector ?? '', domain);
  simulation.dns.put(name, undefined);
  return name;
};

describe('POST and GET /v1/drift', () => {
  test('before the first audit there is nothing to tell', async () => {
    expect(await call('GET', '/v1/drift')).toMatchObject({ status: 200, answer: { audits: [] } });
  });

  test('a zone: it is audited, and the report says what was found and put back', async () => {
    const name = await deleteKey();
    expect(await call('POST', '/v1/drift', JSON.stringify({ zone: 'Example.com.' }))).toEqual({
      status: 202,
      location: '/v1/drift',
      answer: { audits: 1, subjects: [`zone/${domain}`] },
    });
    await simulation.run(minutes(10));
    const { answer } = await call('GET', '/v1/drift');
    expect(answer).toMatchObject({
      audits: [
        {
          subject: `zone/${domain}`,
          begun: '2024-01-28T12:00:00.000Z',
          complete: true,
          compared: 1,
          found: 1,
          alarms: 1,
          findings: [
            {
              kind: 'record-missing',
              name,
              domain,
              level: 'alarm',
              since: '2024-01-28T12:00:00.000Z',
              mended: { change: expect.stringMatching(/^C\d+$/), at: '2024-01-28T12:00:00.000Z' },
            },
          ],
        },
      ],
    });
    expect(answer.next).toBeUndefined();
    expect(Date.parse(answer.audits[0]?.findings[0]?.mended?.shown ?? '')).toBeGreaterThan(0);
    expect(await simulation.world.writer.lookup({ name: domain, id: 'Z1' }, name)).toBeDefined();
  });

  test.each(['', '{}'])('everything, with the body "%s"; page by page', async (body) => {
    const { status, answer } = await call('POST', '/v1/drift', body);
    expect([status, answer]).toEqual([
      202,
      { audits: 4, subjects: ['domains', 'secrets', 'hosts', `zone/${domain}`] },
    ]);
    await simulation.run(minutes(10));
    const subjects: string[] = [];
    let path = '/v1/drift?limit=1';
    for (let pages = 0; pages < 10; pages += 1) {
      const page = (await call('GET', path)).answer;
      subjects.push(...page.audits.map(({ subject }) => subject));
      if (page.next === undefined) break;
      path = `/v1/drift?limit=1&after=${encodeURIComponent(page.next)}`;
    }
    expect(subjects).toEqual(['domains', 'hosts', 'secrets', `zone/${domain}`]);
  });

  test.each<[string, string, string, string | undefined, number, string]>([
    ['a zone that is none of the fleet', 'POST', '/v1/drift', '{"zone":"other.example"}', 404, 'not-found'],
    ['a zone that is no name', 'POST', '/v1/drift', '{"zone":"../etc"}', 400, 'invalid'],
    ['a zone that is a number', 'POST', '/v1/drift', '{"zone":7}', 400, 'invalid'],
    ['a field that there is not', 'POST', '/v1/drift', '{"zones":["example.com"]}', 400, 'invalid'],
    ['no JSON', 'POST', '/v1/drift', 'example.com', 400, 'invalid'],
    ['a limit of none', 'GET', '/v1/drift?limit=0', undefined, 400, 'invalid'],
    ['too long a page', 'GET', '/v1/drift?limit=51', undefined, 400, 'invalid'],
    ['a limit that is no number', 'GET', '/v1/drift?limit=1e1', undefined, 400, 'invalid'],
    ['a place that is none', 'GET', '/v1/drift?after=%0a', undefined, 400, 'invalid'],
  ])('refused: %s', async (_, method, path, body, status, code) => {
    const refused = await call(method, path, body);
    expect([refused.status, refused.answer.code]).toEqual([status, code]);
  });
});
