// `selkie verify`, put together: which checks a domain gets. The wiring file of verify/.

import { type Check, skipped } from '../../agent/doctor/check.ts';
import type { MilterTarget } from '../../agent/milter/client.ts';
import type { Api } from '../client.ts';
import type { ApiAddress } from '../local-world.ts';
import { report } from '../report.ts';
import { canaryChecks, sinkRecipient } from './canaries.ts';
import { dmarcCheck } from './dmarc.ts';
import { openView } from './dns-view.ts';
import { type Facts, readFacts } from './facts.ts';
import { hostChecks, keysCheck } from './keys.ts';
import { recordChecks, resolverCheck } from './record.ts';
import type { SmtpPlace } from './send.ts';
import { openSink } from './sink.ts';
import { spfCheck } from './spf.ts';

export interface VerifyOptions {
  readonly api: Api;
  readonly domain: string;
  /** Options that make another command go to the same API. */
  readonly way: string;
  readonly json: boolean;
  /** Of the Selkie of this machine. */
  readonly local?: ApiAddress;
  readonly resolver?: readonly string[];
  readonly milter?: MilterTarget;
  readonly smtp?: readonly SmtpPlace[];
  readonly sink?: SmtpPlace;
  readonly to?: string;
  readonly mailFrom?: string;
  readonly seenAs?: readonly string[];
  readonly message?: string;
  /** Seconds. */
  readonly wait: number;
  readonly except?: readonly string[];
}

const milterOf = ({ milter, local, smtp, message }: VerifyOptions): MilterTarget | undefined => {
  if (milter !== undefined) return milter;
  // Whoever names another way means that one.
  if (smtp !== undefined || message !== undefined || local?.milter === undefined) return undefined;
  const [, host = '', port] = /^(.*):(\d+)$/.exec(local.milter) ?? [];
  return { host, port: Number(port) };
};

/** Where the zones are this machine's own, no resolver knows them unless one is named. */
const resolver = (facts: Facts, options: VerifyOptions, view: ReturnType<typeof openView>): Check =>
  options.local !== undefined && options.resolver === undefined
    ? {
        name: 'resolver',
        run: async () => skipped("this machine's zones are in no resolver; --resolver ADDRESS names one"),
      }
    : resolverCheck(facts, view);

/** @returns whether nothing was wrong  @throws what keeps it from looking at all */
export const verify = async (options: VerifyOptions): Promise<boolean> => {
  const { api, except = [], resolver: resolvers, seenAs = [], message, mailFrom } = options;
  const facts = await readFacts(api, options.domain, options.way);
  const { zone, nameServers } = facts.standing;
  const view = openView({
    zone: { name: zone, ...(nameServers === undefined ? {} : { nameServers }) },
    ...(resolvers === undefined ? {} : { resolvers }),
  });
  const wanted = (part: string): boolean => !except.includes(part);
  const place = wanted('canary') ? options.sink : undefined;
  const to =
    options.to ?? (place === undefined ? 'postmaster@selkie.invalid' : sinkRecipient(place.host, place.port));
  const sink = place === undefined ? undefined : await openSink(place.host, place.port, to);
  const milter = milterOf(options);
  const [first] = seenAs;
  const evidence = new Map<string, object>();
  try {
    const checks = [
      keysCheck(facts),
      ...(wanted('dns') ? [...recordChecks(facts, view), resolver(facts, options, view)] : []),
      ...(wanted('spf') ? [spfCheck(facts, view, seenAs)] : []),
      ...(wanted('dmarc') ? [dmarcCheck(facts, view)] : []),
      ...(wanted('hosts') ? hostChecks(facts) : []),
      ...(wanted('canary')
        ? canaryChecks(
            facts,
            view,
            {
              smtp: options.smtp ?? [],
              to,
              patience: options.wait * 1_000,
              ...(milter === undefined ? {} : { milter }),
              ...(sink === undefined || place === undefined ? {} : { sink: { ...sink, host: place.host } }),
              ...(mailFrom === undefined ? {} : { mailFrom }),
              ...(first === undefined ? {} : { seenAs: first }),
              ...(message === undefined ? {} : { message }),
            },
            evidence,
          )
        : []),
    ];
    return await report(
      checks,
      options.json,
      { domain: facts.domain, at: new Date().toISOString() },
      evidence,
    );
  } finally {
    await sink?.close();
  }
};
