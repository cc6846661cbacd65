// What OpenDKIM signs with, asked of it, and noted. Speaks to its milter socket; reads key files.
import { createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, SelkieError } from '../../../core/errors.ts';
import { pathFault } from '../../opendkim/safe-path.ts';
import { type CanaryAnswer, openCanary } from './canary.ts';
import { type KeyPlace, trialAddress, type WantedRows } from './rows.ts';
import { absence } from './view.ts';
import { fingerprint, isTried, nameOf, say, type Work } from './work.ts';

/** How many domains that are in order are looked at again in each call, in turn. */
const sampleSize = 5;

export interface Observer {
  /** Keys with a row for canaries that were never signed with. */
  tryKeys(rows: WantedRows): Promise<void>;
  /**
   * Domains whose key was not seen to sign since their row was changed, or some others, and notes those that are seen.
   * @returns those that are not
   */
  domains(rows: WantedRows): Promise<readonly { readonly place: KeyPlace; readonly why: string }[]>;
  /** The domain goes on with another key: this one is put to work again after a while. */
  refuse(place: KeyPlace, why: string): void;
  /** Domains that were signed for and have no row now. */
  gone(rows: WantedRows): Promise<void>;
}

const longestRefusal = 10;
const minute = 60_000;

/** As the key store has it; of a key that is no longer wanted and signs on, from its file. */
const publicKeyOf = async (work: Work, key: KeyPlace): Promise<string> => {
  const wanted = work.byName.get(nameOf(key));
  if (wanted !== undefined) return wanted.publicKey;
  const spki = createPublicKey(await readFile(key.file, 'utf8')).export({ type: 'spki', format: 'der' });
  return spki.toString('base64');
};

/** Why an answer does not show that OpenDKIM signs with this key and no other of ours; undefined where it does. */
const fault = async (
  work: Work,
  key: KeyPlace,
  { verdict, signatures }: CanaryAnswer,
): Promise<string | undefined> => {
  if (verdict !== 'accept') {
    const why = await pathFault(key.file, work.view.user, work.view.accounts).catch(describe);
    return `OpenDKIM cannot use the key, it put off a test message: ${why ?? 'its log says why (journalctl -u opendkim)'}`;
  }
  const ofDomain = signatures.filter(({ domain }) => domain === key.domain);
  const own = ofDomain.filter(({ selector }) => selector === key.selector);
  const others = ofDomain.filter(({ selector }) => selector !== key.selector);
  if (own.length === 0)
    return others[0] === undefined
      ? 'OpenDKIM did not sign a test message with it: look for ExemptDomains and the like in opendkim.conf, and in its log.'
      : `OpenDKIM signed a test message with ${others[0].selector} in its place: another row of SigningTable comes first.`;
  const publicKey = await publicKeyOf(work, key);
  if (!own.every((one) => one.holds(publicKey)))
    return "OpenDKIM signs with it, but the signature does not hold with the key's public half.";
  const ours = others.find(({ selector }) => work.byName.has(nameOf({ domain: key.domain, selector })));
  return ours === undefined
    ? undefined
    : `OpenDKIM signed a test message with ${ours.selector} as well: take that row out of SigningTable, or MultipleSignatures out of opendkim.conf.`;
};

const domainAddress = ({ domain }: KeyPlace): string => `selkie-canary@${domain}`;

export const createObserver = (work: Work): Observer => {
  const { settings, view, saved, files, refused, failed } = work;
  const { state } = saved;
  let left = settings.atOnce;
  const until = settings.now() + settings.askWithin;

  /** Asks in turn, on one connection as long as nothing goes wrong on it; no more than a call may. */
  const ask = async (
    keys: readonly KeyPlace[],
    author: (key: KeyPlace) => string,
    see: (key: KeyPlace, answer: CanaryAnswer) => Promise<void>,
  ): Promise<void> => {
    let canary: Awaited<ReturnType<typeof openCanary>> | undefined;
    try {
      for (const key of keys) {
        if (left === 0 || settings.now() > until) return;
        left -= 1;
        canary ??= await openCanary(view.target, settings.timeout);
        const answer = await canary.ask(author(key));
        await see(key, answer);
        if (answer.verdict === 'accept') continue;
        await canary.close().catch(() => undefined);
        canary = undefined;
      }
    } catch (cause) {
      throw new SelkieError('unavailable', absence(view), { cause });
    } finally {
      await canary?.close().catch(() => undefined);
    }
  };

  const fail = (key: KeyPlace, why: string): void => {
    failed.add(nameOf(key));
    say(work, nameOf(key), why);
  };

  return {
    async tryKeys({ trials }) {
      const untried = trials.filter((place) => {
        const key = work.byName.get(nameOf(place));
        return key !== undefined && !isTried(work, key) && !failed.has(nameOf(place));
      });
      if (untried.length === 0) return;
      await ask(untried, trialAddress, async (place, answer) => {
        const key = work.byName.get(nameOf(place));
        const why = await fault(work, place, answer);
        if (why !== undefined) fail(place, why);
        else if (key !== undefined) state.tried[nameOf(place)] = fingerprint(key);
      });
      await saved.save();
      await settings.step('keys tried');
    },

    async domains({ signing }) {
      const faults: { place: KeyPlace; why: string }[] = [];
      const look = async (
        places: readonly KeyPlace[],
        note: (place: KeyPlace) => void = () => {},
      ): Promise<void> =>
        ask(
          places.filter((place) => !failed.has(nameOf(place))),
          domainAddress,
          async (place, answer) => {
            const why = await fault(work, place, answer);
            if (why === undefined) note(place);
            else faults.push({ place, why });
          },
        );
      const unseen = signing.filter(({ domain, selector }) => {
        const seen = state.signing[domain];
        return seen?.selector !== selector || seen.reload === undefined;
      });
      await look(unseen, (place) => {
        const { domain, selector } = place;
        refused.delete(nameOf(place));
        const last = state.signing[domain];
        const before = last?.selector === selector ? last.before : last?.selector;
        state.signing[domain] = {
          selector,
          ...(before === undefined ? {} : { before }),
          ...(state.tables === null ? {} : { reload: state.tables.reload }),
        };
      });
      if (unseen.length === 0) {
        const first = signing.length === 0 ? 0 : Math.floor(settings.now() / minute) % signing.length;
        await look([...signing.slice(first), ...signing.slice(0, first)].slice(0, sampleSize));
      }
      for (const { place } of faults) delete state.signing[place.domain]?.reload;
      await saved.save();
      if (unseen.length > 0) await settings.step('domains seen');
      return faults;
    },

    /** Each time twice as long, for what stands in the way is a person's to take away. */
    refuse(place, why) {
      fail(place, why);
      const times = (refused.get(nameOf(place))?.times ?? 0) + 1;
      const wait = Math.min(longestRefusal, 2 ** (times - 1)) * minute - minute / 2;
      refused.set(nameOf(place), { why, times, until: settings.now() + wait });
    },

    async gone({ signing }) {
      const rows = new Set(signing.map(({ domain }) => domain));
      const leaving = Object.entries(state.signing).flatMap(([domain, { selector }]) =>
        rows.has(domain) ? [] : [{ domain, selector, file: files.path({ domain, selector }) }],
      );
      if (leaving.length === 0) return;
      await ask(leaving, domainAddress, async (place, { signatures }) => {
        const { domain, selector } = place;
        if (signatures.some((one) => one.domain === domain && one.selector === selector)) {
          say(
            work,
            nameOf(place),
            'OpenDKIM still signs with it, by a row of SigningTable that Selkie did not write: take that out.',
          );
          return;
        }
        delete state.signing[domain];
        if (state.tables !== null) state.gone[nameOf(place)] = state.tables.reload;
      });
      await saved.save();
      await settings.step('removals seen');
    },
  };
};
