// Whether a key may sign, by what the authoritative servers say of its record. Asks them through `look` only.

import type { Authority, ServerAnswer } from '../adapters/dns/authority.ts';
import { parseKeyRecord } from '../core/dkim/key-record.ts';
import { describe } from '../core/errors.ts';
import { keyRecordName } from '../core/names.ts';

export type Verdict =
  /** A server shows the key, and none says otherwise; or most servers are silent. */
  | { readonly kind: 'sound' }
  /** Too few answers to tell; nothing changes. */
  | { readonly kind: 'unknown'; readonly why: string }
  /** Some show the key and some do not: it goes on as it was, and is looked at again soon. */
  | { readonly kind: 'mixed'; readonly why: string }
  /** It must not sign. */
  | { readonly kind: 'gone'; readonly why: string };

type Shown = 'ours' | 'tombstone' | 'absent' | 'other' | 'silent';

/** `p=` of two records compared without the white space that base64 may have: RFC 6376 §3.2. */
const bare = (base64: string): string => base64.replace(/\s/g, '');

const shown = ({ answer }: ServerAnswer, publicKey: string): Shown => {
  if (answer.kind === 'no-data' || answer.kind === 'no-such-name') return 'absent';
  if (answer.kind !== 'txt') return 'silent';
  const keys = answer.set.values.flatMap((value) => {
    try {
      return [bare(parseKeyRecord(value).publicKey)];
    } catch {
      return []; // no key record: a wildcard's answer, say
    }
  });
  // Of several records it is not defined which one verifiers take (RFC 6376 §3.6.2.2): ours is among them.
  if (keys.includes(bare(publicKey))) return 'ours';
  return keys.includes('') ? 'tombstone' : 'other';
};

const most = 6;

/** Names for a sentence. */
const named = (answers: readonly ServerAnswer[]): string => {
  const names = [...new Set(answers.map(({ server }) => server))].toSorted();
  return names.length > most ? `${names.slice(0, most).join(', ')} …` : names.join(', ');
};

/**
 * - A tombstone on any server is definite: servers lag behind, none runs ahead. Selkie writes it only when no ready host may
 *   sign with the key (invariant 6), a selector is never used again (invariant 4), and whoever asks that server fails the
 *   signature now (invariant 1).
 * - Absence, or another key, counts only where no server that answers shows ours, and more than half of the zone's servers
 *   answered. The key was seen on all of them before anyone signed (invariant 2), so where only some lack it, those lag
 *   (a secondary that lost its zone, a new server in the delegation): stopping would break invariant 3 for a record that is
 *   not revoked; and a removal that is spreading is whole at one of the next looks. Selkie never removes a record that was
 *   not a tombstone for days before.
 * - Silence (timeout, SERVFAIL, REFUSED, a referral) says nothing: an outage of DNS must not become one of mail.
 *
 * @param publicKey what `p=` should say @param record the record's name, for the sentence
 */
export const verdictOn = (record: string, publicKey: string, answers: readonly ServerAnswer[]): Verdict => {
  const by = (...kinds: readonly Shown[]): readonly ServerAnswer[] =>
    answers.filter((answer) => kinds.includes(shown(answer, publicKey)));
  const revoked = by('tombstone');
  if (revoked.length > 0)
    return { kind: 'gone', why: `its record ${record} is revoked (p= is empty) at ${named(revoked)}` };
  const [ours, lacking] = [by('ours'), by('absent', 'other')];
  if (lacking.length === 0)
    return ours.length > 0
      ? { kind: 'sound' }
      : { kind: 'unknown', why: `no name server tells of ${record}: ${silences(answers)}` };
  if (ours.length > 0)
    return { kind: 'mixed', why: `its record ${record} is missing or another at ${named(lacking)} only` };
  const servers = new Set(answers.map(({ server }) => server)).size;
  const answered = new Set(lacking.map(({ server }) => server)).size;
  if (answered * 2 <= servers)
    return {
      kind: 'unknown',
      why: `only ${answered} of ${servers} name servers tell of ${record}: ${silences(by('silent'))}`,
    };
  const others = by('other');
  return {
    kind: 'gone',
    why:
      others.length === 0
        ? `its record ${record} is on none of its name servers (${named(lacking)})`
        : `its record ${record} does not have this key (p=) at ${named(others)}`,
  };
};

const silences = (answers: readonly ServerAnswer[]): string =>
  answers
    .slice(0, most)
    .map(({ server, answer }) => `${server} ${answer.kind === 'failed' ? answer.why : 'is silent'}`)
    .join('; ')
    .slice(0, 300);

/** The verdict on a key by a look at its record, now. Never fails: a look that does tells nothing. */
export const judgeRecord = async (
  key: { readonly domain: string; readonly selector: string; readonly publicKey: string },
  look: Authority['look'],
): Promise<Verdict> => {
  const record = keyRecordName(key.selector, key.domain);
  try {
    return verdictOn(record, key.publicKey, await look(record));
  } catch (error) {
    return { kind: 'unknown', why: describe(error) };
  }
};
