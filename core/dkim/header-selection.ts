// Which header fields a signature covers, and in what order they are hashed: RFC 6376 §5.4. Pure.
import { SelkieError } from '../errors.ts';
import { canonicalName, type HeaderField } from './canonical-header.ts';

/**
 * Fields worth signing: RFC 6376 §5.4.1, in the order that OpenDKIM lists them, with the MIME fields (whose change would
 * change how the body reads) and RFC 8058 §4's List-Unsubscribe-Post. Not in it, as §5.4 advises: what relays add or
 * rewrite (Received, Return-Path, DKIM-Signature, Authentication-Results).
 */
const signedFields: readonly string[] = [
  'From',
  'Sender',
  'Reply-To',
  'Subject',
  'Date',
  'Message-ID',
  'To',
  'Cc',
  'MIME-Version',
  'Content-Type',
  'Content-Transfer-Encoding',
  'Content-ID',
  'Content-Description',
  'Resent-Date',
  'Resent-From',
  'Resent-Sender',
  'Resent-To',
  'Resent-Cc',
  'Resent-Message-ID',
  'In-Reply-To',
  'References',
  'List-Id',
  'List-Help',
  'List-Unsubscribe',
  'List-Unsubscribe-Post',
  'List-Subscribe',
  'List-Post',
  'List-Owner',
  'List-Archive',
];

/** What relays add, rewrite or take away, so that a signature over it would not hold: RFC 6376 §5.4, §5.4.1. */
const unsignable: ReadonlySet<string> = new Set(
  ['Authentication-Results', 'Bcc', 'DKIM-Signature', 'Received', 'Resent-Bcc', 'Return-Path'].map(
    canonicalName,
  ),
);

/** RFC 5322 §3.6.8, without the semicolon, which would end `h=`. */
const fieldName = /^[!-9<-~]+$/;

export interface HeaderPolicy {
  /** What `h=` may name, as it names it, in its order. */
  readonly titles: readonly string[];
  /** Canonical names of the same. */
  readonly signed: ReadonlySet<string>;
  /** Canonical names of those that `h=` names once more than they are there. */
  readonly oversigned: ReadonlySet<string>;
}

/**
 * Which fields are signed where they are present (the list above unless told otherwise), and which of them `h=` names once
 * more, so that none can be added. Oversigned fields are signed; From always is (RFC 6376 §5.4).
 * @throws invalid naming the field that cannot be signed
 */
export const headerPolicy = (
  oversigned: readonly string[] = ['From'],
  signed: readonly string[] = signedFields,
): HeaderPolicy => {
  const titles = new Map<string, string>();
  for (const title of ['From', ...signed, ...oversigned]) {
    const name = canonicalName(title);
    if (!fieldName.test(title))
      throw new SelkieError('invalid', `${JSON.stringify(title)} is no name of a header field.`);
    if (unsignable.has(name))
      throw new SelkieError('invalid', `${title} cannot be signed: relays add, change or remove it.`);
    if (!titles.has(name)) titles.set(name, title);
  }
  return {
    titles: [...titles.values()],
    signed: new Set(titles.keys()),
    oversigned: new Set(oversigned.map(canonicalName)),
  };
};

export const defaultHeaders: HeaderPolicy = headerPolicy();

/** Whether a field can be part of a signature at all; the others need not be kept. */
export const isSignedField = (name: string, policy = defaultHeaders): boolean =>
  policy.signed.has(canonicalName(name));

export interface HeaderSelection {
  /** What `h=` says. A name that stands once more than its field is present says "and no further one": §5.4.2, §8.15. */
  readonly names: readonly string[];
  /** What is hashed, in this order. */
  readonly fields: readonly HeaderField[];
}

/**
 * Every present instance of the signed fields, and one more of the oversigned ones. Where a field is repeated, verifiers
 * take instances from the bottom of the header upwards (RFC 6376 §5.4.2), so this does.
 */
export const selectHeaders = (
  fields: readonly HeaderField[],
  { titles, signed, oversigned }: HeaderPolicy = defaultHeaders,
): HeaderSelection => {
  const present = new Map<string, HeaderField[]>();
  for (const field of fields) {
    const name = canonicalName(field.name);
    if (!signed.has(name)) continue;
    const sameName = present.get(name);
    if (sameName === undefined) present.set(name, [field]);
    else sameName.push(field);
  }
  const names: string[] = [];
  const selected: HeaderField[] = [];
  for (const title of titles) {
    const name = canonicalName(title);
    const instances = present.get(name) ?? [];
    for (const field of instances.toReversed()) {
      names.push(title);
      selected.push(field);
    }
    if (oversigned.has(name)) names.push(title);
  }
  return { names, fields: selected };
};
