// `selkie audit`: who ordered what, and whether that is still as it was written.

import { type Command, InvalidArgumentError } from 'commander';
import { sha256, verifyAuditChain } from '../../contract/audit.ts';
import { type AuditEvent, type AuditTail, auditText, fleetSubject } from '../../core/audit.ts';
import { SelkieError } from '../../core/errors.ts';
import type { Api } from '../client.ts';
import { connect } from '../connection.ts';
import { example, reading } from '../options.ts';
import { say, sayJson } from '../out.ts';
import { printEvent } from '../print.ts';
import { allPages, domainPath, hostPath } from './paths.ts';

interface TrailPage {
  readonly events: readonly AuditEvent[];
  readonly last?: AuditTail;
  readonly next?: string;
}

interface Trail {
  readonly events: readonly AuditEvent[];
  /** The last event, as the row that the trail is about names it. */
  readonly last?: AuditTail;
}

const pathOf = (subject: string): string => {
  if (subject === fleetSubject) return '/v1';
  const host = /^host\/(.+)$/.exec(subject)?.[1];
  return host === undefined ? domainPath(subject) : hostPath(host);
};

/** @param subject a domain, `host/NAME` or `fleet` */
const readTrail = async (api: Api, subject: string): Promise<Trail> => {
  const path = `${pathOf(subject)}/audit?limit=1000`;
  let last: AuditTail | undefined;
  const events = await allPages(api, path, (page: TrailPage) => {
    last = page.last;
    return page.events;
  });
  return { events, ...(last === undefined ? {} : { last }) };
};

const tailForm = /^(\d{1,9}):([0-9a-f]{64})$/;
const notedTail = (text: string): AuditTail => {
  const [, n, hash] = tailForm.exec(text) ?? [];
  if (n === undefined || hash === undefined)
    throw new InvalidArgumentError('as audit verify prints it: a number, a colon, and 64 hexadecimal digits');
  return { n: Number(n), hash };
};

type Verdict = { readonly ok: true } | { readonly ok: false; readonly n: number; readonly says: string };

/**
 * What the chain itself shows, and what it cannot: that its end is missing, or that all of it was written anew.
 * @param noted a tail that somebody kept elsewhere
 */
export const judgeTrail = ({ events, last }: Trail, noted?: AuditTail): Verdict => {
  const verdict = verifyAuditChain(events);
  if (!verdict.ok) return verdict;
  const end = events.at(-1);
  if (last !== undefined && (end === undefined || end.n < last.n))
    return {
      ok: false,
      n: (end?.n ?? 0) + 1,
      says: `it ends with event ${end?.n ?? 0}, and not with ${last.n}`,
    };
  for (const tail of [last, noted]) {
    if (tail === undefined) continue;
    const found = events[tail.n - 1];
    if (found === undefined)
      return { ok: false, n: tail.n, says: `event ${tail.n}, which was noted, is missing` };
    if (sha256(auditText(found)) !== tail.hash)
      return { ok: false, n: tail.n, says: `event ${tail.n} is not the one that was noted` };
  }
  if (last === undefined && end !== undefined)
    return { ok: false, n: 1, says: 'nothing is known of these events where they should be named' };
  return { ok: true };
};

const subject = ['<subject>', 'a domain, host/NAME, or fleet: what is of no one domain or host'] as const;

export const addAudit = (program: Command): void => {
  const audit = program.command('audit').description('who ordered what, and when');

  const show = reading(
    audit
      .command('show')
      .description('every order, oldest first')
      .argument(...subject),
  ).action(async (name: string, options, self: Command) => {
    const trail = await readTrail(await connect(self), name);
    if (options.json === true) return sayJson(trail);
    for (const event of trail.events) printEvent(event, say);
    if (trail.events.length === 0)
      say(`nobody has ordered anything of ${name === fleetSubject ? 'the fleet' : name}`);
  });
  example(show, 'selkie audit show example.jp', 'selkie audit show host/mx1.example.jp --json');

  const verify = reading(
    audit
      .command('verify')
      .description('whether the trail is as it was written: each event follows the one before')
      .argument(...subject)
      .option('--noted <tail>', 'an end that was noted before, N:HASH, and has to be there still', notedTail),
  ).action(async (name: string, options, self: Command) => {
    const trail = await readTrail(await connect(self), name);
    const verdict = judgeTrail(trail, options.noted);
    const end = trail.events.at(-1);
    if (options.json === true)
      sayJson({
        subject: name,
        ...verdict,
        events: trail.events.length,
        ...(end && { last: `${end.n}:${end.hash}` }),
      });
    if (!verdict.ok)
      throw new SelkieError('untrusted', `the audit trail of ${name} is broken: ${verdict.says}`);
    if (options.json === true) return;
    say(
      `${name}: ${trail.events.length} ${trail.events.length === 1 ? 'event' : 'events'}, unbroken${end === undefined ? '' : ' up to'}`,
    );
    if (end !== undefined) say(`  ${end.n}:${end.hash}`);
  });
  example(verify, 'selkie audit verify example.jp', 'selkie audit verify fleet');
};
