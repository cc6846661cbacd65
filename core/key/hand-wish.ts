// What a person is asked to do in a zone that no program can change, in one sentence: for status, logs and reminders. Pure.

import { buildTombstone } from '../dkim/key-record.ts';
import { printValue } from '../dkim/txt.ts';
import { seconds } from '../time.ts';
import type { DomainRow, Key } from './evidence.ts';
import { recordName } from './row.ts';

/** Completes "waiting for somebody to …". */
export const handWish = (
  row: DomainRow,
  key: Pick<Key, 'selector' | 'algorithm' | 'evidence'>,
  change: 'created' | 'tombstoned' | 'deleted',
): string => {
  const name = recordName(row, key.selector);
  const { publishIntended } = key.evidence;
  const where = `in the DNS panel of zone ${row.zone}`;
  const how = `(ready to paste: selkie paste ${row.domain})`;
  if (change === 'deleted' || publishIntended === undefined)
    return `delete ${where} the record ${name} TXT ${how}`;
  const ttl = `TTL ${publishIntended.ttl / seconds(1)}`;
  return change === 'created'
    ? `add ${where} ${name} TXT, ${ttl}, value ${printValue(publishIntended.value, 'zone')} ${how}`
    : `change ${where} ${name} TXT, ${ttl}, to the value ${printValue(buildTombstone(key.algorithm), 'zone')} ${how}`;
};
