// The mail hosts: which of them count, what troubles them, and setting one aside.

import { useState } from 'preact/hooks';
import { hostStanding, hostTroubles } from '../core/host-standing.ts';
import { order } from './api.ts';
import { Dialog, Reason } from './dialog.tsx';
import { Trail } from './domain/trail.tsx';
import { useLive, useNow } from './live.ts';
import { Empty, Loading, StandingBadge, Trouble } from './parts.tsx';
import type { Host, Hosts } from './types.ts';
import { capital, Said, When } from './words.tsx';

const pathOf = (host: string): string => `/v1/hosts/${encodeURIComponent(host)}`;

const HostDialog = ({ host, onClose }: { host: Host; onClose: () => void }) => {
  const [reason, setReason] = useState('');
  const excluded = host.excluded !== undefined;
  return (
    <Dialog
      title={excluded ? `Let ${host.host} count again` : `Exclude ${host.host}`}
      confirm={excluded ? 'Let it count' : 'Exclude it'}
      ready
      act={(key) =>
        order(
          excluded ? 'DELETE' : 'POST',
          `${pathOf(host.host)}/exclusion`,
          key,
          reason.trim() === '' ? {} : { reason: reason.trim() },
        )
      }
      onClose={onClose}
    >
      <p>
        {excluded
          ? 'It is sent all that it lacks. Rotations wait for it again once it holds a full snapshot.'
          : 'Rotations no longer wait for it. It goes on signing with what it holds, which may be revoked: stop its mail first.'}
      </p>
      <Reason value={reason} onInput={setReason} />
    </Dialog>
  );
};

const HostCard = ({ host, now, onOrder }: { host: Host; now: number; onOrder: () => void }) => {
  const [open, setOpen] = useState(false);
  return (
    <li class="card">
      <div class="card-head">
        <h2>{host.host}</h2>
        <StandingBadge standing={hostStanding(host)} />
      </div>
      <p class="quiet">
        Pool {host.pool}
        {host.lastSeen === undefined ? (
          ', never heard of'
        ) : (
          <>
            , seen <When at={host.lastSeen} now={now} />
          </>
        )}
      </p>
      {hostTroubles(host).map((text) => (
        <p key={text} class="notice">
          <Said says={capital(text)} />
        </p>
      ))}
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>What it trusts, and its audit trail</summary>
        {(host.trusts ?? []).map((thumbprint) => (
          <p key={thumbprint} class="quiet">
            Trusts bundle key <code>{thumbprint}</code>
          </p>
        ))}
        {open ? (
          <Trail path={`${pathOf(host.host)}/audit`} subject={`host/${host.host}`} version={host.excluded} />
        ) : null}
      </details>
      <button type="button" onClick={onOrder}>
        {host.excluded === undefined ? 'Exclude…' : 'Let it count again…'}
      </button>
    </li>
  );
};

export const HostsPage = () => {
  const { data, error } = useLive<Hosts>('/v1/hosts?limit=1000');
  const now = useNow(5_000);
  const [asked, setAsked] = useState<string>();
  const [text, setText] = useState('');
  const hosts = data?.hosts ?? [];
  const wanted = text.trim().toLowerCase();
  const shown = hosts.filter(({ host, pool }) => host.includes(wanted) || pool.includes(wanted));
  const chosen = hosts.find(({ host }) => host === asked);
  return (
    <>
      <h1 tabIndex={-1}>Hosts</h1>
      <Trouble error={error} old={data !== undefined} />
      {data === undefined && error === undefined ? <Loading what="the hosts" /> : null}
      {data !== undefined && hosts.length === 0 ? (
        <Empty title="No mail host yet.">
          <p>
            <code>selkie-agent enrol</code> on a mail host prints its entry for fleet.yaml.
          </p>
        </Empty>
      ) : null}
      {hosts.length > 8 ? (
        <label class="search">
          <span class="hidden">Find a host or a pool</span>
          <input
            type="search"
            placeholder="Find a host or a pool"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
      ) : null}
      <ul class="cards">
        {shown.map((host) => (
          <HostCard key={host.host} host={host} now={now} onOrder={() => setAsked(host.host)} />
        ))}
      </ul>
      {data?.next === undefined ? null : (
        <p class="quiet">The first {hosts.length} hosts. selkie host list shows all.</p>
      )}
      {chosen === undefined ? null : <HostDialog host={chosen} onClose={() => setAsked(undefined)} />}
    </>
  );
};
