// Does DNS show the keys that sign? Reads the key store's index (not the private keys), and asks the authoritative servers,
// as the agent itself does each hour.
import { join } from 'node:path';
import type { Authority } from '../../adapters/dns/authority.ts';
import { keyRecordName } from '../../core/names.ts';
import { type Instant, instant } from '../../core/time.ts';
import { readIfThere } from '../files.ts';
import { readFacts } from '../key-facts.ts';
import { type HeldKey, parseIndex } from '../key-state.ts';
import { judgeRecord } from '../record-verdict.ts';
import { type Check, type Finding, type Seen, skipped } from './check.ts';

export interface Held {
  /** Undefined: there is no key store yet. */
  readonly signing: readonly HeldKey[] | undefined;
  /** When the newest bundle that was seen was issued; undefined: none was. */
  readonly newest?: Instant;
  /** `domain/selector` → why. */
  readonly failed: ReadonlyMap<string, string>;
}

/** The keys of a state folder, while the agent may be at work on it. @throws SelkieError invalid where the index is damaged */
export const readHeld = async (dir: string): Promise<Held> => {
  const index = join(dir, 'store', 'index.json');
  const text = await readIfThere(index);
  if (text === undefined) return { signing: undefined, failed: new Map() };
  const facts = await readFacts(join(dir, 'store', 'facts'));
  const { keys, failed, newest } = parseIndex(text, `The key store's index ${index}`).state(facts);
  return {
    signing: [...keys.values()].filter(({ duty }) => duty === 'signing'),
    failed,
    // RFC 7519 §4.1.6: in seconds.
    ...(newest === null ? {} : { newest: instant(newest.iat * 1_000) }),
  };
};

/** Of 100,000 domains, these many are asked for: the agent looks after all of them itself. */
const mostAsked = 200;
const atOnce = 16;
const mostShown = 5;

const judge = async (key: HeldKey, look: Authority['look']) => ({
  record: keyRecordName(key.selector, key.domain),
  verdict: await judgeRecord(key, look),
});

/** @param unit the agent's service */
export const recordsCheck = (held: () => Promise<Held>, look: Authority['look'], unit: string): Check => ({
  name: 'keys in DNS',
  async run(): Promise<Seen> {
    const { signing, failed } = await held();
    const findings: Finding[] = [...failed].slice(0, mostShown).map(([name, why]) => ({
      problem: `the key ${name} cannot be used: ${why}`,
      mends: [`the control plane sends it again; if it does not: journalctl -u ${unit} -n 50`],
    }));
    if (signing === undefined || signing.length === 0)
      return findings.length > 0 ? { findings } : skipped('this host has no key that signs yet');
    const asked = signing.slice(0, mostAsked);
    const unknown: string[] = [];
    const bad: Finding[] = [];
    for (let i = 0; i < asked.length; i += atOnce)
      for (const { record, verdict } of await Promise.all(
        asked.slice(i, i + atOnce).map((key) => judge(key, look)),
      )) {
        if (verdict.kind === 'unknown') unknown.push(verdict.why);
        if (verdict.kind === 'gone' || verdict.kind === 'mixed')
          bad.push({
            problem: `${verdict.why}: mail signed with it fails`,
            mends: [
              `dig +norecurse TXT ${record} @EACH-NAME-SERVER`,
              'selkie status (what the control plane knows of this key)',
            ],
          });
      }
    findings.push(...bad.slice(0, mostShown));
    if (bad.length > mostShown)
      findings.push({ problem: `${bad.length - mostShown} more keys are like these`, mends: [] });
    if (unknown.length > 0)
      findings.push({
        problem: `${unknown.length} of ${asked.length} records cannot be looked at from here: ${unknown[0] ?? ''}`,
        mends: ['check that this host may ask name servers at port 53, by UDP and TCP'],
      });
    const more = signing.length > asked.length ? ` of ${signing.length}` : '';
    return {
      findings,
      note: `${asked.length}${more} ${signing.length === 1 ? 'key signs and is' : 'keys sign and are'} shown`,
    };
  },
});
