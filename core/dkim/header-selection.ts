// Which header fields a signature covers, and in what order they are hashed: RFC 6376 §5.4. Pure.
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

const signedNames = new Set(signedFields.map(canonicalName));

/** Whether a field can be part of a signature at all; the others need not be kept. */
export const isSignedField = (name: string): boolean => signedNames.has(canonicalName(name));

export interface HeaderSelection {
  /** What `h=` says. A name that stands once more than its field is present says "and no further one": §5.4.2, §8.15. */
  readonly names: readonly string[];
  /** What is hashed, in this order. */
  readonly fields: readonly HeaderField[];
}

/**
 * Every present instance of the signed fields, and one more of those in `oversigned`. Where a field is repeated, verifiers
 * take instances from the bottom of the header upwards (RFC 6376 §5.4.2), so this does.
 */
export const selectHeaders = (
  fields: readonly HeaderField[],
  oversigned: readonly string[] = ['From'],
): HeaderSelection => {
  const present = new Map<string, HeaderField[]>();
  for (const field of fields) {
    const name = canonicalName(field.name);
    if (!signedNames.has(name)) continue;
    const sameName = present.get(name);
    if (sameName === undefined) present.set(name, [field]);
    else sameName.push(field);
  }
  const once = new Set(oversigned.map(canonicalName));
  const names: string[] = [];
  const selected: HeaderField[] = [];
  for (const title of signedFields) {
    const name = canonicalName(title);
    const instances = present.get(name) ?? [];
    for (const field of instances.toReversed()) {
      names.push(title);
      selected.push(field);
    }
    if (once.has(name)) names.push(title);
  }
  return { names, fields: selected };
};
