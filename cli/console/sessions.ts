// Who may use the console: links that open it once, and the sessions that they begin. Both are random, held in memory only, and
// kept as hashes, so that looking one up tells nothing by how long it takes.

import { createHash, randomBytes } from 'node:crypto';

/** Links that nobody has followed yet, and sessions: beyond these the oldest end. */
const mostLinks = 16;
const mostSessions = 64;
/** A session that is not used for so long ends. */
const idle = 12 * 60 * 60 * 1_000;

export interface Sessions {
  /** What a new link bears: good for one session. */
  link(): string;
  /** @returns the session's token; undefined: the link is unknown, or was followed before */
  open(link: string): string | undefined;
  has(token: string): boolean;
  close(token: string): void;
}

const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('base64');
const secret = (): string => randomBytes(32).toString('base64url');

const trim = (kept: Map<string, number>, most: number): void => {
  for (const oldest of kept.keys()) {
    if (kept.size <= most) return;
    kept.delete(oldest);
  }
};

export const createSessions = (now: () => number): Sessions => {
  /** Hash to when it was last used, the longest unused first. */
  const links = new Map<string, number>();
  const sessions = new Map<string, number>();
  return {
    link: () => {
      const made = secret();
      links.set(hashOf(made), now());
      trim(links, mostLinks);
      return made;
    },
    open: (link) => {
      if (!links.delete(hashOf(link))) return undefined;
      const token = secret();
      sessions.set(hashOf(token), now());
      trim(sessions, mostSessions);
      return token;
    },
    has: (token) => {
      const hash = hashOf(token);
      const used = sessions.get(hash);
      sessions.delete(hash);
      if (used === undefined || now() - used > idle) return false;
      sessions.set(hash, now());
      return true;
    },
    close: (token) => void sessions.delete(hashOf(token)),
  };
};
