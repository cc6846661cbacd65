// A key is tried in rspamd before any mail is signed with it: under a domain that is nobody's, in a file that gets the key's
// name only when its signature has been verified. So the key files are those that were tried, after a crash too.
import { createHash, createPublicKey } from 'node:crypto';
import { describe } from '../../../core/errors.ts';
import { hostKeyName } from '../../../core/key/evidence.ts';
import type { DriverKey } from '../driver.ts';
import { type CanaryAnswer, verifiesWith } from './canary.ts';
import { keyFileName } from './configuration.ts';
import type { RspamdMaps } from './maps.ts';
import type { SharedFolder } from './shared-folder.ts';
import { spread } from './spread.ts';

export const nameOf = ({ domain, selector }: Pick<DriverKey, 'domain' | 'selector'>): string =>
  hostKeyName(domain, selector);

/** RFC 2606 §2: no mail comes from `invalid`. */
const trialDomain = (key: DriverKey): string =>
  `${createHash('sha256').update(nameOf(key)).digest('hex').slice(0, 24)}.standby.selkie.invalid`;

/** `p=` in the one form that key files are compared in; RFC 6376 §3.6.1 has it as RSAPublicKey too. */
export const canonicalPublicKey = (publicKey: string): string => {
  const der = Buffer.from(publicKey, 'base64');
  for (const type of ['spki', 'pkcs1'] as const)
    try {
      return createPublicKey({ key: der, type, format: 'der' })
        .export({ type: 'spki', format: 'der' })
        .toString('base64');
    } catch {
      // The other form, or none.
    }
  return publicKey;
};

export interface TrialOptions {
  readonly folder: SharedFolder;
  readonly maps: RspamdMaps;
  readonly ask: (domain: string) => Promise<CanaryAnswer>;
  /** Whether there is time for more. */
  readonly hasTime: () => boolean;
}

const many = 500;

/**
 * Tries keys; those that rspamd signs with are in their files afterwards.
 * @returns `domain/selector` → why not, of the others
 */
export const tryKeys = async (
  keys: readonly DriverKey[],
  { folder, maps, ask, hasTime }: TrialOptions,
): Promise<ReadonlyMap<string, string>> => {
  const failed = new Map<string, string>();
  const failing = async (key: DriverKey, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      failed.set(nameOf(key), `rspamd cannot be given this key: ${describe(error)}`);
    }
  };
  /** @returns why rspamd does not know of these keys yet */
  const announce = async (batch: readonly DriverKey[]): Promise<string | undefined> => {
    const { rows } = await maps.selectors();
    try {
      await maps.writeSelectors(
        new Map([...rows, ...batch.map((key) => [trialDomain(key), key.selector] as const)]),
      );
    } catch (error) {
      // A full disk, say, is no matter of keys that are there already.
      return `The selector map cannot be written: ${describe(error)}`;
    }
    return maps.confirm();
  };
  for (let at = 0; at < keys.length; at += many) {
    const batch = keys.slice(at, at + many);
    if (at > 0 && !hasTime()) {
      for (const key of keys.slice(at))
        failed.set(nameOf(key), 'It waits to be tried in rspamd; many keys came at once.');
      break;
    }
    await spread(batch, (key) =>
      failing(key, async () => {
        const pem = (await key.load()).export({ type: 'pkcs8', format: 'pem' }).toString();
        await folder.writeKey(keyFileName(trialDomain(key), key.selector), pem);
      }),
    );
    const written = batch.filter((key) => !failed.has(nameOf(key)));
    if (written.length === 0) continue;
    const unseen = await announce(written);
    await spread(written, (key) =>
      failing(key, async () => {
        const [domain, { selector }] = [trialDomain(key), key];
        const file = keyFileName(domain, selector);
        if (unseen !== undefined) {
          failed.set(nameOf(key), unseen);
          return;
        }
        const answer = await ask(domain);
        if (answer.selector !== selector || !verifiesWith(answer, domain, key.publicKey)) {
          failed.set(
            nameOf(key),
            answer.selector === undefined
              ? `rspamd does not sign with ${folder.path}/keys/${file}: its log says why (grep dkim); local.d/dkim_signing.conf must have the lines that selkie-agent setup shows.`
              : `rspamd signed a canary with s=${answer.selector}, and the signature does not verify with the key's record.`,
          );
          return;
        }
        await folder.renameKey(file, keyFileName(key.domain, selector));
      }),
    );
  }
  return failed;
};
