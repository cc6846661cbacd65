// What a person should know of a DMARC record before it is published, and of the step from one to the next. Pure: sentences.

import { type DmarcRecord, type DmarcRequest, requests } from './record.ts';

const strength = (request: DmarcRequest): number => requests.indexOf(request);

/** What receivers go by: with t=y the next milder one (RFC 9989 §4.7). */
const applied = ({ p = 'none', t }: DmarcRecord): DmarcRequest =>
  t === 'y' ? (requests[strength(p) - 1] ?? p) : p;

export const dmarcAdvice = (record: DmarcRecord): readonly string[] => {
  const { p = 'none', sp, np, rua, ruf, fo, t } = record;
  return [
    ...(p === 'none' && rua === undefined
      ? ['DMARC: p=none without rua asks receivers for nothing and tells you nothing; add rua, or a policy']
      : []),
    ...(p !== 'none' && rua === undefined
      ? [`DMARC: p=${p} without rua: nobody will tell you which of your own mail fails; add rua`]
      : []),
    ...(fo !== undefined && ruf === undefined ? ['DMARC: fo without ruf is ignored (RFC 9989 §4.7)'] : []),
    ...(sp !== undefined && strength(sp) < strength(p)
      ? [`DMARC: sp=${sp} is milder than p=${p}, so sub-domains are easier to forge than the domain`]
      : []),
    ...(np !== undefined && strength(np) < strength(sp ?? p)
      ? [
          `DMARC: np=${np} is milder than what holds for sub-domains that exist: names that nobody uses are the easiest to forge`,
        ]
      : []),
    ...(t === 'y' && p === 'none' ? ['DMARC: t=y has no effect beside p=none (RFC 9989 §4.7)'] : []),
  ];
};

/**
 * Whether a step goes too far at once: none, quarantine and reject are taken one after the other, with a look at the reports
 * between (RFC 9989 §5.1.6). Undefined: it does not.
 * @param before what receivers see until now; undefined: nothing
 */
export const jump = (before: DmarcRecord | undefined, next: DmarcRecord): string | undefined => {
  const to = next.p ?? 'none';
  if (before === undefined)
    return applied(next) === 'none'
      ? undefined
      : `DMARC: it begins with p=${to}: mail of yours that nobody thought of may be lost. Begin with p=none and rua, and read the reports first`;
  const from = `p=${before.p ?? 'none'}${before.t === 'y' ? ' with t=y' : ''}`;
  return strength(applied(next)) - strength(applied(before)) > 1
    ? `DMARC: from ${from} to p=${to} in one step: take p=quarantine first, and read the reports`
    : undefined;
};
