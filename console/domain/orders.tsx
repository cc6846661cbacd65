// Orders for a domain. What would come of one is shown before it is given: the API's forecast supposes it, and refuses what the
// order would be refused for.

import { useState } from 'preact/hooks';
import { order } from '../api.ts';
import { Dialog, Reason } from '../dialog.tsx';
import { useLive } from '../live.ts';
import { Loading, Trouble } from '../parts.tsx';
import type { Forecast, Foreseen } from '../types.ts';
import { Foresight } from './foresight.tsx';

export type Wanted =
  | { readonly order: 'rotate' | 'rollback' | 'abort' | 'emergency' }
  | { readonly order: 'compromise'; readonly selector: string };

const titles: Readonly<Record<Wanted['order'], (domain: string, selector: string) => string>> = {
  rotate: (domain) => `Rotate the keys of ${domain}`,
  rollback: (domain) => `Go back to the keys before, on ${domain}`,
  abort: (domain) => `Give up the rotation of ${domain}`,
  emergency: (domain) => `The keys of ${domain} may be in other hands`,
  compromise: (_, selector) => `${selector} may be in other hands`,
};
const confirms: Readonly<Record<Wanted['order'], string>> = {
  rotate: 'Rotate now',
  rollback: 'Roll back',
  abort: 'Give it up',
  emergency: 'Replace and revoke',
  compromise: 'Revoke it',
};
const explains: Readonly<Record<Wanted['order'], string>> = {
  rotate:
    'A new key set is made and published. Hosts switch only once every name server shows it and every ready host holds it; the present keys’ records stay until the mail under way is delivered.',
  rollback:
    'The record of the keys before is proved again, hosts are asked to hold them again, then they sign and the present ones drain.',
  abort: 'Records that nobody signed with are withdrawn. What signs now goes on signing.',
  emergency:
    'New keys are made in a hurry. Once they sign, the present ones are revoked at once, without a drain: mail under way that was signed with them will fail DKIM.',
  compromise:
    'If it signs, it is replaced in a hurry first. It is revoked without a drain: mail under way that was signed with it will fail DKIM.',
};

const pathOf = (domain: string): string => `/v1/domains/${encodeURIComponent(domain)}`;

const send = (
  domain: string,
  wanted: Wanted,
  key: string,
  reason: string,
  unsigned: boolean,
): Promise<void> => {
  const said = reason.trim() === '' ? {} : { reason: reason.trim() };
  const flag = unsigned ? { unsigned } : {};
  switch (wanted.order) {
    case 'rotate':
      return order('POST', `${pathOf(domain)}/rotations`, key, said);
    case 'emergency':
      return order('POST', `${pathOf(domain)}/rotations`, key, { kind: 'emergency', ...said, ...flag });
    case 'compromise':
      return order('POST', `${pathOf(domain)}/keys/${encodeURIComponent(wanted.selector)}/compromise`, key, {
        ...said,
        ...flag,
      });
    case 'rollback':
    case 'abort':
      return order('POST', `${pathOf(domain)}/${wanted.order}`, key, said);
  }
};

/** Of the next scheduled rotation nothing need be said here. */
const beforeNext = (events: readonly Foreseen[]): readonly Foreseen[] => {
  const next = events.findIndex((event) => event.do === 'start');
  return next === -1 ? events : events.slice(0, next);
};

export const OrderDialog = ({
  domain,
  wanted,
  onClose,
}: {
  readonly domain: string;
  readonly wanted: Wanted;
  readonly onClose: (done: boolean) => void;
}) => {
  const [reason, setReason] = useState('');
  const [unsigned, setUnsigned] = useState(false);
  const [typed, setTyped] = useState('');
  const [opened] = useState(Date.now);
  const urgent = wanted.order === 'emergency' || wanted.order === 'compromise';
  const selector = wanted.order === 'compromise' ? wanted.selector : '';
  const query = [
    `order=${wanted.order}`,
    ...(selector === '' ? [] : [`selector=${encodeURIComponent(selector)}`]),
    ...(unsigned ? ['unsigned=true'] : []),
  ].join('&');
  const { data, error } = useLive<Forecast>(`${pathOf(domain)}/forecast?days=60&${query}`, 10);
  const name = selector === '' ? domain : selector;
  const sure = !urgent || typed.trim() === name;
  return (
    <Dialog
      title={titles[wanted.order](domain, selector)}
      confirm={confirms[wanted.order]}
      grave={urgent}
      ready={data !== undefined && error === undefined && sure}
      act={(key) => send(domain, wanted, key, reason, unsigned)}
      onClose={onClose}
    >
      <p>{explains[wanted.order]}</p>
      <div class="foresight">
        <h3>What will happen, if nothing goes wrong</h3>
        {error === undefined ? null : <Trouble error={error} old={false} />}
        {data === undefined ? (
          error === undefined ? (
            <Loading what="the forecast" />
          ) : null
        ) : data.events.length === 0 ? (
          <p class="quiet">Nothing more: what signs now goes on signing.</p>
        ) : (
          <Foresight events={beforeNext(data.events)} now={opened} />
        )}
      </div>
      {urgent ? (
        <label class="check">
          <input
            type="checkbox"
            checked={unsigned}
            onChange={(event) => setUnsigned(event.currentTarget.checked)}
          />
          <span>Do not wait for the new keys: revoke at once. Mail goes out unsigned until they sign.</span>
        </label>
      ) : null}
      <Reason value={reason} onInput={setReason} />
      {urgent ? (
        <label class="field">
          <span>
            This cannot be taken back. Type <code>{name}</code> to confirm.
          </span>
          <input
            type="text"
            value={typed}
            autoComplete="off"
            spellcheck={false}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
      ) : null}
    </Dialog>
  );
};
