// Paths of the API that several commands use, and what is read from them page by page.

import type { DomainStatus } from '../../engine/status.ts';
import type { Api } from '../client.ts';

export const domainPath = (domain: string): string => `/v1/domains/${encodeURIComponent(domain)}`;
export const hostPath = (host: string): string => `/v1/hosts/${encodeURIComponent(host)}`;

/**
 * All pages of a list.
 * @param path with its query, without `after`
 * @param take the items of one page
 */
export const allPages = async <Page extends { readonly next?: string }, T>(
  api: Api,
  path: string,
  take: (page: Page) => readonly T[],
): Promise<readonly T[]> => {
  const items: T[] = [];
  for (let after: string | undefined; ; ) {
    const query =
      after === undefined ? '' : `${path.includes('?') ? '&' : '?'}after=${encodeURIComponent(after)}`;
    const page = await api.call<Page>('GET', `${path}${query}`);
    items.push(...take(page));
    if (page.next === undefined) return items;
    after = page.next;
  }
};

/** One domain, or all. */
export const statuses = (api: Api, domain: string | undefined): Promise<readonly DomainStatus[]> =>
  domain === undefined
    ? allPages(
        api,
        '/v1/domains?limit=500',
        (page: { domains: DomainStatus[]; next?: string }) => page.domains,
      )
    : api.call<DomainStatus>('GET', domainPath(domain)).then((one) => [one]);
