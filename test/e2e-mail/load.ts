// Hands the messages in: several SMTP sessions of some messages each, as mail clients and relays have them, and local users
// beside them, each message at its time.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Postfix } from '../tools/postfix.ts';
import { openSmtp } from '../tools/smtp.ts';
import { submission } from './messages.ts';

export interface Sent {
  readonly kind: string;
  /** Milliseconds since 1970. */
  readonly begun: number;
  readonly done: number;
}

export interface Load {
  /** By number. */
  readonly sent: ReadonlyMap<number, Sent>;
  /** Resolves when so many are handed in. */
  reached(count: number): Promise<void>;
  /** No more than what must be. Resolves when all are handed in. @throws what a submission threw: one that is refused or put off */
  end(): Promise<void>;
}

export interface LoadOptions {
  readonly postfix: Postfix;
  /** No fewer messages than this; it goes on until it is told to end. */
  readonly least: number;
  readonly domainOf: (n: number) => string;
  /** Milliseconds that each session, and each local user, waits after a message; none where absent. */
  readonly pause?: number;
  /** The number of the first message. */
  readonly first?: number;
}

const sessions = 5;
const messagesInSession = 20;
const localUsers = 2;

export const startLoad = ({ postfix, least, domainOf, first = 0, pause = 0 }: LoadOptions): Load => {
  const sent = new Map<number, Sent>();
  const waiting = new Set<() => void>();
  const breathe = async (): Promise<void> => {
    if (pause > 0) await sleep(pause);
  };
  const note = (n: number, kind: string, begun: number): void => {
    sent.set(n, { kind, begun, done: Date.now() });
    for (const check of waiting) check();
  };
  let going = true;
  function* by(how: 'smtp' | 'sendmail'): Generator<number> {
    for (let n = first; going || n < first + least; n += 1)
      if (submission(n, domainOf(n)).by === how) yield n;
  }
  let failure: unknown;

  const overSmtp = by('smtp');
  const client = async (): Promise<void> => {
    for (let more = true; more; ) {
      const session = await openSmtp(postfix.port);
      try {
        for (let i = 0; i < messagesInSession; i += 1) {
          const next = overSmtp.next();
          more = next.done !== true;
          if (next.done === true) break;
          const begun = Date.now();
          const message = submission(next.value, domainOf(next.value));
          await session.send(message);
          note(next.value, message.kind, begun);
          await breathe();
        }
      } finally {
        await session.quit();
      }
    }
  };
  const overSendmail = by('sendmail');
  const user = async (): Promise<void> => {
    for (const n of overSendmail) {
      const begun = Date.now();
      const message = submission(n, domainOf(n));
      await postfix.sendmail(message);
      note(n, message.kind, begun);
      await breathe();
    }
  };
  const work = [...Array.from({ length: sessions }, client), ...Array.from({ length: localUsers }, user)];
  const done = Promise.all(work).then(
    () => undefined,
    (error: unknown) => {
      failure = error;
      for (const check of waiting) check();
      throw error;
    },
  );
  done.catch(() => undefined);
  return {
    sent,
    end() {
      going = false;
      return done;
    },
    reached: (wanted) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (failure !== undefined) reject(failure);
          else if (sent.size >= wanted) resolve();
          else return;
          waiting.delete(check);
        };
        waiting.add(check);
        check();
      }),
  };
};
