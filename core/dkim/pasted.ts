// How a value that somebody pasted into a panel differs from the one that was asked for: the mistakes that panels and people
// make with long TXT values, in words. Pure.

const without = (text: string, what: RegExp): string => text.replaceAll(what, '');

/** What is wrong with `shown`, as the end of a sentence that begins with a server's name. The values differ. */
export const pastedWrong = (shown: string, wanted: string): string => {
  // RFC 1035 §3.3: a string has at most 255 octets, and some panels keep the first alone.
  if (shown !== '' && wanted.startsWith(shown))
    return `shows only the first ${shown.length} of ${wanted.length} characters: paste the value as strings of at most 255`;
  if (without(shown, /"/g) === wanted)
    return 'shows the quotation marks as part of the value: paste it without them';
  // RFC 6376 §3.6.2.2: strings are joined with nothing between.
  if (without(shown, /[\s"]/g) === without(wanted, /\s/g))
    return 'shows the value with other spaces: paste it as one line, with no space between the strings';
  if (without(shown, /\\;/g) !== shown && shown.replaceAll('\\;', ';') === wanted)
    return 'shows a backslash before each semicolon: paste the value without them';
  if (shown.toLowerCase() === wanted.toLowerCase())
    return 'shows the value in other letters: large and small ones are different';
  return 'shows another record';
};
