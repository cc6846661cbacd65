// Which page: what stands behind the # of the address.

import { useEffect, useState } from 'preact/hooks';

export type Route =
  | { readonly page: 'fleet' }
  | { readonly page: 'domain'; readonly domain: string }
  | { readonly page: 'hosts' }
  | { readonly page: 'drift' }
  | { readonly page: 'audit' }
  | { readonly page: 'paste'; readonly zone?: string; readonly after?: string }
  | { readonly page: 'nowhere' };

const routeOf = (hash: string): Route => {
  const [first = '', second = '', third = ''] = hash.replace(/^#\/?/, '').split('/');
  if (first === '') return { page: 'fleet' };
  if (first === 'hosts' || first === 'drift' || first === 'audit') return { page: first };
  try {
    const [name, cursor] = [decodeURIComponent(second), decodeURIComponent(third)];
    if (first === 'domains' && name !== '') return { page: 'domain', domain: name };
    if (first === 'paste' && name === 'from') return { page: 'paste', after: cursor };
    if (first === 'paste') return { page: 'paste', ...(name === '' ? {} : { zone: name }) };
  } catch {
    // No address of ours.
  }
  return { page: 'nowhere' };
};

export const domainHref = (domain: string): string => `#/domains/${encodeURIComponent(domain)}`;

/** Of all zones that people change, of one, or of those behind a cursor. A zone's name has a dot: `from` is none. */
export const byHandHref = (only: { readonly zone?: string; readonly after?: string } = {}): string =>
  only.zone !== undefined
    ? `#/paste/${encodeURIComponent(only.zone)}`
    : only.after !== undefined
      ? `#/paste/from/${encodeURIComponent(only.after)}`
      : '#/paste';

export const useRoute = (): Route => {
  const [route, setRoute] = useState(() => routeOf(location.hash));
  useEffect(() => {
    const changed = (): void => setRoute(routeOf(location.hash));
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return route;
};
