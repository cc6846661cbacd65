// What the last audits found: records, secrets, rows and hosts that are not as the ledger has them.

import { useLive, useNow } from './live.ts';
import { Badge, Empty, Loading, Trouble } from './parts.tsx';
import type { Drift } from './types.ts';
import { capital, Said, When } from './words.tsx';

type Audit = Drift['audits'][number];
type Finding = Audit['findings'][number];

const Found = ({ finding, now }: { finding: Finding; now: number }) => (
  <li>
    <span class="line">
      <Badge
        health={finding.mended !== undefined ? 'well' : finding.level === 'alarm' ? 'trouble' : 'leaving'}
        words={finding.mended !== undefined ? 'put back' : finding.level}
      />
      <span class="quiet">
        since <When at={finding.since} now={now} />
      </span>
    </span>
    <span class="block">
      <Said says={capital(finding.says)} />
    </span>
    {finding.command === undefined ? null : <pre>{finding.command}</pre>}
  </li>
);

const AuditCard = ({ audit, now }: { audit: Audit; now: number }) => (
  <li class="card">
    <div class="card-head">
      <h2>{capital(audit.subject.replace('/', ' '))}</h2>
      <Badge
        health={audit.alarms > 0 ? 'trouble' : 'well'}
        words={audit.found === 0 ? 'as written' : `${audit.found} found`}
      />
    </div>
    <p class="quiet">
      {audit.complete ? 'Audited ' : 'Under way since '}
      <When at={audit.complete ? audit.at : audit.begun} now={now} />: {audit.compared} compared
    </p>
    {audit.findings.length === 0 ? null : (
      <ul class="plain-list">
        {audit.findings.map((finding) => (
          <Found key={finding.kind + finding.name} finding={finding} now={now} />
        ))}
      </ul>
    )}
    {audit.found > audit.findings.length ? (
      <p class="quiet">And {audit.found - audit.findings.length} more.</p>
    ) : null}
  </li>
);

export const DriftPage = () => {
  const { data, error } = useLive<Drift>('/v1/drift?limit=50', 3);
  const now = useNow(10_000);
  // What is wrong comes first.
  const audits = data?.audits.toSorted((a, b) => b.alarms - a.alarms || b.found - a.found) ?? [];
  return (
    <>
      <h1 tabIndex={-1}>Drift</h1>
      <p class="quiet">
        Once a day every record, secret and host is compared with what the ledger says. What is ours is put
        back.
      </p>
      <Trouble error={error} old={data !== undefined} />
      {data === undefined && error === undefined ? <Loading what="the last audits" /> : null}
      {data !== undefined && audits.length === 0 ? (
        <Empty title="No audit yet.">
          <p>
            One runs each day. <code>selkie drift --run</code> begins one now.
          </p>
        </Empty>
      ) : null}
      <ul class="cards">
        {audits.map((audit) => (
          <AuditCard key={audit.subject} audit={audit} now={now} />
        ))}
      </ul>
      {data?.next === undefined ? null : <p class="quiet">selkie drift shows the others.</p>}
    </>
  );
};
