// The fleet at a glance: whether every domain is well, and what happens next.

import { useCallback, useMemo, useRef, useState } from 'preact/hooks';
import { hostStanding } from '../../core/host-standing.ts';
import { type Health, healthWords } from '../health.ts';
import { useLive, useNow } from '../live.ts';
import { Badge, Empty, Icon, Loading, Trouble } from '../parts.tsx';
import { domainHref } from '../route.ts';
import type { Drift, Hosts } from '../types.ts';
import { capital, plain, When } from '../words.tsx';
import { List } from './list.tsx';
import { useNarrow } from './narrow.ts';
import { type Row, useFleet } from './store.ts';

const order: readonly Health[] = ['trouble', 'moving', 'leaving', 'well'];
const number = new Intl.NumberFormat('en-GB');
const domainsOf = (n: number): string => `${number.format(n)} domain${n === 1 ? '' : 's'}`;

const headline = (rows: readonly Row[], counts: Readonly<Record<Health, number>>): string => {
  if (counts.trouble > 0)
    return counts.trouble === 1
      ? `1 of ${domainsOf(rows.length)} needs a look`
      : `${number.format(counts.trouble)} of ${domainsOf(rows.length)} need a look`;
  if (rows.length === 1) return 'The domain is healthy';
  return `All ${domainsOf(rows.length)} are healthy`;
};

const Hosting = () => {
  const { data } = useLive<Hosts>('/v1/hosts', 3);
  if (data === undefined) return null;
  const counted = data.hosts.filter((host) => hostStanding(host) !== 'excluded');
  const ready = counted.filter((host) => hostStanding(host) === 'ready').length;
  return (
    <a class="fact" href="#/hosts">
      <Icon health={ready === counted.length && ready > 0 ? 'well' : 'trouble'} />
      {data.hosts.length === 0
        ? 'No mail host yet'
        : `${ready} of ${counted.length}${data.next === undefined ? '' : '+'} host${counted.length === 1 ? '' : 's'} ready`}
    </a>
  );
};

const Drifting = () => {
  const { data } = useLive<Drift>('/v1/drift?limit=50', 10);
  const alarms = data?.audits.reduce((sum, audit) => sum + audit.alarms, 0) ?? 0;
  if (alarms === 0) return null;
  return (
    <a class="fact" href="#/drift">
      <Icon health="trouble" />
      {alarms === 1 ? '1 thing is not as it was written' : `${alarms} things are not as they were written`}
    </a>
  );
};

const Soonest = ({ rows, now }: { rows: readonly Row[]; now: number }) => {
  const next = useMemo(
    () =>
      rows.reduce<Row | undefined>(
        (soonest, row) =>
          row.health === 'well' &&
          row.next.at !== undefined &&
          (soonest?.next.at === undefined || row.next.at < soonest.next.at)
            ? row
            : soonest,
        undefined,
      ),
    [rows],
  );
  return next?.next.at === undefined ? null : (
    <a class="fact" href={domainHref(next.domain)}>
      <span>
        Next: {rows.length === 1 ? 'it' : next.domain} rotates <When at={next.next.at} now={now} />
      </span>
    </a>
  );
};

const DomainRow = ({ row, now }: { row: Row; now: number }) => (
  <>
    <Badge health={row.health} />
    <span class="row-name">{row.domain}</span>
    <span class="row-signs">{row.signs === '' ? <span class="quiet">no key signs</span> : row.signs}</span>
    <span class="row-next" title={plain(row.next.says)}>
      {row.next.at === undefined ? (
        capital(plain(row.next.says))
      ) : (
        <>
          {capital(row.next.says)} <When at={row.next.at} now={now} />
        </>
      )}
    </span>
  </>
);

export const FleetPage = () => {
  const view = useRef<readonly number[]>([0]);
  const fleet = useFleet(useCallback(() => view.current, []));
  const now = useNow(10_000);
  const [text, setText] = useState('');
  const [only, setOnly] = useState<Health>();
  const height = useNarrow() ? 92 : 52;
  const { rows, complete, error } = fleet;

  const counts = useMemo(() => {
    const found: Record<Health, number> = { trouble: 0, moving: 0, leaving: 0, well: 0 };
    for (const { health } of rows) found[health] += 1;
    return found;
  }, [rows]);
  const wanted = text.trim().toLowerCase();
  const shown = useMemo(
    () =>
      rows.filter(
        (row) =>
          (only === undefined || row.health === only) &&
          (wanted === '' || row.domain.includes(wanted) || row.signs.includes(wanted) || row.zone === wanted),
      ),
    [rows, wanted, only],
  );
  const inView = useCallback((items: readonly Row[]) => {
    view.current = [...new Set(items.map(({ page }) => page))];
  }, []);

  if (rows.length === 0)
    return (
      <>
        <h1 tabIndex={-1}>Fleet</h1>
        <Trouble error={error} old={false} />
        {!complete && error === undefined ? <Loading what="the fleet" /> : null}
        {complete ? (
          <Empty title="No domain yet.">
            <p>
              Name one under <code>domains:</code> in fleet.yaml. It gets its first key within a minute.
            </p>
          </Empty>
        ) : null}
      </>
    );
  return (
    <>
      <div class="glance">
        <h1 tabIndex={-1}>
          <Icon health={counts.trouble > 0 ? 'trouble' : 'well'} />
          {complete ? headline(rows, counts) : `${domainsOf(rows.length)} so far`}
        </h1>
        <p class="facts">
          <Hosting />
          <Drifting />
          <Soonest rows={rows} now={now} />
        </p>
      </div>
      <Trouble error={error} old />
      <div class="filters">
        <label class="search">
          <span class="hidden">Find a domain, a selector or a zone</span>
          <input
            type="search"
            placeholder="Find a domain, a selector or a zone"
            value={text}
            autoComplete="off"
            spellcheck={false}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <fieldset class="chips">
          <legend class="hidden">Show</legend>
          <button type="button" aria-pressed={only === undefined} onClick={() => setOnly(undefined)}>
            All <span class="n">{number.format(rows.length)}</span>
          </button>
          {order
            .filter((health) => counts[health] > 0 || only === health)
            .map((health) => (
              <button
                key={health}
                type="button"
                aria-pressed={only === health}
                onClick={() => setOnly(only === health ? undefined : health)}
              >
                <Icon health={health} />
                {healthWords[health]} <span class="n">{number.format(counts[health])}</span>
              </button>
            ))}
        </fieldset>
      </div>
      <p class="hidden" role="status">
        {wanted === '' && only === undefined ? '' : `${domainsOf(shown.length)} found`}
      </p>
      {shown.length === 0 ? (
        <Empty title={wanted === '' ? 'None of them.' : `Nothing is called “${text.trim()}”.`}>
          <button
            type="button"
            onClick={() => {
              setText('');
              setOnly(undefined);
            }}
          >
            Show all
          </button>
        </Empty>
      ) : (
        <div class="table">
          <div class="row-heads" aria-hidden="true">
            <span>Health</span>
            <span>Domain</span>
            <span>Signs with</span>
            <span>Next</span>
          </div>
          <List
            items={shown}
            height={height}
            label="Domains"
            keyOf={(row) => row.domain}
            href={(row) => domainHref(row.domain)}
            draw={(row) => <DomainRow row={row} now={now} />}
            onRange={inView}
          />
        </div>
      )}
      {complete ? null : <Loading what="more domains" />}
    </>
  );
};
