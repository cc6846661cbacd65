// One connection to a milter that sends message after message, as fast as the answers come. Written for little time of its
// own: callbacks, bytes made beforehand, and no more of a reply read than is needed. Talks to the milter only.
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { encodeCommand } from '../../agent/milter/wire-command.ts';
import { type Exchange, greeting, message, offer } from './message.ts';

export type Target = { readonly path: string } | { readonly host: string; readonly port: number };

/** How one message ended. */
export interface Outcome {
  /** Milliseconds of `performance.timeOrigin + performance.now()`, from MAIL to the verdict. */
  readonly began: number;
  readonly ended: number;
  readonly verdict: 'signed' | 'unsigned' | 'tempfail' | 'refused';
  /** Of the DKIM-Signature fields that were inserted, as they came. */
  readonly signatures: readonly string[];
}

export interface ConversationOptions {
  readonly target: Target;
  readonly domain: () => string;
  readonly body: Uint8Array;
  /** After each message: whether to send another. */
  readonly ended: (outcome: Outcome) => boolean;
  /** Whether `signatures` are wanted in the outcome. */
  readonly keep: boolean;
}

const letter = (text: string): number => text.charCodeAt(0);
const [accept, go, tempfail, progress, insert, add, negotiate] = ['a', 'c', 't', 'p', 'i', 'h', 'O'].map(
  letter,
);
/** Of a reply: its letter, then its data. Verdicts that are none of the above refuse the message. */
const signatureName = 'DKIM-Signature\0';

const now = (): number => performance.timeOrigin + performance.now();

/** Resolves when the last message has its verdict. @throws Error where the milter hangs up or says what is not understood */
export const converse = ({ target, domain, body, ended, keep }: ConversationOptions): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket: Socket = connect({ ...target });
    const templates = new Map<string, readonly Exchange[]>();
    let agreed: number | undefined;
    let queue: readonly Exchange[] = [];
    let at = 0;
    let inMessage = false;
    /** The end of the greeting that has no reply. */
    let silent: readonly Uint8Array[] = [];
    let began = 0;
    let signatures: string[] = [];
    let held: Buffer = Buffer.alloc(0);
    let done = false;

    const templateOf = (name: string): readonly Exchange[] => {
      const known = templates.get(name);
      if (known !== undefined) return known;
      const made = message(name, body, agreed ?? 0);
      if (templates.size < 16) templates.set(name, made);
      return made;
    };
    const write = (): void => {
      const bytes = queue[at];
      if (bytes !== undefined) socket.write(bytes);
    };
    const begin = (): void => {
      inMessage = true;
      queue = templateOf(domain());
      if (silent.length > 0) {
        const [first = Buffer.alloc(0), ...others] = queue;
        queue = [Buffer.concat([...silent, first]), ...others];
        silent = [];
      }
      at = 0;
      began = now();
      write();
    };
    const finish = (verdict: Outcome['verdict']): void => {
      const more = ended({ began, ended: now(), verdict, signatures });
      signatures = [];
      if (more) begin();
      else {
        done = true;
        socket.end(encodeCommand({ command: 'quit' }));
        resolve();
      }
    };
    const take = (kind: number, data: Buffer): void => {
      if (kind === progress) return;
      if (kind === insert || kind === add) {
        const value = data.toString('latin1', kind === insert ? 4 : 0);
        if (value.startsWith(signatureName))
          signatures.push(keep ? value.slice(signatureName.length, -1) : '');
        return;
      }
      if (kind === negotiate) {
        agreed = data.readUInt32BE(8);
        const { all, rest } = greeting(agreed);
        silent = rest;
        queue = all;
        at = 0;
        if (all.length === 0) begin();
        else write();
        return;
      }
      at += 1;
      if (kind === go && at < queue.length) write();
      else if (!inMessage) begin();
      else if (kind === tempfail) finish('tempfail');
      else if (kind !== accept && kind !== go) finish('refused');
      else finish(signatures.length > 0 ? 'signed' : 'unsigned');
    };

    socket.on('connect', () => socket.write(encodeCommand({ command: 'negotiate', ...offer })));
    socket.on('data', (bytes: Buffer) => {
      const input = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
      let from = 0;
      while (input.length - from >= 5 && !done) {
        const end = from + 4 + input.readUInt32BE(from);
        if (end > input.length) break;
        take(input[from + 4] ?? 0, input.subarray(from + 5, end));
        from = end;
      }
      held = input.subarray(from);
    });
    socket.on('error', reject);
    socket.on('close', () => {
      if (!done) reject(new Error('the milter closed the connection'));
    });
  });
