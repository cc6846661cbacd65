// Publishes the private half of a retired key, where the policy says so: whoever has it can sign as the domain did, so that no
// signature by it proves any more who wrote a message. It cannot be taken back: it is looked once more whether anybody could
// still verify with the key, at the provider and at every name server.

import { hasCode, SelkieError } from '../core/errors.ts';
import { recordName, withEvidence } from '../core/key/row.ts';
import type { DisclosedKey, TxtSet } from './ports.ts';
import { everyServer } from './prove.ts';
import { theKey, type Work } from './work.ts';

/** Beside other records too, and however it is written: verifiers differ in what they make of that. */
const carries = (set: TxtSet | undefined, publicKey: string): boolean =>
  set?.values.some((value) => value.replaceAll(/\s/g, '').includes(publicKey)) === true;

/** @throws unavailable: somebody put the record back since it was proved gone, or a server does not answer */
const nobodyShows = async (work: Work, selector: string, publicKey: string): Promise<void> => {
  const { world, row } = work;
  const name = recordName(row, selector);
  if (carries(await world.writer.lookup(work.zone, name), publicKey))
    throw new SelkieError(
      'unavailable',
      `${name} was put back: the key is not published before somebody deletes the record (selkie drift shows how)`,
    );
  everyServer(name, await world.observer.observe(work.zone, name), ({ answer }) =>
    answer.kind === 'txt' ? !carries(answer.set, publicKey) : answer.kind !== 'failed',
  );
};

/** Undefined: the vault no longer has it. @throws unavailable: what it holds is another key */
const privateHalf = async (
  { world }: Work,
  selector: string,
  { algorithm, publicKey }: Pick<DisclosedKey, 'algorithm' | 'publicKey'>,
  secret: string,
): Promise<Uint8Array | undefined> => {
  try {
    const privateKey = await world.vault.read(secret);
    if (world.keys.matches(privateKey, algorithm, publicKey)) return privateKey;
  } catch (error) {
    if (hasCode(error, 'not-found')) return undefined;
    throw error;
  }
  throw new SelkieError(
    'unavailable',
    `what the vault holds for ${selector} is not the key of its record: it is not published`,
  );
};

export const disclose = async (work: Work, selector: string): Promise<void> => {
  const { world, row } = work;
  const { algorithm, evidence } = theKey(row, selector);
  const { stored, removed, disclosureIntended } = evidence;
  if (stored === undefined || removed === undefined) return;
  const { publicKey } = stored;
  await nobodyShows(work, selector, publicKey);
  const privateKey = await privateHalf(work, selector, { algorithm, publicKey }, stored.secret);
  if (privateKey === undefined) {
    await work.save(withEvidence(work.row, selector, { destroyed: { at: work.now() } }));
    return work.report(
      'alarm',
      `the vault no longer has the key of ${selector}: it cannot be published`,
      selector,
    );
  }
  if (disclosureIntended === undefined)
    await work.save(withEvidence(work.row, selector, { disclosureIntended: { at: work.now() } }));
  await world.disclosure.publish({
    domain: row.domain,
    selector,
    algorithm,
    publicKey,
    privateKey,
    removed: removed.at,
  });
  await work.save(withEvidence(work.row, selector, { disclosed: { at: work.now() } }));
  work.report('step', `the private half of ${selector} is published`, selector);
};
