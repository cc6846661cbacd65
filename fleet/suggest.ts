// "Did you mean …?": the known name nearest to one that was mistyped. Pure.

/** Edits (insert, delete, replace, swap of neighbours) from `a` to `b`: optimal string alignment distance. */
const distance = (a: string, b: string): number => {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      const swap =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
          ? (before[j - 2] ?? 0) + 1
          : Number.POSITIVE_INFINITY;
      row.push(Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + same, swap));
    }
    [before, previous] = [previous, row];
  }
  return previous[b.length] ?? 0;
};

/** How many names are looked at: beyond that, a suggestion is not worth its time. */
const enough = 1_000;

/** The nearest of `known` within a third of its length, letter case aside. */
const nearest = (name: string, known: Iterable<string>): string | undefined => {
  let best: { candidate: string; edits: number } | undefined;
  let seen = 0;
  for (const candidate of known) {
    if (++seen > enough) break;
    const most = Math.max(1, Math.floor(candidate.length / 3));
    // So many letters more or fewer are so many edits: a very long text is not compared letter by letter.
    if (Math.abs(name.length - candidate.length) > most) continue;
    const edits = distance(name.toLowerCase(), candidate.toLowerCase());
    if (edits <= most && edits < (best?.edits ?? Infinity)) best = { candidate, edits };
  }
  return best?.candidate;
};

/** `; did you mean 'hold'?`, or nothing. */
export const didYouMean = (name: string, known: Iterable<string>): string => {
  const found = nearest(name, known);
  return found === undefined ? '' : `; did you mean '${found}'?`;
};
