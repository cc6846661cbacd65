// All domains of the fleet, page by page as the API gives them, each kept as the one row that is shown. Once all are here, the
// pages in view are looked at again and again, and one more in turn: so that 10,000 domains cost no more requests than 100.

import { useEffect, useState } from 'preact/hooks';
import { ApiError, ask } from '../api.ts';
import { type Health, healthOf, type Next, nextOf, signingKeys } from '../health.ts';
import { lookEvery, whileSeen } from '../live.ts';
import type { Domain, Domains } from '../types.ts';

const pageSize = 200;
/** Pages in view that are looked at together: a row is some 60 pixels high, so that a window shows two pages at most. */
const mostInView = 3;

export interface Row {
  readonly domain: string;
  readonly zone: string;
  readonly health: Health;
  readonly signs: string;
  readonly next: Next;
  readonly page: number;
}

interface Page {
  after: string | undefined;
  etag: string | undefined;
  rows: readonly Row[];
  next: string | undefined;
}

export interface Fleet {
  readonly rows: readonly Row[];
  /** Every page has been read once. */
  readonly complete: boolean;
  readonly error?: ApiError;
}

const rowOf = (domain: Domain, page: number): Row => ({
  domain: domain.domain,
  zone: domain.zone,
  health: healthOf(domain),
  signs: signingKeys(domain).join(' + '),
  next: nextOf(domain),
  page,
});

const createStore = (changed: (fleet: Fleet) => void, inView: () => readonly number[]) => {
  const pages: Page[] = [{ after: undefined, etag: undefined, rows: [], next: undefined }];
  let complete = false;
  let turn = 0;

  const show = (error?: ApiError): void =>
    changed({ rows: pages.flatMap(({ rows }) => rows), complete, ...(error === undefined ? {} : { error }) });

  /** @returns whether anything is new */
  const read = async (index: number): Promise<boolean> => {
    const page = pages[index];
    if (page === undefined) return false;
    const after = page.after === undefined ? '' : `&after=${encodeURIComponent(page.after)}`;
    const answer = await ask<Domains>(`/v1/domains?limit=${pageSize}${after}`, page.etag);
    if (answer === undefined) return false;
    page.etag = answer.etag;
    page.rows = answer.data.domains.map((domain) => rowOf(domain, index));
    const moved = page.next !== answer.data.next;
    page.next = answer.data.next;
    if (!moved || !complete) return true;
    // Domains came or went: the pages behind begin elsewhere.
    pages.splice(index + 1);
    complete = false;
    return true;
  };

  const readOn = async (): Promise<void> => {
    let index = pages.length - 1;
    if (pages[index]?.etag === undefined) await read(index);
    for (;;) {
      const after = pages[index]?.next;
      if (after === undefined) break;
      show();
      pages.push({ after, etag: undefined, rows: [], next: undefined });
      index += 1;
      await read(index);
    }
    complete = true;
    show();
  };

  return async (): Promise<void> => {
    try {
      if (!complete) return await readOn();
      turn = (turn + 1) % pages.length;
      let news = false;
      for (const index of new Set([...inView().slice(0, mostInView), turn]))
        news = (await read(index)) || news;
      if (!complete) await readOn();
      else if (news || failed) show();
      failed = false;
    } catch (error) {
      failed = true;
      show(error instanceof ApiError ? error : new ApiError(0, String(error)));
      throw error;
    }
  };
};
let failed = false;

/** Shown again at once when somebody comes back to the page. */
let last: Fleet = { rows: [], complete: false };

/** @param inView which pages of the API the rows in the window are of */
export const useFleet = (inView: () => readonly number[]): Fleet => {
  const [fleet, setFleet] = useState(last);
  useEffect(() => {
    const look = createStore((next) => {
      // Until all are here again, what was known is more.
      if (next.error === undefined && !next.complete && next.rows.length < last.rows.length) return;
      last = next;
      setFleet(next);
    }, inView);
    return whileSeen(look, () => Math.max(lookEvery(), 2_000));
  }, [inView]);
  return fleet;
};
