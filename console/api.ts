// Calls the API in the name of the session that a one-time link began. The session's token lies in this origin's own storage and
// goes out in a header, never in a cookie: a page of another port or site cannot make a browser send it.

interface Session {
  readonly token: string;
  /** Which Selkie it is. */
  readonly place: string;
  /** Milliseconds between two looks. */
  readonly lookEvery: number;
}

/** What went wrong, in the API's own words where it had any (RFC 9457). */
export class ApiError extends Error {
  readonly status: number;
  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

const kept = 'selkie.session';
const silence = 'Nobody answers. Is npm start, or selkie console, still running?';

const readSession = (): Session | undefined => {
  try {
    const found: Partial<Session> | null = JSON.parse(localStorage.getItem(kept) ?? 'null');
    return typeof found?.token === 'string'
      ? { place: '', lookEvery: 5_000, ...found, token: found.token }
      : undefined;
  } catch {
    return undefined;
  }
};

let session = readSession();
let why = '';
const watchers = new Set<() => void>();
const tell = (): void => {
  for (const watcher of watchers) watcher();
};

export const currentSession = (): Session | undefined => session;
/** Why there is none, where something is to be said of it. */
export const endedBecause = (): string => why;
export const watchSession = (watcher: () => void): (() => void) => {
  watchers.add(watcher);
  return () => void watchers.delete(watcher);
};

const setSession = (next: Session | undefined, because = ''): void => {
  session = next;
  why = because;
  if (next === undefined) localStorage.removeItem(kept);
  else localStorage.setItem(kept, JSON.stringify(next));
  tell();
};

const detailOf = async (response: Response): Promise<string> => {
  const text = await response.text();
  try {
    const { detail } = JSON.parse(text) as { readonly detail?: unknown };
    if (typeof detail === 'string') return detail;
  } catch {
    // Not the API's words.
  }
  return `The API answers ${response.status}.`;
};

const send = async (path: string, init: RequestInit): Promise<Response> => {
  try {
    return await fetch(`/console/${path}`, { ...init, signal: AbortSignal.timeout(35_000) });
  } catch {
    throw new ApiError(0, silence);
  }
};

/** Follows the link that opened the page, where one did. */
export const openLink = async (): Promise<void> => {
  const link = /^#open=([\w-]+)$/.exec(location.hash)?.[1];
  if (link === undefined) return;
  history.replaceState(null, '', '#/');
  try {
    const response = await send('session', { method: 'POST', body: link });
    if (response.ok) return setSession(await response.json());
    // An old link does not end the session that there is.
    if (session === undefined) setSession(undefined, await detailOf(response));
  } catch (error) {
    if (session === undefined) setSession(undefined, error instanceof Error ? error.message : silence);
  }
};

export const leave = async (): Promise<void> => {
  const token = session?.token ?? '';
  setSession(undefined);
  await send('session', { method: 'DELETE', headers: { authorization: `Bearer ${token}` } });
};

const call = async (
  path: string,
  init: RequestInit,
  headers: Record<string, string> = {},
): Promise<Response> => {
  const token = session?.token ?? '';
  const response = await send(`api${path}`, {
    ...init,
    headers: { ...headers, authorization: `Bearer ${token}` },
  });
  if (response.ok || response.status === 304) return response;
  const detail = await detailOf(response);
  if (response.status === 401 && session?.token === token) setSession(undefined, detail);
  throw new ApiError(response.status, detail);
};

export interface Answer<T> {
  readonly data: T;
  readonly etag: string | undefined;
}

/** @param etag of what is known already  @returns undefined: it is as it was  @throws ApiError */
export const ask = async <T>(path: string, etag?: string): Promise<Answer<T> | undefined> => {
  const headers: Record<string, string> = etag === undefined ? {} : { 'if-none-match': etag };
  const response = await call(path, {}, headers);
  if (response.status === 304) return undefined;
  return { data: (await response.json()) as T, etag: response.headers.get('etag') ?? undefined };
};

/** @param key sent again under the same, it is the same order  @throws ApiError */
export const order = async (
  method: 'POST' | 'DELETE',
  path: string,
  key: string,
  body: object,
): Promise<void> => {
  await call(
    path,
    { method, body: JSON.stringify(body) },
    { 'content-type': 'application/json', 'idempotency-key': key },
  );
};
