// One AWS account: moto, made as strict as AWS where moto is not. Everything goes to moto one request at a time, since a
// transaction that moto refuses restores its whole table, and with it loses what others wrote meanwhile.
//   DynamoDB   a repeated ClientRequestToken is answered as before, for as long as it is remembered
//   Route 53   a CREATE over a name, or a DELETE of what is not exactly so, is refused whole; change ids are told apart,
//              PENDING for some time, and unknown where this account never gave them
// Time is what `now` says.
import { request } from 'node:http';
import type { Instant } from '../../core/time.ts';
import {
  type AskedChange,
  applyAll,
  faultOf,
  type ListedSet,
  printSet,
  readChange,
} from '../fakes/route53-changes.ts';
import { listedName } from '../fakes/route53-values.ts';
import { all, escapeXml, one, parseXml, textOf } from '../fakes/xml.ts';
import { type Answer, type Asked, errorAnswer, jsonOf, route53Namespace, xmlAnswer } from './aws-request.ts';

/** TXT by name (lower case, no final dot); the zone as Route 53 then has it. */
export type Records = ReadonlyMap<string, ListedSet>;

export interface Watcher {
  /** A request was answered with 200. In the order in which they took effect. */
  answered(asked: Asked, answer: Answer): void;
  /** A batch is taken, and this is what it makes of the zone. Before moto is told. */
  changing(zone: string, changes: readonly AskedChange[], before: Records, after: Records): void;
}

export interface StrictAccountOptions {
  /** moto's URL. */
  readonly upstream: string;
  readonly now: () => Instant;
  /** Hosted zone id → name. */
  readonly zones: ReadonlyMap<string, string>;
  /** Milliseconds from acceptance to INSYNC. */
  readonly syncDelay: number;
  readonly watch: Watcher;
}

export interface StrictAccount {
  perform(asked: Asked): Promise<Answer>;
  /** Two requests right after each other; no third comes between them. */
  performTwice(asked: Asked): Promise<readonly [Answer, Answer]>;
  /** Forgets what was answered to a transaction's token: it is taken for a new one. */
  forgetToken(asked: Asked): void;
  /** Forgets a change id, as a provider may after some time. */
  forgetChange(id: string): void;
  /** The zone as it was at a time: what a name server shows that lags behind. */
  zoneAt(zone: string, at: Instant): Records;
}

const plain = (name: string): string => name.replace(/\.$/, '');

const recordsOf = (sets: readonly ListedSet[]): Records =>
  new Map(sets.filter(({ type }) => type === 'TXT').map((set) => [plain(set.name), set]));

const tokenOf = ({ operation, body }: Asked): string | undefined => {
  if (operation !== 'TransactWriteItems') return undefined;
  const token = jsonOf(body).ClientRequestToken;
  return typeof token === 'string' ? token : undefined;
};

const hopByHop = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'date']);

const forward = (upstream: string, { method, path, headers, body }: Asked): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const sent = request(
      `${upstream}${path}`,
      {
        method,
        headers: { ...headers, 'content-length': String(body.length), connection: 'close' },
        agent: false,
      },
      async (response) => {
        try {
          const chunks: Buffer[] = [];
          for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
          const kept = Object.entries(response.headers).flatMap(([name, value]) =>
            typeof value === 'string' && !hopByHop.has(name) ? [[name, value] as const] : [],
          );
          resolve({
            status: response.statusCode ?? 500,
            headers: Object.fromEntries(kept),
            body: Buffer.concat(chunks),
          });
        } catch (error) {
          reject(error);
        }
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });

export const createStrictAccount = ({
  upstream,
  now,
  zones,
  syncDelay,
  watch,
}: StrictAccountOptions): StrictAccount => {
  const tokens = new Map<string, Answer>();
  const changes = new Map<string, Instant>();
  let given = 0;
  const history = new Map<string, { readonly at: Instant; readonly sets: readonly ListedSet[] }[]>(
    [...zones.values()].map((zone) => [zone, [{ at: now(), sets: [] }]]),
  );
  const latest = (zone: string): readonly ListedSet[] => history.get(zone)?.at(-1)?.sets ?? [];

  const changeInfo = (id: string): string => {
    const at = changes.get(id) ?? now();
    const status = now() - at >= syncDelay ? 'INSYNC' : 'PENDING';
    return `<ChangeInfo><Id>/change/${escapeXml(id)}</Id><Status>${status}</Status><SubmittedAt>${new Date(at).toISOString()}</SubmittedAt></ChangeInfo>`;
  };

  /** The outcome of the batch, without the order of its changes: moto refuses a DELETE and CREATE of the same value. */
  const forMoto = (before: Records, after: Records): string => {
    const names = [...new Set([...before.keys(), ...after.keys()])];
    const asked = names.flatMap((name) => {
      const [old, next] = [before.get(name), after.get(name)];
      if (next !== undefined && (old === undefined || printSet(old) !== printSet(next)))
        return [`<Change><Action>UPSERT</Action>${printSet(next)}</Change>`];
      return next === undefined && old !== undefined
        ? [`<Change><Action>DELETE</Action>${printSet(old)}</Change>`]
        : [];
    });
    return asked.length === 0
      ? ''
      : `<ChangeResourceRecordSetsRequest xmlns="${route53Namespace}"><ChangeBatch><Changes>${asked.join('')}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>`;
  };

  const changeZone = async (asked: Asked): Promise<Answer> => {
    const zone = zones.get(/hostedzone\/([^/]+)\//.exec(asked.path)?.[1] ?? '');
    if (zone === undefined) return errorAnswer('route53', 404, 'NoSuchHostedZone', 'No hosted zone found');
    const batch = all(
      one(one(parseXml(asked.body.toString('utf8')), 'ChangeBatch'), 'Changes'),
      'Change',
    ).map(readChange);
    const draft = [...latest(zone)];
    const faults = batch.flatMap((change) => faultOf(listedName(zone), change) ?? []);
    if (faults.length === 0) faults.push(...applyAll(draft, batch));
    if (batch.length === 0 || faults.length > 0)
      return errorAnswer('route53', 400, 'InvalidChangeBatch', escapeXml(`[${faults.join(', ')}]`));
    const [before, after] = [recordsOf(latest(zone)), recordsOf(draft)];
    watch.changing(zone, batch, before, after);
    const body = Buffer.from(forMoto(before, after));
    if (body.length > 0) {
      const answer = await forward(upstream, { ...asked, body });
      if (answer.status !== 200) throw new Error(`moto refused a change: ${answer.body.toString('utf8')}`);
    }
    history.get(zone)?.push({ at: now(), sets: draft });
    given += 1;
    const id = `C${String(given).padStart(13, '0')}`;
    changes.set(id, now());
    return xmlAnswer(
      200,
      `<ChangeResourceRecordSetsResponse xmlns="${route53Namespace}">${changeInfo(id)}</ChangeResourceRecordSetsResponse>`,
    );
  };

  const getChange = ({ path }: Asked): Answer => {
    const id = /\/change\/([^/?]+)/.exec(path)?.[1] ?? '';
    return changes.has(id)
      ? xmlAnswer(200, `<GetChangeResponse xmlns="${route53Namespace}">${changeInfo(id)}</GetChangeResponse>`)
      : errorAnswer('route53', 404, 'NoSuchChange', `Could not find resource with ID: /change/${id}`);
  };

  const once = async (asked: Asked): Promise<Answer> => {
    const token = tokenOf(asked);
    const known = token === undefined ? undefined : tokens.get(token);
    if (known !== undefined) return known;
    if (asked.operation === 'GetChange') return getChange(asked);
    const answer =
      asked.operation === 'ChangeResourceRecordSets'
        ? await changeZone(asked)
        : await forward(upstream, asked);
    if (answer.status === 200) {
      watch.answered(asked, answer);
      if (token !== undefined) tokens.set(token, answer);
    }
    return answer;
  };

  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };

  return {
    perform: (asked) => inTurn(() => once(asked)),
    performTwice: (asked) => inTurn(async () => [await once(asked), await once(asked)] as const),
    forgetToken: (asked) => {
      const token = tokenOf(asked);
      if (token !== undefined) tokens.delete(token);
    },
    forgetChange: (id) => void changes.delete(id),
    zoneAt: (zone, at) => recordsOf(history.get(zone)?.findLast((version) => version.at <= at)?.sets ?? []),
  };
};

/** The id that a change was accepted with. */
export const changeIdOf = (answer: Answer): string | undefined =>
  textOf(one(parseXml(answer.body.toString('utf8')), 'ChangeInfo'), 'Id')?.replace('/change/', '');
