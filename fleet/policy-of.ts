// Policy fields of the file, put on top of a policy. Pure.

import type { Policy, RecordTags } from '../core/policy.ts';
import { type Duration, formatDuration } from '../core/time.ts';
import { onDemand } from './fields.ts';
import type { PolicyFields } from './schema.ts';

const tagsOf = (record: NonNullable<PolicyFields['record']>): RecordTags => ({
  ...(record.hashes === undefined ? {} : { hashes: record.hashes }),
  ...(record.service === undefined ? {} : { service: record.service }),
  ...(record.strict === true ? { strict: true } : {}),
  ...(record.note === undefined ? {} : { note: record.note }),
});

const rotation = (field: PolicyFields['rotateEvery'], base: Duration | undefined): Duration | undefined =>
  field === onDemand ? undefined : (field ?? base);

/** `base` itself where no field is set, so that 100,000 domains share one. `record` replaces all tags of `base`. */
export const policyOf = (fields: PolicyFields, base: Policy): Policy => {
  if (Object.values(fields).every((value) => value === undefined)) return base;
  const rotateEvery = rotation(fields.rotateEvery, base.rotateEvery);
  return {
    ...(rotateEvery === undefined ? {} : { rotateEvery }),
    algorithms: fields.algorithms ?? base.algorithms,
    timeZone: fields.timeZone ?? base.timeZone,
    tags: fields.record === undefined ? base.tags : tagsOf(fields.record),
    ttl: fields.ttl ?? base.ttl,
    downstreamQueue: fields.downstreamQueue ?? base.downstreamQueue,
    drainMargin: fields.drainMargin ?? base.drainMargin,
    reportedDrain: fields.reportedDrain ?? base.reportedDrain,
    hold: fields.hold ?? base.hold,
    skewBound: fields.skewBound ?? base.skewBound,
    fenceAfter: fields.fenceAfter ?? base.fenceAfter,
    ...((fields.disclose ?? base.disclose) === 'after-removal' ? { disclose: 'after-removal' } : {}),
  };
};

/** What one field means for another: the field to blame, and the sentence. Invariant 6 needs a tombstone seen by every cache. */
export const conflictIn = (
  fields: PolicyFields,
  policy: Policy,
): { field: 'hold' | 'ttl'; message: string } | undefined =>
  policy.hold >= policy.ttl || (fields.hold === undefined && fields.ttl === undefined)
    ? undefined
    : {
        field: fields.hold === undefined ? 'ttl' : 'hold',
        message: `hold (${formatDuration(policy.hold)}) is shorter than the TTL (${formatDuration(policy.ttl)}), so caches would keep the old key beyond it; make hold at least ${formatDuration(policy.ttl)}`,
      };
