// Which rows the tables are to have now, from what is wanted and what was seen. Pure.
import type { KeyPlace, WantedRows } from './rows.ts';

export interface PlannedKey extends KeyPlace {
  readonly name: string;
  readonly duty: 'standby' | 'signing';
  /** Its file is written, and its kind is one that OpenDKIM signs with. */
  readonly ready: boolean;
  /** A canary was signed with it, and the signature held. */
  readonly tried: boolean;
  /** It was put to work in vain. */
  readonly failed: boolean;
}

/**
 * A domain's row goes to its signing key when a canary was signed with that; until then, and where it fails, to the key
 * that signs now, so that its mail is never without. All else that is held and not tried has a row for canaries only, as
 * has each standby key.
 * @param serving by domain, the key that signs now and may go on: its file is there, and it was not stopped
 */
export const planRows = (
  keys: readonly PlannedKey[],
  serving: ReadonlyMap<string, KeyPlace>,
  canaryKey: string,
): WantedRows => {
  const signing = keys.filter(({ duty }) => duty === 'signing');
  const rows = new Map<string, KeyPlace>();
  const place = ({ domain, selector, file }: KeyPlace): KeyPlace => ({ domain, selector, file });
  for (const key of signing) {
    const fit = key.ready && key.tried && !key.failed;
    const next = fit ? key : serving.get(key.domain);
    if (next !== undefined && (fit || !rows.has(key.domain))) rows.set(key.domain, place(next));
  }
  const trials = keys.filter(
    ({ ready, duty, domain, selector }) =>
      ready && (duty === 'standby' || rows.get(domain)?.selector !== selector),
  );
  const order = (a: KeyPlace, b: KeyPlace): number =>
    `${a.domain}/${a.selector}` < `${b.domain}/${b.selector}` ? -1 : 1;
  return {
    signing: [...rows.values()].sort(order),
    trials: trials.map(place).sort(order),
    canaryKey,
  };
};
