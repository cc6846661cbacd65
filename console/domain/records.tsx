// The SPF and DMARC records of a domain, where the fleet file names them.

import type { Health } from '../health.ts';
import { Badge } from '../parts.tsx';
import type { Domain } from '../types.ts';
import { capital, Said } from '../words.tsx';

type PolicyRecord = NonNullable<Domain['records']>[number];

const names: Readonly<Record<PolicyRecord['kind'], string>> = {
  spf: 'SPF',
  dmarc: 'DMARC',
  report: 'Reports elsewhere',
};

const healthOf = ({ state }: PolicyRecord): Health =>
  state === 'refused' ? 'trouble' : state === 'published' || state === 'settled' ? 'well' : 'moving';

export const Records = ({ records }: { records: readonly PolicyRecord[] }) => (
  <ul class="plain-list">
    {records.map((record) => (
      <li key={record.kind + record.record}>
        <span class="line">
          <strong>{names[record.kind]}</strong>
          <Badge health={healthOf(record)} words={record.state} />
          {record.lookups === undefined ? null : (
            <span class="quiet">{record.lookups} of 10 DNS lookups</span>
          )}
        </span>
        <span class="quiet block">
          <code>{record.record}</code>
        </span>
        {record.value === undefined ? null : (
          <span class="block">
            <code>{record.value}</code>
          </span>
        )}
        {record.refused === undefined ? null : (
          <span class="block">
            <Said says={capital(record.refused)} />
          </span>
        )}
      </li>
    ))}
  </ul>
);
