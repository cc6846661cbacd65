// How each key stands after a call, in words: the driver's answer. Pure.
import { hostKeyName } from '../../../core/key/evidence.ts';
import { type DriverState, olderThan } from './state.ts';
import { isTried, nameOf, type Work } from './work.ts';

const turn = 'Other keys are put to work first; this one follows within minutes.';

const shorten = (why: string): string => (why.length > 500 ? `${why.slice(0, 499)}…` : why);

/** Undefined where no connection is older than that reload. */
const waiting = (state: DriverState, reload: number, before: string | undefined): string | undefined => {
  const count = olderThan(state, reload);
  if (count === 0) return undefined;
  const one = count === 1;
  const what = `${count} ${one ? 'connection' : 'connections'} opened before the reload`;
  const does =
    before === undefined
      ? `${one ? 'does' : 'do'} not sign with it yet`
      : `still ${one ? 'signs' : 'sign'} with ${before}`;
  return `${what} ${does}; waits until ${one ? 'it ends' : 'they end'}.`;
};

/**
 * `domain/selector` → why it is not as wanted.
 * @param trouble what kept the call from its end
 * @param answers whether OpenDKIM answers at all: if not, nothing is known of any key
 */
export const standing = (
  work: Work,
  trouble: string | undefined,
  answers: boolean,
): ReadonlyMap<string, string> => {
  const { state } = work.saved;
  const { signing, gone } = state;
  const reasons = new Map(work.reasons);
  const add = (name: string, why: string | undefined): void => {
    if (why !== undefined && !reasons.has(name)) reasons.set(name, why);
  };
  for (const key of work.wanted.keys) {
    const name = nameOf(key);
    const seen = signing[key.domain];
    if (!answers) add(name, trouble);
    else if (key.duty === 'standby') add(name, isTried(work, key) ? undefined : (trouble ?? turn));
    else if (seen?.selector === key.selector && seen.reload !== undefined)
      add(name, waiting(state, seen.reload, seen.before));
    else add(name, trouble ?? turn);
  }
  for (const [name, reload] of Object.entries(gone)) add(name, waiting(state, reload, name.split('/')[1]));
  // What must not sign, and was not seen to have ceased.
  for (const [domain, { selector }] of Object.entries(signing)) {
    const name = hostKeyName(domain, selector);
    if (work.wanted.stopped.has(name) || !work.signing.has(domain)) add(name, trouble ?? turn);
  }
  return new Map([...reasons].map(([name, why]) => [name, shorten(why)]));
};
