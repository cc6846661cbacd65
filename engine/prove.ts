// Proof by observation: what every authoritative name server of the record zone answers, now. A proof that does not
// hold yet is an error to be tried again; its sentence says which server still says what.

import { buildTombstone, parseKeyRecord } from '../core/dkim/key-record.ts';
import { SelkieError } from '../core/errors.ts';
import { stepOf } from '../core/key/actions.ts';
import { recordName, withEvidence, withoutAccepted, withTrouble, withTurn } from '../core/key/row.ts';
import { longest } from '../core/time.ts';
import { leadTo } from './lead-to.ts';
import type { Observation, ServerAnswer } from './ports.ts';
import { holdsOnly } from './txt-set.ts';
import { theKey, type Work } from './work.ts';

export const said = ({ answer }: ServerAnswer): string => {
  switch (answer.kind) {
    case 'txt':
      return answer.set.values.length === 1
        ? 'shows another record'
        : `shows ${answer.set.values.length} records`;
    case 'no-data':
    case 'no-such-name':
      return 'shows none';
    case 'cname':
      return `shows a CNAME to ${answer.target}`;
    case 'failed':
      return `does not answer (${answer.why})`;
  }
};

/** @throws unavailable, naming the first servers for which `holds` is false */
export const everyServer = (
  name: string,
  { answers }: Observation,
  holds: (answer: ServerAnswer) => boolean,
  says: (answer: ServerAnswer) => string = said,
): void => {
  const lagging = answers.filter((answer) => !holds(answer));
  if (lagging.length === 0 && answers.length > 0) return;
  const servers = [...new Set(lagging.map(({ server }) => server))];
  const who = `${servers.slice(0, 3).join(', ')}${servers.length > 3 ? ` and ${servers.length - 3} more` : ''}`;
  const named = lagging.slice(0, 3).map((answer) => `${answer.server} (${answer.address}) ${says(answer)}`);
  throw new SelkieError(
    'unavailable',
    servers.length === 0
      ? `${name}: no name server was found to ask`
      : `waiting for ${who} at ${name}: ${answers.length - lagging.length} of ${answers.length} servers show what they should; ${named.join('; ')}`,
  );
};

/** A name beside the key records that nobody has used. */
const siblingName = ({ world, row }: Work): string =>
  recordName(row, `x${world.randomness.id().toLowerCase()}`);

export const showsExactly =
  (value: string) =>
  ({ answer }: ServerAnswer): boolean =>
    answer.kind === 'txt' && holdsOnly(answer.set, value);

/**
 * The key record stands on every server exactly as it was written (one record: RFC 6376 §3.6.2.2), and what it says
 * verifies a signature by the key that the vault holds. (Of an adopted key: it says what it said at its adoption.)
 */
export const proveKey = async (work: Work, selector: string): Promise<void> => {
  const { world, row } = work;
  const { algorithm, evidence } = theKey(row, selector);
  const { publishIntended, stored, adopted } = evidence;
  if (publishIntended === undefined || (stored ?? adopted) === undefined) return;
  const name = recordName(row, selector);
  const seen = await world.observer.observe(work.zone, name);
  everyServer(name, seen, showsExactly(publishIntended.value));
  if (seen.negativeTtl === undefined)
    throw new SelkieError('unavailable', `${work.zone.name}: no server tells its SOA`);
  // Whoever asked too early may hold a wildcard's answer in place of a denial, and for that one's TTL (RFC 4592).
  const beside = await world.observer.observe(work.zone, siblingName(work));
  const negativeTtl = longest(
    seen.negativeTtl,
    ...(await leadTo(work, selector, name)),
    ...beside.answers.flatMap(({ answer }) =>
      answer.kind === 'txt' ? answer.set.ttl : answer.kind === 'cname' ? answer.ttl : [],
    ),
  );

  if (stored !== undefined) {
    const privateKey = await world.vault.read(stored.secret);
    if (!world.keys.matches(privateKey, algorithm, parseKeyRecord(publishIntended.value).publicKey))
      throw new SelkieError(
        'unavailable',
        `${name}: a signature by the stored key does not verify with this record`,
      );
  }
  const servers = seen.answers.length;
  await work.save(withTurn(row, selector, { proved: { at: work.now(), servers, negativeTtl } }));
  work.report(
    'step',
    `${name} is proved: ${servers} of ${servers} name servers show it${stored === undefined ? '' : ', and it verifies'}`,
    selector,
  );
};

export const proveTombstone = async (work: Work, selector: string): Promise<void> => {
  const { row } = work;
  const name = recordName(row, selector);
  const seen = await work.world.observer.observe(work.zone, name);
  everyServer(name, seen, showsExactly(buildTombstone(theKey(row, selector).algorithm)));
  await work.save(withEvidence(row, selector, { revoked: { at: work.now() } }));
  work.report('step', `${selector} is revoked: every name server shows the tombstone`, selector);
};

/** What a server says of a name, so that two names can be compared. */
export const answerText = ({ answer }: ServerAnswer): string => {
  switch (answer.kind) {
    case 'txt':
      return `txt ${answer.set.values.toSorted().join('\n')}`;
    case 'cname':
      return `cname ${answer.target}`;
    case 'failed':
      return answer.why;
    // An empty non-terminal beside a name that does not exist: both are absence (RFC 8020).
    default:
      return 'none';
  }
};

/** The provider had deleted it on all its servers, and has a record again: somebody put one there. The name is ours until it is proved gone (invariant 4). */
const deleteAgain = async (work: Work, selector: string): Promise<void> => {
  const name = recordName(work.row, selector);
  const step = stepOf({ do: 'delete', selector });
  // The step is troubled, so that it looks at what stands there and deletes just that.
  const undone = withoutAccepted(work.row, selector, 'deleted');
  await work.save(withTrouble(undone, step, work.now(), `${name} was put back`));
  work.report(
    'alarm',
    `${name} was deleted, and somebody put a record there again: it is deleted again`,
    selector,
  );
};

/** Absent at the provider, and DNS answers as for a random sibling: a wildcard TXT answers for every name (RFC 4592). */
export const proveAbsence = async (work: Work, selector: string): Promise<void> => {
  const { world, row } = work;
  const name = recordName(row, selector);
  if ((await world.writer.lookup(work.zone, name)) !== undefined) return deleteAgain(work, selector);
  const seen = await world.observer.observe(work.zone, name);
  const other = await world.observer.observe(work.zone, siblingName(work));
  const expected = new Map(other.answers.map((answer) => [answer.address, answer]));
  everyServer(name, seen, (answer) => {
    const beside = expected.get(answer.address);
    return (
      answer.answer.kind !== 'failed' && beside !== undefined && answerText(beside) === answerText(answer)
    );
  });
  await work.save(withEvidence(row, selector, { removed: { at: work.now() } }));
  work.report('step', `the record of ${selector} is gone`, selector);
};
