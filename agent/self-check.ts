// Whether the agent's own milter answers, asked the way an MTA asks. For the watchdog of systemd and for /healthz. Opens a
// connection to the milter, and closes it.
import { connect } from 'node:net';
import type { MilterTarget } from './milter/client.ts';
import { actions, newestVersion } from './milter/wire.ts';
import { encodeCommand } from './milter/wire-command.ts';

/** `full`: it is there, but takes no more connections. Else why it does not answer. */
export type MilterState = 'answers' | 'full' | { readonly trouble: string };

const greeting = encodeCommand({
  command: 'negotiate',
  version: newestVersion,
  actions: actions.addHeaders,
  steps: 0,
});

/** @param timeout milliseconds */
export const askMilter = (target: MilterTarget, timeout: number): Promise<MilterState> =>
  new Promise((resolve) => {
    const socket = connect({ ...target });
    const end = (state: MilterState): void => {
      socket.destroy();
      resolve(state);
    };
    let connected = false;
    socket.setTimeout(timeout, () => end({ trouble: `the milter did not answer within ${timeout} ms` }));
    socket.once('connect', () => {
      connected = true;
      socket.write(greeting);
    });
    socket.once('data', () => {
      // As an MTA does, so that it is no failed connection.
      socket.end(encodeCommand({ command: 'quit' }));
      resolve('answers');
    });
    // A connection too many is accepted and closed, or reset when it has spoken.
    socket.once('end', () => end('full'));
    socket.once('error', (error) =>
      end(connected ? 'full' : { trouble: `the milter does not answer: ${error.message}` }),
    );
  });
