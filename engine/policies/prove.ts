// Proof by observation that a policy record stands, or is gone: what every authoritative name server of its zone answers, now.

import type { FleetZone } from '../../core/policy.ts';
import type { PolicyRecord } from '../../core/policy-records/evidence.ts';
import { withoutRecord, withRecord } from '../../core/policy-records/row.ts';
import { isOfKind } from '../../core/policy-records/wanted.ts';
import type { ServerAnswer } from '../ports.ts';
import { answerText, everyServer, said } from '../prove.ts';
import type { Work } from '../work.ts';
import { kindName } from './change.ts';

/** Exactly one record of its kind, and this one: of several, receivers take none (RFC 7208 §4.5, RFC 9989 §4.10). */
export const showsPolicy =
  ({ kind }: Pick<PolicyRecord, 'kind'>, value: string) =>
  ({ answer }: ServerAnswer): boolean => {
    const found = answer.kind === 'txt' ? answer.set.values.filter((other) => isOfKind(kind, other)) : [];
    return found.length === 1 && found[0] === value;
  };

const saidOf =
  ({ kind }: Pick<PolicyRecord, 'kind'>) =>
  (answer: ServerAnswer): string => {
    if (answer.answer.kind !== 'txt') return said(answer);
    const found = answer.answer.set.values.filter((value) => isOfKind(kind, value));
    return found.length === 0
      ? `shows no ${kindName[kind]}`
      : found.length === 1
        ? `shows another ${kindName[kind]}`
        : `shows ${found.length} ${kindName[kind]}s`;
  };

/** @throws unavailable, naming the servers that do not show it */
export const provePolicy = async (work: Work, zone: FleetZone, record: PolicyRecord): Promise<void> => {
  const { kind, name, intended } = record;
  if (intended === undefined) return;
  const seen = await work.world.observer.observe(zone, name);
  everyServer(name, seen, showsPolicy(record, intended.value), saidOf(record));
  const servers = seen.answers.length;
  await work.save(
    withRecord(work.row, record, (old) => ({
      ...old,
      // What else was ours is seen to be gone.
      ours: [intended.value],
      proved: { at: work.now(), servers },
    })),
  );
  work.report(
    'step',
    `the ${kindName[kind]} at ${name} is proved: ${servers} of ${servers} name servers show it`,
  );
};

/** A name beside it that nobody has used. */
const siblingOf = (name: string, id: string): string =>
  `x${id.toLowerCase()}.${name.slice(name.indexOf('.') + 1)}`;

/**
 * Gone at the provider, and no name server shows it; or they answer so for any name beside it, by a wildcard (RFC 4592).
 * @throws unavailable, naming the servers that still show it
 */
export const proveGone = async (work: Work, zone: FleetZone, record: PolicyRecord): Promise<void> => {
  const { kind, name, ours } = record;
  const { world } = work;
  if ((await world.writer.lookup(zone, name))?.values.some((value) => ours.includes(value)) === true) {
    // Somebody put it back; or the change never came through.
    await work.save(
      withRecord(work.row, record, ({ deleted: _lost, deletionInSync: _seen, ...rest }) => rest),
    );
    return work.report('alarm', `the ${kindName[kind]} at ${name} was put back: it is deleted again`);
  }
  const seen = await world.observer.observe(zone, name);
  const shows = ({ answer }: ServerAnswer): boolean =>
    answer.kind === 'failed' ||
    (answer.kind === 'txt' && answer.set.values.some((value) => ours.includes(value)));
  if (seen.answers.some(shows)) {
    const beside = await world.observer.observe(zone, siblingOf(name, world.randomness.id()));
    const texts = new Map(beside.answers.map((answer) => [answer.address, answerText(answer)]));
    everyServer(
      name,
      seen,
      (answer) =>
        !shows(answer) || (answer.answer.kind === 'txt' && texts.get(answer.address) === answerText(answer)),
      (answer) => (answer.answer.kind === 'txt' ? 'still shows it' : said(answer)),
    );
  }
  await work.save(withoutRecord(work.row, record));
  work.report('step', `the ${kindName[kind]} at ${name} is gone`);
};
