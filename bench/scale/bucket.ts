// A token bucket in virtual time, as services throttle with one.

export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Full at first. @returns whether so many tokens were there, and were taken */
export const bucket = ({ perSecond, burst }: Rate, now: () => number) => {
  let [tokens, at] = [burst, now()];
  return (cost: number): boolean => {
    tokens = Math.min(burst, tokens + ((now() - at) / 1_000) * perSecond);
    at = now();
    if (tokens < cost) return false;
    tokens -= cost;
    return true;
  };
};
