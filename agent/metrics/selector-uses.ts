// How often and when selectors were signed with: for at most so many of them, since each is a time series. Pure.

/** Stands for the selectors that have no figures of their own. No selector is called so: a DNS label has no `_` in front here. */
export const otherSelectors = '_other';

/** After so many milliseconds without a message, a selector gives its figures up. */
const forgottenAfter = 40 * 24 * 3_600_000;

interface Use {
  count: number;
  /** Milliseconds since 1970. */
  last: number;
}

export interface SelectorUses {
  add(selector: string, at: number): void;
  /** The figures at this time; their sum only grows. */
  at(now: number): readonly (readonly [string, Readonly<Use>])[];
}

export const createSelectorUses = (most: number): SelectorUses => {
  const uses = new Map<string, Use>();
  const others: Use = { count: 0, last: 0 };
  const useOf = (selector: string): Use => {
    const known = uses.get(selector);
    if (known !== undefined) return known;
    if (uses.size >= most) return others;
    const use = { count: 0, last: 0 };
    uses.set(selector, use);
    return use;
  };
  return {
    add(selector, at) {
      const use = useOf(selector);
      use.count += 1;
      use.last = at;
    },
    at(now) {
      for (const [selector, { count, last }] of uses) {
        if (now - last < forgottenAfter) continue;
        others.count += count;
        others.last = Math.max(others.last, last);
        uses.delete(selector);
      }
      return others.count === 0 ? [...uses] : [...uses, [otherSelectors, others]];
    },
  };
};
