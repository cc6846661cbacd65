// An API of ten thousand domains that nothing stands behind: what the page does with many is measured, not what the engine does.
import type * as z from 'zod/mini';
import type { domain } from '../../contract/api/answers.ts';

type Domain = z.infer<typeof domain>;

const day = 86_400_000;
const iso = (at: number): string => new Date(at).toISOString();

const domainOf = (n: number, now: number): Domain => {
  const name = `d${String(n).padStart(5, '0')}.customers.example`;
  const since = now - (n % 89) * day - day;
  const selector = iso(since).slice(2, 10).replaceAll('-', '');
  const trouble = n % 997 === 13;
  const moving = n % 251 === 7;
  return {
    domain: name,
    zone: `z${n % 40}.example`,
    pool: 'mx',
    leaving: n % 4_999 === 40,
    keys: [
      {
        selector,
        algorithm: 'rsa2048',
        state: 'active',
        record: `${selector}._domainkey.${name}`,
        reserved: iso(since),
        active: iso(since),
      },
    ],
    rotations: [
      {
        id: `r${n}`,
        kind: 'scheduled',
        state: moving || trouble ? 'under-way' : 'done',
        requested: iso(since),
        algorithms: ['rsa2048'],
        selectors: [selector],
      },
    ],
    taken: [],
    next: [],
    blockedBy: trouble
      ? [
          {
            by: 'trouble',
            says: `publish ${selector}: Route 53 refuses the change: AccessDenied (7 tries since ${iso(now - 3 * 3_600_000)})`,
          },
        ]
      : moving
        ? [
            {
              by: 'hosts',
              selector,
              says: `waiting for mx2.example.com to hold ${selector} (1 of 2 hosts have)`,
            },
          ]
        : [],
    nextRotation: iso(since + 90 * day),
  };
};

/** @returns a handler for a console, and how often the list was asked for */
export const manyDomains = (count: number) => {
  const asked: string[] = [];
  const now = Date.now();
  const api = (request: Request): Response => {
    const url = new URL(request.url);
    if (url.pathname === '/v1/hosts')
      return Response.json({
        hosts: ['mx1.example.com', 'mx2.example.com'].map((host) => ({
          host,
          pool: 'mx',
          ready: true,
          cursor: { epoch: 1, n: 4 },
          failed: {},
          lastSeen: iso(now),
        })),
      });
    if (url.pathname === '/v1/drift') return Response.json({ audits: [] });
    if (url.pathname !== '/v1/domains')
      return Response.json({ detail: 'nothing stands behind this list', code: 'not-found' }, { status: 404 });
    asked.push(url.search);
    const limit = Number(url.searchParams.get('limit'));
    const first = Number(url.searchParams.get('after') ?? 0);
    const etag = `"${first}"`;
    if (request.headers.get('if-none-match') === etag) return new Response(null, { status: 304 });
    const domains: Domain[] = [];
    for (let n = first; n < Math.min(count, first + limit); n += 1) domains.push(domainOf(n, now));
    const next = first + limit < count ? { next: String(first + limit) } : {};
    return Response.json({ domains, ...next }, { headers: { etag } });
  };
  return { api, asked };
};
