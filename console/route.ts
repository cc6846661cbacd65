// Which page: what stands behind the # of the address.

import { useEffect, useState } from 'preact/hooks';

export type Route =
  | { readonly page: 'fleet' }
  | { readonly page: 'domain'; readonly domain: string }
  | { readonly page: 'hosts' }
  | { readonly page: 'drift' }
  | { readonly page: 'nowhere' };

const routeOf = (hash: string): Route => {
  const [first = '', second = ''] = hash.replace(/^#\/?/, '').split('/');
  if (first === '') return { page: 'fleet' };
  if (first === 'hosts' || first === 'drift') return { page: first };
  if (first === 'domains' && second !== '')
    try {
      return { page: 'domain', domain: decodeURIComponent(second) };
    } catch {
      return { page: 'nowhere' };
    }
  return { page: 'nowhere' };
};

export const domainHref = (domain: string): string => `#/domains/${encodeURIComponent(domain)}`;

export const useRoute = (): Route => {
  const [route, setRoute] = useState(() => routeOf(location.hash));
  useEffect(() => {
    const changed = (): void => setRoute(routeOf(location.hash));
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return route;
};
