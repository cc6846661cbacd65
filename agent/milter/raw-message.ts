// A message as header fields and body, and the changes that a milter asks for. Pure. Strings hold one byte per character
// (ISO 8859-1), so that any bytes come out as they went in.
import type { Reply } from './wire-reply.ts';

export interface RawField {
  readonly name: string;
  /** All that stands behind the colon: the space, and the CRLFs of folds, without the final CRLF. */
  readonly value: string;
}

export interface RawMessage {
  readonly fields: readonly RawField[];
  readonly body: Uint8Array;
}

/** Splits at the first empty line; a message without one is all header. Lines without colon that are no folds are dropped. */
export const parseMessage = (raw: Uint8Array): RawMessage => {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const bodyOnly = bytes.subarray(0, 2).equals(Buffer.from('\r\n'));
  const end = bodyOnly ? 0 : bytes.indexOf('\r\n\r\n');
  const header = end < 0 ? bytes : bytes.subarray(0, end);
  const body = end < 0 ? bytes.subarray(bytes.length) : bytes.subarray(end + (bodyOnly ? 2 : 4));
  const fields: RawField[] = [];
  for (const line of header
    .toString('latin1')
    .replace(/\r\n$/, '')
    .split(/\r\n(?![ \t])/)) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.push({ name: line.slice(0, colon), value: line.slice(colon + 1) });
  }
  return { fields, body };
};

export const toRaw = ({ fields, body }: RawMessage): Uint8Array =>
  Buffer.concat([
    Buffer.from(fields.map(({ name, value }) => `${name}:${value}\r\n`).join(''), 'latin1'),
    Buffer.from('\r\n'),
    body,
  ]);

const field = (name: string, value: string, leadingSpace: boolean): RawField => ({
  name,
  value: `${leadingSpace ? '' : ' '}${value.replace(/\r?\n/g, '\r\n')}`,
});

const sameName = (a: string, b: string): boolean => a.trimEnd().toLowerCase() === b.trimEnd().toLowerCase();

/** The fields after one change; other replies leave them as they are. `leadingSpace`: values come with their first space. */
export const applyChange = (
  fields: readonly RawField[],
  change: Reply,
  leadingSpace: boolean,
): readonly RawField[] => {
  switch (change.reply) {
    case 'insert-header':
      return fields.toSpliced(
        Math.min(change.index, fields.length),
        0,
        field(change.name, change.value, leadingSpace),
      );
    case 'add-header':
      return [...fields, field(change.name, change.value, leadingSpace)];
    case 'change-header': {
      const places = fields.flatMap((present, i) => (sameName(present.name, change.name) ? [i] : []));
      const place = places[change.index - 1];
      if (place === undefined)
        return change.value === '' ? fields : [...fields, field(change.name, change.value, leadingSpace)];
      return change.value === ''
        ? fields.toSpliced(place, 1)
        : fields.with(place, field(change.name, change.value, leadingSpace));
    }
    default:
      return fields;
  }
};
