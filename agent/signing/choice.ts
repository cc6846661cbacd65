// Whose message it is, and which keys sign it. Only computes: the one look at the ring for a message is here.
import { canonicalName, type HeaderField } from '../../core/dkim/canonical-header.ts';
import type { UnsignedReason } from '../meter.ts';
import { type Address, fromAddress } from './from-address.ts';
import type { KeyRing, SigningKey } from './key-ring.ts';
import type { SigningTable } from './signing-table.ts';

export type IdentityField = 'From' | 'Sender';

export interface ChoiceOptions {
  readonly ring: KeyRing;
  /** Asked before the author's own domain. */
  readonly table?: SigningTable;
  /** The first of them that is present says whose mail it is; From where none is. From alone unless told otherwise. */
  readonly identityFields?: readonly IdentityField[];
}

export type Choice =
  | { readonly kind: 'keys'; readonly author: Address; readonly keys: readonly SigningKey[] }
  /** Ours, but no key of it may sign. */
  | { readonly kind: 'unusable'; readonly domain: string; readonly reason: string }
  /** Passes as it is; `reason` is a line as OpenDKIM logs it. */
  | { readonly kind: 'none'; readonly why: UnsignedReason; readonly reason: string };

/** Fit for a log line, whatever bytes the message had. */
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, 320);
const shown = ({ localPart, domain }: Address): string =>
  printable(`${localPart}@${domain}`).replaceAll(' ', '?');

const named = (fields: readonly HeaderField[], name: string): HeaderField[] =>
  fields.filter((field) => canonicalName(field.name) === name.toLowerCase());

const none = (why: UnsignedReason, reason: string): Choice => ({ kind: 'none', why, reason });

/**
 * Decides on a message whose header is complete.
 *
 * As OpenDKIM: of several addresses in the field (RFC 5322 §3.6.2 allows a list where there is a Sender) the first counts,
 * and a row of the table counts before what else could sign. Unlike OpenDKIM, which takes the first of several From fields:
 * such a message passes unsigned, for RFC 5322 §3.6 allows one, and whose it is would be each reader's guess.
 */
export const chooseKeys = (
  fields: readonly HeaderField[],
  { ring, table, identityFields = ['From'] }: ChoiceOptions,
): Choice => {
  const from = named(fields, 'From');
  const [firstFrom] = from;
  if (firstFrom === undefined) return none('no-author', "can't determine message sender; accepting");
  if (from.length > 1) return none('no-author', `${from.length} From: header fields; accepting`);
  const field = identityFields.flatMap((name) => named(fields, name)).at(0) ?? firstFrom;
  const author = fromAddress(field.value);
  if (author === undefined) {
    const value = printable(new TextDecoder().decode(field.value.subarray(0, 1_000)).trim());
    return none(
      'no-author',
      `can't parse ${canonicalName(field.name) === 'from' ? 'From' : 'Sender'}: header value '${value}'`,
    );
  }
  const row = table?.find(author);
  for (const domain of row === undefined ? [author.domain] : [row, author.domain]) {
    const keys = ring.signingKeys(domain);
    if (keys.length > 0) return { kind: 'keys', author, keys };
    const stopped = ring.stopped(domain);
    if (stopped !== undefined)
      return { kind: 'unusable', domain, reason: `no key of ${domain} may sign (${printable(stopped)})` };
  }
  return row === undefined
    ? none('no-match', `no signing table match for '${shown(author)}'`)
    : none('no-match', `no signing key of ${row} for '${shown(author)}'`);
};
