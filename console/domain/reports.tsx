// What DMARC aggregate reports say of a domain: how much of its mail passed, by selector and by who sent it.

import { useState } from 'preact/hooks';
import { percent } from '../../core/percent.ts';
import { useLive } from '../live.ts';
import { Card, Empty, Icon, Loading, Trouble } from '../parts.tsx';
import type { Domain, DomainReports } from '../types.ts';
import { At, Day } from '../words.tsx';

const lengths = [7, 30, 90, 365];
/** Reports come once a day, and each look reads all of them anew. */
const rarely = 120;
const mostSources = 10;

const number = new Intl.NumberFormat('en-GB');
const counted = (n: number, one: string): string => `${number.format(n)} ${one}${n === 1 ? '' : 's'}`;

type Selector = DomainReports['selectors'][number];
type Rates = Pick<DomainReports, 'messages' | 'passed' | 'dkim' | 'spf'>;

const Rate = ({ part, whole }: { part: number; whole: number }) => (
  <span class="rate">
    <span class="rate-bar" aria-hidden="true">
      <span style={{ width: `${whole === 0 ? 0 : (part / whole) * 100}%` }} />
    </span>
    <span>{percent(part, whole)}</span>
  </span>
);

type Key = Domain['keys'][number];

const Codes = ({ selectors }: { selectors: readonly string[] }) => (
  <>
    {selectors.map((selector, index) => (
      <>
        {index === 0 ? '' : ' + '}
        <code>{selector}</code>
      </>
    ))}
  </>
);

/** A retired key set drains together, and its messages bear all of its signatures. */
const StillSeen = ({ keys }: { keys: readonly Key[] }) => {
  const seen = Map.groupBy(
    keys.filter(({ stillSeen }) => stillSeen !== undefined),
    ({ stillSeen }) => JSON.stringify(stillSeen),
  );
  return [...seen].map(([name, set]) => {
    const [{ stillSeen } = {}] = set;
    return stillSeen === undefined ? null : (
      <p key={name} class="notice">
        <Icon health="moving" />
        <span>
          <Codes selectors={set.map(({ selector }) => selector)} /> {set.length === 1 ? 'is' : 'are'} retired,
          and {stillSeen.by} still received {counted(stillSeen.messages, 'message')} signed with{' '}
          {set.length === 1 ? 'it' : 'them'}, up to <At at={stillSeen.until} />.
          {set.some(({ state }) => state === 'draining') ? ' That makes the drain longer.' : ''}
        </span>
      </p>
    );
  });
};

/** What is revoked, and was seen after that. */
const Failing = ({ selectors }: { selectors: readonly Selector[] }) => {
  const late = Map.groupBy(
    selectors.filter(({ afterRevocation }) => afterRevocation === true),
    ({ state, last, reporters }) => JSON.stringify([state, last, reporters]),
  );
  return [...late].map(([name, set]) => {
    const [{ state = '', last = '', reporters = [] } = {}] = set;
    return (
      <p key={name} class="notice trouble">
        <Icon health="trouble" />
        <span>
          <Codes selectors={set.map(({ selector }) => selector)} /> {set.length === 1 ? 'is' : 'are'} {state},
          and {reporters[0] ?? 'a receiver'} still saw {set.length === 1 ? 'it' : 'them'} on{' '}
          <Day day={last} />: mail that is signed so fails.
        </span>
      </p>
    );
  });
};

const Selectors = ({ selectors }: { selectors: readonly Selector[] }) => (
  <table class="figures">
    <caption>By selector</caption>
    <thead>
      <tr>
        <th scope="col">Selector</th>
        <th scope="col" class="n">
          Messages
        </th>
        <th scope="col">Verified</th>
        <th scope="col">Seen</th>
        <th scope="col">By</th>
      </tr>
    </thead>
    <tbody>
      {selectors.map(({ selector, domain, state, messages, passed, first, last, reporters }) => (
        <tr key={`${selector} ${domain}`}>
          <th scope="row">
            <code>{selector}</code>
            {domain === undefined ? null : <span class="quiet"> of {domain}</span>}{' '}
            {state === undefined ? null : <span class={`state ${state}`}>{state}</span>}
          </th>
          <td class="n" data-label="Messages">
            {number.format(messages)}
          </td>
          <td data-label="Verified">
            <Rate part={passed} whole={messages} />
          </td>
          <td data-label="Seen">
            <span>
              {first === last ? null : (
                <>
                  <Day day={first} /> –{' '}
                </>
              )}
              <Day day={last} />
            </span>
          </td>
          <td data-label="By">{reporters.join(', ')}</td>
        </tr>
      ))}
    </tbody>
  </table>
);

const Sources = ({ sources }: { sources: DomainReports['sources'] }) => {
  const [all, setAll] = useState(false);
  const shown = all ? sources : sources.slice(0, mostSources);
  return (
    <>
      <table class="figures">
        <caption>By source</caption>
        <thead>
          <tr>
            <th scope="col">Source</th>
            <th scope="col" class="n">
              Messages
            </th>
            <th scope="col">DMARC passed</th>
            <th scope="col">By DKIM</th>
            <th scope="col">By SPF</th>
          </tr>
        </thead>
        <tbody>
          {shown.map(({ source, messages, passed, dkim, spf }) => (
            <tr key={source}>
              <th scope="row">
                <code>{source}</code>
              </th>
              <td class="n" data-label="Messages">
                {number.format(messages)}
              </td>
              <td data-label="DMARC passed">
                <Rate part={passed} whole={messages} />
              </td>
              <td data-label="By DKIM">
                <Rate part={dkim} whole={messages} />
              </td>
              <td data-label="By SPF">
                <Rate part={spf} whole={messages} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length === sources.length ? null : (
        <button type="button" onClick={() => setAll(true)}>
          All {number.format(sources.length)} sources
        </button>
      )}
    </>
  );
};

const Totals = ({ messages, passed, dkim, spf }: Rates) => (
  <dl class="totals">
    {(
      [
        ['DMARC passed', passed],
        ['by DKIM', dkim],
        ['by SPF', spf],
      ] as const
    ).map(([words, part]) => (
      <div key={words}>
        <dt>{words}</dt>
        <dd>{percent(part, messages)}</dd>
      </div>
    ))}
  </dl>
);

export const Reports = ({ path, keys }: { readonly path: string; readonly keys: Domain['keys'] }) => {
  const [days, setDays] = useState(30);
  const { data, error } = useLive<DomainReports>(`${path}/reports?days=${days}`, rarely);
  const chosen = (
    <label class="choice">
      <span class="hidden">How far back</span>
      <select value={String(days)} onChange={(event) => setDays(Number(event.currentTarget.value))}>
        {lengths.map((length) => (
          <option key={length} value={String(length)}>
            Last {length} days
          </option>
        ))}
      </select>
    </label>
  );
  return (
    <Card title="DMARC reports" aside={chosen}>
      <Trouble error={error} old={data !== undefined} />
      {data === undefined ? (
        error === undefined ? (
          <Loading what="the reports" />
        ) : null
      ) : data.reports === 0 ? (
        <Empty title={`No reports of the last ${days} days.`}>
          <p>
            Receivers send them to where the DMARC record’s <code>rua</code> says.{' '}
            <code>selkie reports import FILE</code> brings them in.
          </p>
        </Empty>
      ) : (
        <>
          <p class="quiet">
            {counted(data.messages, 'message')} in {counted(data.reports, 'report')} of{' '}
            {counted(data.reporters.length, 'receiver')}
          </p>
          <Totals {...data} />
          <StillSeen keys={keys} />
          <Failing selectors={data.selectors} />
          {data.partial === true ? (
            <p class="notice">
              There are more reports than are read at once, and the later ones are left out: choose fewer
              days.
            </p>
          ) : null}
          {data.selectors.length === 0 ? null : <Selectors selectors={data.selectors} />}
          {data.sources.length === 0 ? null : <Sources sources={data.sources} />}
        </>
      )}
    </Card>
  );
};
