// What Route 53 takes as the value of a TXT record, by the developer guide ("TXT record type"). Written apart from
// core/dkim/txt.ts, so that each is held against the other. Pure.

const longestString = 255;
const longestValue = 4_000;

/** Why it is refused; undefined where it is taken. */
export const faultOfTxt = (value: string): string | undefined => {
  if (value.length > longestValue) return 'CharacterStringTooLong (Value is too long)';
  // Tokens: quoted strings, with or without white space between.
  const quoted = /^(?:"(?:[^"\\]|\\[0-3][0-7]{2}|\\[^0-9])*"\s*)+$/;
  if (!value.startsWith('"')) return 'InvalidCharacterString (Value should be enclosed in quotation marks)';
  if (!quoted.test(value)) return 'InvalidCharacterString (Value should be enclosed in quotation marks)';
  if (/[^ -~]/.test(value)) return 'UnsupportedCharacter (Value contains unsupported characters)';
  for (const [, content] of value.matchAll(/"((?:[^"\\]|\\.)*?)"/g)) {
    const octets = (content ?? '').replaceAll(/\\(?:[0-3][0-7]{2}|.)/g, 'x').length;
    if (octets > longestString)
      return 'CharacterStringTooLong (Value is too long) encountered with a string over 255 characters';
  }
  return undefined;
};

/** How Route 53 lists a name: octal escapes for all but a–z, 0–9, `-`, `_`, `.`; a final dot. */
export const listedName = (name: string): string =>
  `${name.toLowerCase().replace(/\.$/, '')}.`.replaceAll(
    /[^a-z0-9._-]/g,
    (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );

/** Names are listed in the ASCII order of their labels reversed, with a dot at the end. */
export const orderOf = (name: string): string =>
  `${listedName(name).slice(0, -1).split('.').toReversed().join('.')}.`;
