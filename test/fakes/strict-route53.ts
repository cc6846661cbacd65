// An imitation of Route 53 on loopback that is strict where moto is not: the form of TXT values, CREATE over a name that
// is taken, DELETE of what is not exactly so, all or nothing, overlapping requests, throttling, INSYNC that takes its
// time, unknown change ids, the limits of one request. By the API reference (2013-04-01) and the developer guide's quotas.
// Time is what `now` says; nothing here waits for a clock.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  type AskedChange,
  applyAll,
  faultOf,
  type ListedSet,
  printSet,
  readChange,
} from './route53-changes.ts';
import { listedName, orderOf } from './route53-values.ts';
import { all, escapeXml, one, parseXml } from './xml.ts';

export type { ListedSet } from './route53-changes.ts';

export interface StrictRoute53Options {
  /** Milliseconds; the fake's only clock. */
  readonly now: () => number;
  /** Milliseconds from acceptance to INSYNC. */
  readonly syncDelay?: number;
}

export interface StrictRoute53 {
  readonly url: string;
  /** Makes a hosted zone with its SOA and NS. Returns its id. */
  addZone(name: string): string;
  /** Sets what stands there, as somebody else would have, without any check. */
  put(zoneId: string, set: ListedSet): void;
  sets(zoneId: string): readonly ListedSet[];
  /** From now on requests that change a zone are taken in hand and not finished, until the returned function is called. */
  hold(): () => void;
  /** Resolves when `count` requests are held. */
  held(count: number): Promise<void>;
  /** `POST rrset`, `GET rrset`, `GET change`, with the HTTP status they were answered with. */
  readonly requests: readonly string[];
  stop(): Promise<void>;
}

/** https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html */
const quotas = {
  requests: { perSecond: 10, burst: 50 },
  changes: { perSecond: 100, burst: 1_500 },
  records: 1_000,
  characters: 32_000,
} as const;

const namespace = 'https://route53.amazonaws.com/doc/2013-04-01/';

class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const bucket = (quota: { perSecond: number; burst: number }, now: () => number) => {
  let [tokens, at]: [number, number] = [quota.burst, now()];
  return (cost: number): void => {
    tokens = Math.min(quota.burst, tokens + ((now() - at) / 1_000) * quota.perSecond);
    at = now();
    if (tokens < cost) throw new Refusal(400, 'Throttling', 'Rate exceeded');
    tokens -= cost;
  };
};

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
};

export const startStrictRoute53 = async ({
  now,
  syncDelay = 0,
}: StrictRoute53Options): Promise<StrictRoute53> => {
  const zones = new Map<string, { name: string; sets: ListedSet[]; busy: boolean }>();
  const changes = new Map<string, number>();
  const requests: string[] = [];
  const spendRequest = bucket(quotas.requests, now);
  const spendChanges = bucket(quotas.changes, now);
  let gate: Promise<void> | undefined;
  let heldNow = 0;
  let onHeld = (): void => {};

  const zoneOf = (id: string) => {
    const zone = zones.get(id);
    if (zone === undefined) throw new Refusal(404, 'NoSuchHostedZone', `No hosted zone found with ID: ${id}`);
    return zone;
  };

  const change = async (id: string, body: string): Promise<string> => {
    const zone = zoneOf(id);
    const batch = one(parseXml(body), 'ChangeBatch');
    const asked = all(one(batch, 'Changes'), 'Change').map(readChange);
    if (asked.length === 0) throw new Refusal(400, 'InvalidInput', 'Invalid XML ; there is no Change');
    const foreign = asked.find(
      ({ action, set }) => set.type !== 'TXT' || !['CREATE', 'DELETE', 'UPSERT'].includes(action),
    );
    // As the policy of Selkie's role would have it.
    if (foreign !== undefined)
      throw new Refusal(403, 'AccessDenied', `not authorized: ${foreign.action} ${foreign.set.type}`);
    if (zone.busy)
      throw new Refusal(
        400,
        'PriorRequestNotComplete',
        'The request was rejected because Route 53 was still processing a prior request.',
      );
    const weight = ({ action }: AskedChange): number => (action === 'UPSERT' ? 2 : 1);
    const records = asked.reduce((sum, c) => sum + weight(c) * c.set.values.length, 0);
    const characters = asked.reduce((sum, c) => sum + weight(c) * c.set.values.join('').length, 0);
    if (records > quotas.records)
      throw new Refusal(400, 'InvalidChangeBatch', '[Number of records limit of 1000 exceeded.]');
    if (characters > quotas.characters)
      throw new Refusal(
        400,
        'InvalidChangeBatch',
        '[Number of characters in all Value elements exceeds 32000.]',
      );
    spendChanges(asked.reduce((sum, c) => sum + weight(c), 0));

    zone.busy = true;
    try {
      if (gate !== undefined) {
        heldNow += 1;
        onHeld();
        await gate;
        heldNow -= 1;
      }
      const draft = [...zone.sets];
      const faults = asked.map((c) => faultOf(zone.name, c)).filter((fault) => fault !== undefined);
      if (faults.length === 0) faults.push(...applyAll(draft, asked));
      if (faults.length > 0) throw new Refusal(400, 'InvalidChangeBatch', `[${faults.join(', ')}]`);
      zone.sets = draft;
    } finally {
      zone.busy = false;
    }
    const changeId = `C${String(changes.size + 1).padStart(13, '0')}`;
    changes.set(changeId, now());
    return `<ChangeResourceRecordSetsResponse xmlns="${namespace}">${changeInfo(changeId)}</ChangeResourceRecordSetsResponse>`;
  };

  const changeInfo = (id: string): string => {
    const at = changes.get(id);
    if (at === undefined)
      throw new Refusal(404, 'NoSuchChange', `Could not find resource with ID: /change/${id}`);
    const status = now() - at >= syncDelay ? 'INSYNC' : 'PENDING';
    return `<ChangeInfo><Id>/change/${id}</Id><Status>${status}</Status><SubmittedAt>${new Date(at).toISOString()}</SubmittedAt></ChangeInfo>`;
  };

  const list = (id: string, query: URLSearchParams): string => {
    const zone = zoneOf(id);
    const [name, type] = [query.get('name'), query.get('type') ?? ''];
    if (name === null && type !== '') throw new Refusal(400, 'InvalidInput', 'a type without a name');
    // Takes names as it lists them, `\052` for an asterisk.
    const start = name === null ? '' : orderOf(name.replaceAll('\\052', '*'));
    const most = Number(query.get('maxitems') ?? 300);
    const rest = zone.sets
      .map((set) => ({ set, order: orderOf(set.name.replaceAll('\\052', '*')) }))
      .filter(({ set, order }) => order > start || (order === start && set.type >= type))
      .toSorted((a, b) =>
        a.order === b.order ? (a.set.type < b.set.type ? -1 : 1) : a.order < b.order ? -1 : 1,
      )
      .map(({ set }) => set);
    const next = rest[most];
    return [
      `<ListResourceRecordSetsResponse xmlns="${namespace}"><ResourceRecordSets>`,
      ...rest.slice(0, most).map(printSet),
      `</ResourceRecordSets><IsTruncated>${next !== undefined}</IsTruncated>`,
      next === undefined
        ? ''
        : `<NextRecordName>${escapeXml(next.name)}</NextRecordName><NextRecordType>${next.type}</NextRecordType>`,
      `<MaxItems>${most}</MaxItems></ListResourceRecordSetsResponse>`,
    ].join('');
  };

  const answer = async (request: IncomingMessage): Promise<string> => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const body = await bodyOf(request);
    spendRequest(1);
    const path = url.pathname.replace(/\/$/, '');
    const zone = /^\/2013-04-01\/hostedzone\/([A-Z0-9]{1,32})\/rrset$/.exec(path)?.[1];
    const changeId = /^\/2013-04-01\/change\/([^/]+)$/.exec(path)?.[1];
    if (zone !== undefined && request.method === 'POST') return change(zone, body);
    if (zone !== undefined && request.method === 'GET') return list(zone, url.searchParams);
    if (changeId !== undefined && request.method === 'GET') {
      if (!/^[A-Z0-9]{1,32}$/.test(changeId))
        throw new Refusal(400, 'InvalidInput', 'The change id is not well-formed');
      return `<GetChangeResponse xmlns="${namespace}">${changeInfo(changeId)}</GetChangeResponse>`;
    }
    throw new Refusal(404, 'UnknownOperationException', `${request.method} ${path}`);
  };

  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let [status, text] = [200, ''];
    try {
      text = await answer(request);
    } catch (error) {
      const {
        code,
        message,
        status: refused,
      } = error instanceof Refusal ? error : new Refusal(500, 'InternalFailure', String(error));
      status = refused;
      text = `<ErrorResponse xmlns="${namespace}"><Error><Type>Sender</Type><Code>${code}</Code><Message>${escapeXml(message)}</Message></Error><RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>`;
    }
    requests.push(`${request.method} ${/rrset|change/.exec(request.url ?? '')?.[0] ?? '?'} ${status}`);
    response.writeHead(status, { 'content-type': 'text/xml' });
    response.end(`<?xml version="1.0" encoding="UTF-8"?>${text}`);
  };

  const server: Server = createServer((request, response) => void respond(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;

  return {
    url: `http://127.0.0.1:${port}`,
    addZone(name) {
      const id = `Z${String(zones.size + 1).padStart(19, '0')}`;
      const apex = listedName(name);
      zones.set(id, {
        name: apex,
        busy: false,
        sets: [
          { name: apex, type: 'NS', ttl: 172_800, values: ['ns-1.example.', 'ns-2.example.'] },
          {
            name: apex,
            type: 'SOA',
            ttl: 900,
            values: ['ns-1.example. hostmaster.example. 1 7200 900 1209600 86400'],
          },
        ],
      });
      return id;
    },
    put(zoneId, set) {
      zoneOf(zoneId).sets.push({ ...set, name: listedName(set.name) });
    },
    sets: (zoneId) => zoneOf(zoneId).sets,
    hold() {
      let release = (): void => {};
      gate = new Promise((resolve) => {
        release = () => {
          gate = undefined;
          resolve();
        };
      });
      return () => release();
    },
    held: (count) =>
      new Promise((resolve) => {
        onHeld = () => {
          if (heldNow >= count) resolve();
        };
        onHeld();
      }),
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
