// What people are to change in zones that no program can change: what to paste, and which name servers show it already. The same
// as `selkie paste` prints.

import { printStrings } from '../core/dkim/txt.ts';
import { Copy } from './copy.tsx';
import { useLive, useNow } from './live.ts';
import { Badge, Card, Empty, Icon, Loading, Trouble } from './parts.tsx';
import { byHandHref } from './route.ts';
import type { ByHand } from './types.ts';
import { capital, When } from './words.tsx';

type Zone = ByHand['zones'][number];
type Change = Zone['changes'][number];
type Pasted = Change['add'][number];

const heads: Readonly<Record<Change['do'], string>> = {
  add: 'Add this record',
  change: 'Change this record',
  delete: 'Delete this record',
};

const Value = ({ label, value: { value, strings } }: { label: string; value: Pasted }) => (
  <div>
    <dt>{capital(label)}</dt>
    <dd class="paste">
      <pre>{value}</pre>
      <Copy text={value} what={`the ${label}`} />
      {strings.length <= 1 ? null : (
        <details>
          <summary>For panels that want strings of at most 255 characters</summary>
          <div class="paste">
            <pre>{printStrings(strings, 'zone')}</pre>
            <Copy text={printStrings(strings, 'zone')} what={`the ${label} in strings`} />
          </div>
        </details>
      )}
    </dd>
  </div>
);

const Servers = ({ change: { do: what, servers, shown, showing, lagging } }: { change: Change }) => (
  <div>
    <dt>Name servers</dt>
    <dd>
      {servers === 0
        ? 'They cannot be asked'
        : `${shown} of ${servers} ${what === 'delete' ? 'no longer show it' : 'show it'}`}
      <ul class="servers">
        {showing.map((each) => (
          <li key={each}>
            <Icon health="well" />
            <span>
              {each} {what === 'delete' ? 'no longer shows it' : 'shows it'}
            </span>
          </li>
        ))}
        {lagging.map((each) => (
          <li key={each}>
            <Icon health="moving" />
            <span>{each}</span>
          </li>
        ))}
      </ul>
    </dd>
  </div>
);

const ChangeItem = ({ change, zone, now }: { change: Change; zone: string; now: number }) => (
  <li>
    <div class="line">
      <h3>{heads[change.do]}</h3>
      <span class="quiet">
        asked <When at={change.asked} now={now} />
      </span>
    </div>
    <dl class="now-and-next">
      <div>
        <dt>Name</dt>
        <dd class="paste">
          <code>{change.host}</code>
          <Copy text={change.host} what="the name" />
          {change.host === change.name ? null : (
            <details>
              <summary>For panels that do not add .{zone} themselves</summary>
              <div class="paste">
                <code>{change.name}</code>
                <Copy text={change.name} what="the whole name" />
              </div>
            </details>
          )}
        </dd>
      </div>
      <div>
        <dt>Type</dt>
        <dd>{change.type}</dd>
      </div>
      {change.do === 'delete' ? null : (
        <div>
          <dt>TTL</dt>
          <dd>{change.ttl} seconds, or less where the panel has no such choice</dd>
        </div>
      )}
      {change.remove.map((value) => (
        <Value key={value.value} label={change.do === 'delete' ? 'value' : 'old value'} value={value} />
      ))}
      {change.add.map((value) => (
        <Value key={value.value} label={change.do === 'change' ? 'new value' : 'value'} value={value} />
      ))}
      <Servers change={change} />
    </dl>
  </li>
);

const ZoneCard = ({ zone: { zone, changes }, now }: { zone: Zone; now: number }) => (
  <Card
    title={zone}
    aside={
      changes.length === 0 ? (
        <Badge health="well" words="nothing to paste" />
      ) : (
        <Badge health="moving" words={changes.length === 1 ? '1 change' : `${changes.length} changes`} />
      )
    }
  >
    {changes.length === 0 ? null : (
      <ul class="changes">
        {changes.map((change) => (
          <ChangeItem key={change.name} change={change} zone={zone} now={now} />
        ))}
      </ul>
    )}
  </Card>
);

/** @param zone that one alone  @param after a page further on */
export const ByHandPage = ({ zone, after }: { readonly zone?: string; readonly after?: string }) => {
  const query = new URLSearchParams({
    ...(zone === undefined ? {} : { zone }),
    ...(after === undefined ? {} : { after }),
  });
  // Each look asks the name servers of each zone.
  const { data, error } = useLive<ByHand>(`/v1/by-hand${query.size === 0 ? '' : `?${query}`}`, 10);
  const now = useNow(10_000);
  const zones = data?.zones.toSorted((a, b) => Number(b.changes.length > 0) - Number(a.changes.length > 0));
  return (
    <>
      <div>
        <h1 tabIndex={-1}>To paste</h1>
        <p class="quiet">
          What somebody is to change in zones that no program can change. Selkie looks every few minutes and
          goes on by itself once every name server shows it.
        </p>
      </div>
      <Trouble error={error} old={data !== undefined} />
      {zones === undefined && error === undefined ? <Loading what="what to paste" /> : null}
      {zones?.length === 0 ? (
        <Empty title={zone === undefined ? 'There is nothing to paste.' : `${zone} is not changed by hand.`}>
          <p>
            {zone === undefined ? (
              <>
                No zone of fleet.yaml says <code>provider: manual</code>.
              </>
            ) : (
              <a href={byHandHref()}>All zones that are</a>
            )}
          </p>
        </Empty>
      ) : null}
      {zones?.map((each) => (
        <ZoneCard key={each.zone} zone={each} now={now} />
      ))}
      <p class="facts">
        {after === undefined && zone === undefined ? null : (
          <a href={byHandHref()}>{zone === undefined ? 'From the first on' : 'All such zones'}</a>
        )}
        {data?.next === undefined ? null : <a href={byHandHref({ after: data.next })}>More zones</a>}
      </p>
    </>
  );
};
