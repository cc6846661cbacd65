// Listens on a datagram socket of unix(7), as syslogd and systemd do, and keeps what comes. Node has no such sockets, so a
// child of Python does it: one JSON string a line.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const listener = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print(json.dumps('listening'), flush=True)
while True: print(json.dumps(s.recv(65536).decode('utf-8', 'replace')), flush=True)
`;

export interface Datagrams {
  /** All that came so far. */
  readonly received: readonly string[];
  /** Resolves with the first datagram that has this text in it. @throws Error after `within` ms, 10 s unless told otherwise */
  has(text: string, within?: number): Promise<string>;
  close(): Promise<void>;
}

export const listenForDatagrams = async (path: string): Promise<Datagrams> => {
  const child = spawn('python3', ['-c', listener, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const received: string[] = [];
  const arrived = new EventTarget();
  const lines = createInterface({ input: child.stdout });
  await once(lines, 'line');
  lines.on('line', (line) => {
    received.push(JSON.parse(line));
    arrived.dispatchEvent(new Event('datagram'));
  });
  return {
    received,
    async has(text, within = 10_000) {
      const deadline = AbortSignal.timeout(within);
      for (;;) {
        const found = received.find((datagram) => datagram.includes(text));
        if (found !== undefined) return found;
        await once(arrived, 'datagram', { signal: deadline }).catch(() => {
          throw new Error(`no datagram with "${text}" came, but:\n${received.join('\n')}`);
        });
      }
    },
    async close() {
      const ended = once(child, 'exit');
      if (child.exitCode === null && child.kill()) await ended;
    },
  };
};
