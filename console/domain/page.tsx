// One domain: what signs, what is waited for, what was and what comes; and the orders that may be given.

import { useState } from 'preact/hooks';
import { hostStanding, hostTroubles } from '../../core/host-standing.ts';
import { healthOf, nextOf, signingKeys, underWay } from '../health.ts';
import { useLive, useNow } from '../live.ts';
import { Badge, Card, Empty, Loading, StandingBadge, Trouble } from '../parts.tsx';
import { byHandHref } from '../route.ts';
import type { Domain, Forecast, Hosts, KeyDetail, Keys, Rotation } from '../types.ts';
import { At, capital, Said, When } from '../words.tsx';
import { Foresight } from './foresight.tsx';
import { Gates } from './gates.tsx';
import { Lanes } from './lanes.tsx';
import { OrderDialog, type Wanted } from './orders.tsx';
import { Records } from './records.tsx';
import { Reports } from './reports.tsx';
import { type KeySet, nameOf, setsOf, stateOf } from './sets.ts';
import { Trail } from './trail.tsx';

const horizon = 180;

const Now = ({ domain, now }: { domain: Domain; now: number }) => {
  const signs = signingKeys(domain);
  const { says, at } = nextOf(domain);
  const waits = domain.blockedBy.filter((blocked) => blocked.says !== says);
  return (
    <dl class="now-and-next">
      <div>
        <dt>Signs with</dt>
        <dd>{signs.length === 0 ? 'no key yet' : signs.map((each) => <code key={each}>{each}</code>)}</dd>
      </div>
      <div>
        <dt>{at === undefined ? 'Now' : 'Next'}</dt>
        <dd>
          {at === undefined ? (
            <Said says={capital(says)} />
          ) : (
            <>
              {capital(says)} <When at={at} now={now} far />
            </>
          )}
        </dd>
      </div>
      {waits.length === 0 ? null : (
        <div>
          <dt>Waits</dt>
          <dd>
            <ul class="waits">
              {waits.map(({ says: wait, selector }) => (
                <li key={`${selector} ${wait}`}>
                  <Said says={capital(wait)} />
                </li>
              ))}
            </ul>
          </dd>
        </div>
      )}
      {(domain.late ?? []).slice(1).map((late) => (
        <div key={late}>
          <dt>Late</dt>
          <dd>
            <Said says={capital(late)} />
          </dd>
        </div>
      ))}
      {(domain.notes ?? []).map((note) => (
        <div key={note}>
          <dt>Note</dt>
          <dd>{note}</dd>
        </div>
      ))}
      {domain.taken.map(({ selector, reason }) => (
        <div key={selector}>
          <dt>Passed over</dt>
          <dd>
            <code>{selector}</code> {reason}
          </dd>
        </div>
      ))}
    </dl>
  );
};

const mayBeDeclared = (key: KeyDetail): boolean =>
  key.compromised === undefined && !['revoked', 'removed'].includes(key.state);

const SetCard = ({
  set,
  open,
  domain,
  events,
  now,
  onOrder,
}: {
  readonly set: KeySet;
  readonly open: boolean;
  readonly domain: Domain;
  readonly events: Forecast['events'];
  readonly now: number;
  readonly onOrder: (wanted: Wanted) => void;
}) => {
  const [first] = set.keys;
  const declarable = set.keys.filter(mayBeDeclared);
  return (
    <details class="key" open={open}>
      <summary>
        <code>{nameOf(set)}</code>
        <span class={`state ${stateOf(set)}`}>{stateOf(set)}</span>
        {first?.compromised === undefined ? null : <Badge health="trouble" words="compromised" />}
      </summary>
      {set.keys.map((key) => (
        <p key={key.selector} class="quiet record">
          <code>{key.record}</code>
          {key.target === undefined ? null : (
            <>
              {' '}
              → <code>{key.target}</code>
            </>
          )}{' '}
          ({key.algorithm})
        </p>
      ))}
      {first?.compromised === undefined ? null : <p>Declared compromised: {first.compromised}</p>}
      {first?.abandoned === undefined ? null : <p>Given up before it signed: {first.abandoned}</p>}
      <Gates set={set} blockedBy={domain.blockedBy} events={events} now={now} />
      {declarable.map(({ selector }) => (
        <button
          key={selector}
          type="button"
          class="plain grave"
          onClick={() => onOrder({ order: 'compromise', selector })}
        >
          {selector} is compromised…
        </button>
      ))}
    </details>
  );
};

const PoolHosts = ({ pool }: { pool: string }) => {
  const { data, error } = useLive<Hosts>('/v1/hosts?limit=1000', 3);
  const now = useNow(5_000);
  const hosts = data?.hosts.filter((host) => host.pool === pool);
  if (hosts === undefined)
    return error === undefined ? <Loading what="the hosts" /> : <Trouble error={error} old={false} />;
  if (hosts.length === 0) return <Empty title={`Pool ${pool} has no mail host yet.`} />;
  return (
    <ul class="plain-list">
      {hosts.map((host) => (
        <li key={host.host}>
          <span class="line">
            <strong>{host.host}</strong>
            <StandingBadge standing={hostStanding(host)} />
            {host.lastSeen === undefined ? null : (
              <span class="quiet">
                seen <When at={host.lastSeen} now={now} />
              </span>
            )}
          </span>
          {hostTroubles(host).map((text) => (
            <span key={text} class="quiet block">
              <Said says={capital(text)} />
            </span>
          ))}
        </li>
      ))}
    </ul>
  );
};

const Rotations = ({ rotations }: { rotations: readonly Rotation[] }) => (
  <ul class="plain-list">
    {rotations.toReversed().map((rotation) => (
      <li key={rotation.id}>
        <span class="line">
          <strong>{capital(rotation.kind)}</strong>
          <span class="state">{rotation.state}</span>
          <At at={rotation.requested} />
        </span>
        <span class="quiet block">
          {rotation.selectors.join(' + ')}
          {rotation.by === undefined ? '' : ` by ${rotation.by}`}
          {rotation.reason === undefined ? '' : `: ${rotation.reason}`}
          {rotation.aborted === undefined ? '' : `; given up: ${rotation.aborted}`}
        </span>
      </li>
    ))}
  </ul>
);

const isGone = ({ times }: KeySet): boolean => times.destroyed !== undefined;
/** What somebody looks for first: keys on their way. */
const isMoving = (domain: Domain, { selectors }: KeySet): boolean =>
  underWay(domain)?.selectors.some((selector) => selectors.includes(selector)) === true;

export const DomainPage = ({ name }: { name: string }) => {
  const path = `/v1/domains/${encodeURIComponent(name)}`;
  const domain = useLive<Domain>(path);
  const keys = useLive<Keys>(`${path}/keys`);
  const forecast = useLive<Forecast>(`${path}/forecast?days=${horizon}`, 5);
  const now = useNow(1_000);
  const [wanted, setWanted] = useState<Wanted>();
  const [done, setDone] = useState('');
  const { data } = domain;
  const events = forecast.data?.events ?? [];
  const all = keys.data?.keys ?? [];
  const sets = setsOf(all).toReversed();
  const present = sets.filter((set) => !isGone(set));
  const gone = sets.filter(isGone);
  const order = (next: Wanted): void => {
    setDone('');
    setWanted(next);
  };

  if (data === undefined)
    return (
      <>
        <h1 tabIndex={-1}>{name}</h1>
        {domain.error === undefined ? (
          <Loading what={name} />
        ) : (
          <>
            <Trouble error={domain.error} old={false} />
            <p>
              <a href="#/">To the fleet</a>
            </p>
          </>
        )}
      </>
    );
  const rotation = underWay(data);
  return (
    <>
      <nav class="crumbs" aria-label="Where this is">
        <a href="#/">Fleet</a>
      </nav>
      <div class="head">
        <div>
          <h1 tabIndex={-1}>{name}</h1>
          <p class="quiet">
            <Badge health={healthOf(data)} /> Zone {data.zone}
            {data.byHand === undefined ? null : (
              <>
                {' '}
                (<a href={byHandHref({ zone: data.zone })}>what to paste there</a>)
              </>
            )}
            , pool {data.pool}
          </p>
        </div>
        <div class="buttons">
          {rotation?.state === 'under-way' ? null : (
            <button type="button" class="primary" onClick={() => order({ order: 'rotate' })}>
              Rotate…
            </button>
          )}
          {rotation?.state === 'under-way' ? (
            <button type="button" onClick={() => order({ order: 'abort' })}>
              Give up…
            </button>
          ) : (
            <button type="button" onClick={() => order({ order: 'rollback' })}>
              Roll back…
            </button>
          )}
          <button type="button" class="grave" onClick={() => order({ order: 'emergency' })}>
            Compromised…
          </button>
        </div>
      </div>
      <p class={done === '' ? 'hidden' : 'notice well'} role="status">
        {done}
      </p>
      <Trouble error={domain.error ?? keys.error} old />
      <Card title="Now and next">
        <Now domain={data} now={now} />
      </Card>
      <Card title="Timeline">
        {keys.data === undefined ? (
          <Loading what="the keys" />
        ) : all.length === 0 ? (
          <Empty title="No key yet. The first is made within a minute." />
        ) : (
          <Lanes keys={all} events={events} now={now} />
        )}
      </Card>
      <Card title="Keys, gate by gate">
        {present.map((set) => (
          <SetCard
            key={set.selectors[0]}
            set={set}
            open={isMoving(data, set) || (rotation === undefined && set === present[0])}
            domain={data}
            events={events}
            now={now}
            onOrder={order}
          />
        ))}
        {gone.length === 0 ? null : (
          <details class="gone">
            <summary>
              {gone.length === 1 ? '1 key set that is gone' : `${gone.length} key sets that are gone`}
            </summary>
            {gone.map((set) => (
              <SetCard
                key={set.selectors[0]}
                set={set}
                open={false}
                domain={data}
                events={events}
                now={now}
                onOrder={order}
              />
            ))}
          </details>
        )}
      </Card>
      <Card title="Forecast">
        {forecast.data === undefined ? (
          forecast.error === undefined ? (
            <Loading what="the forecast" />
          ) : (
            <Trouble error={forecast.error} old={false} />
          )
        ) : events.length === 0 ? (
          <Empty title={`Nothing in the next ${horizon} days.`} />
        ) : (
          <Foresight events={events} now={now} far />
        )}
      </Card>
      {data.records === undefined ? null : (
        <Card title="SPF and DMARC">
          <Records records={data.records} />
        </Card>
      )}
      <Reports path={path} keys={data.keys} />
      <div class="side-by-side">
        <Card title={`Hosts of pool ${data.pool}`}>
          <PoolHosts pool={data.pool} />
        </Card>
        <Card title="Rotations">
          {data.rotations.length === 0 ? (
            <Empty title="None yet." />
          ) : (
            <Rotations rotations={data.rotations} />
          )}
        </Card>
      </div>
      <Card title="Audit trail">
        <Trail path={`${path}/audit`} subject={name} version={data.rotations.length + done.length} />
      </Card>
      {wanted === undefined ? null : (
        <OrderDialog
          domain={name}
          wanted={wanted}
          onClose={(was) => {
            if (was) setDone('It is ordered. What happens is shown below, step by step.');
            setWanted(undefined);
          }}
        />
      )}
    </>
  );
};
