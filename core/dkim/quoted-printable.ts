// dkim-quoted-printable, RFC 6376 §2.11: how tag values bear octets that a tag list may not. Pure. Written only: nobody
// here reads what others wrote so.

/** `dkim-safe-char`: `!` to `:`, `<`, `>` to `~`. */
const isSafe = (byte: number): boolean => byte > 32 && byte < 127 && byte !== 0x3b && byte !== 0x3d;

/** Octets as text of a tag value; UTF-8 (RFC 8616 §5) comes out as its octets, so that the field stays ASCII. */
export const dkimQuotedPrintable = (bytes: Uint8Array): string => {
  let text = '';
  for (const byte of bytes)
    text += isSafe(byte) ? String.fromCharCode(byte) : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return text;
};
