// What the mail log tells of signing: mail of our own domains that left unsigned, that was put off, or that the signer never
// saw, and a signer that Postfix did not reach. Pure, over the lines of Postfix and of the signer.
import { isIP } from 'node:net';
import { isWithin } from '../../core/names.ts';
import { type Duration, days, type Instant, instant } from '../../core/time.ts';
import type { IsInternal } from '../milter/internal-clients.ts';
import type { Finding, Seen } from './check.ts';

export interface LogQuestion {
  readonly now: Instant;
  /** How far back; a day unless told otherwise. */
  readonly within?: Duration;
  readonly isInternal: IsInternal;
  /** Domains that this host has keys for, and its own names. */
  readonly domains: readonly string[];
  /** A content filter hands mail back from within this host: such a client says nothing of whose mail it is. */
  readonly filtered: boolean;
  /** The systemd service that signs. */
  readonly signer: string;
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Of RFC 3339 and of RFC 3164 (no year, local time); undefined where a line begins otherwise. */
export const timeOf = (line: string, now: Instant): Instant | undefined => {
  const iso = /^\d{4}-\d\d-\d\dT\S+/.exec(line)?.[0];
  if (iso !== undefined) {
    const at = Date.parse(iso);
    return Number.isNaN(at) ? undefined : instant(at);
  }
  const [, month = '', day, hour, minute, second] =
    /^([A-Z][a-z]{2}) +(\d+) (\d\d):(\d\d):(\d\d) /.exec(line) ?? [];
  const index = months.indexOf(month);
  if (index < 0) return undefined;
  const year = new Date(now).getFullYear();
  const at = (y: number): number =>
    new Date(y, index, Number(day), Number(hour), Number(minute), Number(second)).getTime();
  // December's lines, read in January.
  return instant(at(year) > now + days(1) ? at(year - 1) : at(year));
};

interface Message {
  /** It came from an authenticated or internal client, or by sendmail. */
  ours: boolean;
  /** Of its envelope sender. */
  domain: string;
}

interface Tally {
  readonly messages: Map<string, Message>;
  /** Queue ids of which the signer wrote. */
  readonly seen: Set<string>;
  signed: number;
  readonly unmatched: Map<string, number>;
  readonly putOff: Map<string, number>;
  readonly unreachable: Map<string, number>;
  lastUnreachable: Instant;
  lastSeen: Instant;
}

const count = (counts: Map<string, number>, what: string): void => {
  counts.set(what, (counts.get(what) ?? 0) + 1);
};

const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1).toLowerCase();

const postfixLine = /\/(smtpd|pickup|qmgr)\[\d+\]: ([0-9A-Za-z]{6,}): (.*)$/;
const signerLine = /(?:selkie-agent|opendkim)[^:]*: (?:.*?")?([0-9A-Za-z]{6,}): ([^"]*)/;
const milterWarning = /warning: (?:connect to Milter service (\S+): (.*)|milter (\S+): (.*))$/;

const takePostfix = (tally: Tally, { isInternal, filtered }: LogQuestion, line: RegExpExecArray): void => {
  const [, daemon = '', id = '', text = ''] = line;
  const message = tally.messages.get(id) ?? { ours: false, domain: '' };
  tally.messages.set(id, message);
  if (daemon === 'pickup') message.ours = !filtered;
  if (daemon === 'qmgr') message.domain = domainOf(/^from=<([^>]*)>/.exec(text)?.[1] ?? message.domain);
  const [, host = '', address = ''] = /^client=([^[]*)\[([^\]]*)\]/.exec(text) ?? [];
  // orig_*: XFORWARD from a content filter, which had the message from us.
  if (daemon !== 'smtpd' || host === '' || /, orig_/.test(text)) return;
  const family = isIP(address) === 6 ? 'inet6' : 'inet';
  message.ours = text.includes('sasl_username=') || (!filtered && isInternal({ host, family, address }));
};

const takeSigner = (tally: Tally, line: RegExpExecArray): void => {
  const [, id = '', text = ''] = line;
  tally.seen.add(id);
  if (text.startsWith('DKIM-Signature field added')) tally.signed += 1;
  const author = /^no signing (?:table match|key of \S+) for '([^']*)'/.exec(text)?.[1];
  if (author !== undefined) count(tally.unmatched, domainOf(author));
  if (text.endsWith(': message put off')) count(tally.putOff, text.slice(0, -': message put off'.length));
};

const tallyOf = (lines: Iterable<string>, question: LogQuestion): Tally => {
  const { now, within = days(1) } = question;
  const tally: Tally = {
    messages: new Map(),
    seen: new Set(),
    signed: 0,
    unmatched: new Map(),
    putOff: new Map(),
    unreachable: new Map(),
    lastUnreachable: instant(0),
    lastSeen: instant(0),
  };
  for (const line of lines) {
    const at = timeOf(line, now) ?? now;
    if (now - at > within) continue;
    const signer = signerLine.exec(line);
    if (signer !== null) {
      takeSigner(tally, signer);
      tally.lastSeen = instant(Math.max(tally.lastSeen, at));
      continue;
    }
    const warning = milterWarning.exec(line);
    if (warning !== null) {
      const [, service = warning[3] ?? '', why = warning[4] ?? ''] = warning;
      count(tally.unreachable, `${service} (${why})`);
      tally.lastUnreachable = instant(Math.max(tally.lastUnreachable, at));
      continue;
    }
    const postfix = postfixLine.exec(line);
    if (postfix !== null) takePostfix(tally, question, postfix);
  }
  return tally;
};

/** Those between two messages that the signer saw: before and after, its own lines may have been cut off. */
const unseen = ({ messages, seen }: Tally, isOurs: (domain: string) => boolean): readonly string[] => {
  const ids = [...messages.keys()];
  const [first, last] = [ids.findIndex((id) => seen.has(id)), ids.findLastIndex((id) => seen.has(id))];
  return ids.slice(Math.max(first, 0), last + 1).filter((id) => {
    const message = messages.get(id);
    return message?.ours === true && !seen.has(id) && isOurs(message.domain);
  });
};

const times = (n: number, what: string): string => `${n} ${n === 1 ? what : `${what}s`}`;

export const readMailLog = (lines: Iterable<string>, question: LogQuestion): Seen => {
  const tally = tallyOf(lines, question);
  const isOurs = (domain: string): boolean => question.domains.some((own) => isWithin(domain, own));
  const findings: Finding[] = [];
  if (tally.unreachable.size > 0 && tally.lastUnreachable >= tally.lastSeen)
    for (const [what, n] of tally.unreachable)
      findings.push({
        problem: `Postfix did not reach the milter ${what}, ${times(n, 'time')}, and nothing was signed since`,
        mends: [
          `systemctl status ${question.signer}`,
          'selkie-agent setup   (shows which address Postfix should have)',
        ],
      });
  for (const [domain, n] of tally.unmatched)
    if (isOurs(domain))
      findings.push({
        problem: `${times(n, 'message')} from ${domain} left unsigned: this host has no key for it`,
        mends: [
          `in fleet.yaml, below domains: ${domain}: {}, then deploy`,
          `or sign with the key of a domain above it, in /etc/selkie-agent.yaml: signing: { table: [{ match: '*@${domain}', domain: PARENT }] }`,
        ],
      });
  for (const [why, n] of tally.putOff)
    findings.push({
      problem: `${times(n, 'message')} put off: ${why}`,
      mends: ['selkie-agent doctor says more under "keys in DNS"; then: postqueue -f'],
    });
  const missed = unseen(tally, isOurs);
  if (missed.length > 0)
    findings.push({
      problem: `${times(missed.length, 'message')} of your domains left unsigned, the signer has not seen ${missed.length === 1 ? 'it' : 'them'}: ${missed.slice(0, 3).join(', ')}`,
      mends: [
        'selkie-agent setup   (shows what is missing)',
        `grep ${missed[0] ?? ''} in the mail log: which service took it in`,
      ],
    });
  const others = [...tally.unmatched].filter(([domain]) => !isOurs(domain));
  const passed = others.reduce((sum, [, n]) => sum + n, 0);
  if (tally.seen.size === 0 && findings.length === 0)
    return { findings, skipped: 'it has no line of the signer in the last day' };
  return {
    findings,
    note: `${times(tally.signed, 'signature')} in the last day${passed === 0 ? '' : `, ${times(passed, 'message')} of other domains passed unsigned`}`,
  };
};
