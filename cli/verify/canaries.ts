// The canaries' checks: through a milter, through a host's Postfix to a sink of ours or a mailbox, or one that a person saved
// from a mailbox.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { skipped, wrong } from '../../agent/doctor/check.ts';
import { type MilterTarget, sendThroughMilter } from '../../agent/milter/client.ts';
import { describe, hasCode, SelkieError } from '../../core/errors.ts';
import { type Arrived, expectedOf, judgeCanary, makeCanary } from './canary.ts';
import type { DnsView } from './dns-view.ts';
import type { Check, Facts, Seen } from './facts.ts';
import { type SmtpPlace, sendCanary, smtpName } from './send.ts';
import type { Sink } from './sink.ts';

export interface CanaryOptions {
  readonly milter?: MilterTarget;
  readonly smtp: readonly SmtpPlace[];
  readonly sink?: Sink & { readonly host: string };
  readonly to: string;
  readonly mailFrom?: string;
  /** Milliseconds to wait for a canary. */
  readonly patience: number;
  readonly seenAs?: string;
  readonly message?: string;
}

/** Where mail to the sink goes, whatever its port: RFC 2606 §2 keeps `.invalid` for this. */
const sinkDomain = 'selkie.invalid';

/** Who takes canaries at a sink: at port 25 it is reached by its address, RFC 5321 §4.1.3. */
export const sinkRecipient = (host: string, port: number): string => {
  if (port !== 25 || host === '0.0.0.0' || host === '::') return `selkie-canary@${sinkDomain}`;
  return `selkie-canary@[${isIPv6(host) ? 'IPv6:' : ''}${host}]`;
};

/** @param evidence told of the field that a receiver would add, by the check's name */
export const canaryChecks = (
  facts: Facts,
  view: DnsView,
  options: CanaryOptions,
  evidence: Map<string, object>,
): readonly Check[] => {
  const { domain } = facts;
  const { milter, smtp, sink, to, mailFrom, message, seenAs } = options;
  const canary = () =>
    makeCanary(domain, `selkie-${randomUUID().replaceAll('-', '')}`, to, new Date(), mailFrom);

  const judged = async (name: string, arrived: Arrived, host: string | undefined): Promise<Seen> => {
    const { authenticationResults, ...seen } = await judgeCanary(
      arrived,
      domain,
      expectedOf(facts, host),
      view.resolve,
      seenAs,
    );
    evidence.set(name, { authenticationResults });
    return seen;
  };

  const throughMilter = (target: MilterTarget): Check => {
    const name = 'canary by the milter';
    return {
      name,
      async run() {
        const { from, raw } = canary();
        try {
          const answer = await sendThroughMilter(target, { macros: { i: 'CANARY' }, from, to: [to], raw });
          if (answer.verdict !== 'accept')
            return wrong(
              `the milter says ${answer.verdict} to it, so that mail is held up`,
              'selkie-agent doctor',
            );
          return judged(name, { raw: answer.raw }, undefined);
        } catch (error) {
          return wrong(
            `the milter does not answer: ${describe(error)}`,
            'selkie up   (where it is the one of this machine)',
            "systemctl status 'selkie-agent*'",
          );
        }
      },
    };
  };

  const refused = (place: SmtpPlace, error: unknown): Seen =>
    wrong(
      describe(error),
      ...(hasCode(error, 'rejected')
        ? [
            'have this machine let in there (postconf mynetworks), or set SELKIE_SMTP_USER and SELKIE_SMTP_PASSWORD',
          ]
        : [`postfix status   (on ${place.host})`]),
    );

  const byPostfix = (place: SmtpPlace): Check => {
    const name = `canary by ${smtpName(place)}`;
    return {
      name,
      async run() {
        const sent = canary();
        let said: string;
        try {
          said = await sendCanary(place, sent);
        } catch (error) {
          if (hasCode(error, 'invalid')) throw error;
          return refused(place, error);
        }
        if (sink === undefined)
          return skipped(
            `sent to ${to} (${said}): save it there with all of its header, then ${facts.command(`verify ${domain}`)} --message FILE`,
          );
        const arrived = await sink.received(sent.id, AbortSignal.timeout(options.patience));
        if (arrived === undefined)
          return wrong(
            `it was taken (${said}) and did not come to the sink in ${options.patience / 1_000} s`,
            `mailq   (on ${place.host}: why is it still there?)`,
            `postconf -e 'transport_maps=inline:{${sinkDomain}=smtp:[${sink.host}]:${sink.port}}' && postfix reload`,
          );
        return judged(name, arrived, place.host);
      },
    };
  };

  const saved = (file: string): Check => ({
    name: 'message',
    run: async () => {
      let raw: Uint8Array;
      try {
        raw = readFileSync(file === '-' ? 0 : file);
      } catch (cause) {
        throw new SelkieError('not-found', `${file} cannot be read: ${describe(cause)}`, { cause });
      }
      // As mail programs save it, without the line ends of SMTP.
      const text = Buffer.from(raw).toString('latin1').replace(/\r?\n/g, '\r\n');
      return judged('message', { raw: Buffer.from(text, 'latin1'), trusted: true }, undefined);
    },
  });

  const checks = [
    ...(milter === undefined ? [] : [throughMilter(milter)]),
    ...smtp.map(byPostfix),
    ...(message === undefined ? [] : [saved(message)]),
  ];
  if (checks.length > 0) return checks;
  const how = '--smtp HOST --sink ADDRESS:PORT sends one through a host';
  return [{ name: 'canary', run: async () => skipped(how) }];
};
