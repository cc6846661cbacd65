// Header canonicalisation, "simple" and "relaxed": RFC 6376 §3.4.1 and §3.4.2. Pure.
// As in bodies, only CRLF breaks a line; a bare CR or LF is content.

export type HeaderCanonicalization = 'simple' | 'relaxed';

/** One header field as it came: what stands before the colon, and all that follows it but the final CRLF. */
export interface HeaderField {
  /** ASCII; case as it came. White space before the colon is part of it. */
  readonly name: string;
  /** With the space behind the colon and the CRLFs of folding. */
  readonly value: Uint8Array;
}

const [tab, lf, cr, sp, colon] = [9, 10, 13, 32, 58];

/** ASCII to bytes. */
export const asciiBytes = (text: string): Uint8Array => {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
};

const whole = (name: Uint8Array, value: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(name.length + 1 + value.length);
  bytes.set(name);
  bytes[name.length] = colon;
  bytes.set(value, name.length + 1);
  return bytes;
};

/** Unfolds, makes every run of white space one space, and drops it at both ends. */
const relaxedValue = (value: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(value.length);
  let length = 0;
  let space = false;
  for (let i = 0; i < value.length; i += 1) {
    const byte = value[i] as number;
    if (byte === cr && value[i + 1] === lf) i += 1;
    else if (byte === sp || byte === tab) space = true;
    else {
      if (space && length > 0) {
        bytes[length] = sp;
        length += 1;
      }
      space = false;
      bytes[length] = byte;
      length += 1;
    }
  }
  return bytes.subarray(0, length);
};

/** The name to compare fields by: lower case, without white space at its end. RFC 6376 §3.4.2. */
export const canonicalName = (name: string): string => {
  // By hand: the pattern `[ \t]+$` takes square time for white space in the middle, and a name may be very long.
  let end = name.length;
  while (end > 0 && (name.charCodeAt(end - 1) === sp || name.charCodeAt(end - 1) === tab)) end -= 1;
  return name.slice(0, end).toLowerCase();
};

/** The field in canonical form, without the CRLF that ends it: the signature's own field is hashed without one (RFC 6376 §3.7). */
export const canonicalHeader = (field: HeaderField, kind: HeaderCanonicalization): Uint8Array =>
  kind === 'simple'
    ? whole(asciiBytes(field.name), field.value)
    : whole(asciiBytes(canonicalName(field.name)), relaxedValue(field.value));
