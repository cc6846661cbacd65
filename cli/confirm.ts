// Asks before an order that touches many: what has to be typed is the number of them, so that nobody says yes to one that he
// has not read. Where nobody can be asked, --yes has to say it.
import { createInterface } from 'node:readline/promises';
import { SelkieError } from '../core/errors.ts';
import { isTerminal } from './init/ask.ts';
import { Interrupted } from './interrupt.ts';
import { say } from './out.ts';

const nothing = 'nothing was ordered';

/** What is typed; undefined where the input ends. @throws Interrupted: by Ctrl-C */
const typed = async (prompt: string): Promise<string | undefined> => {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const { promise: left, resolve, reject } = Promise.withResolvers<undefined>();
  lines.once('SIGINT', () => reject(new Interrupted(`\n${nothing}`)));
  lines.once('close', () => resolve(undefined));
  try {
    return await Promise.race([left, lines.question(prompt)]);
  } finally {
    lines.close();
  }
};

/**
 * @param what will be done, as a sentence
 * @param number has to be typed
 * @throws invalid: it was not, or nobody can be asked; Interrupted
 */
export const confirm = async (
  what: string,
  number: number,
  { yes, json }: { readonly yes?: boolean; readonly json?: boolean },
): Promise<void> => {
  if (yes === true) return;
  if (json === true || !isTerminal())
    throw new SelkieError('invalid', `${what} Where nobody can be asked, --yes says that it is meant`);
  say(what);
  const answer = await typed(`Type ${number} to go on: `);
  if (answer?.trim() !== String(number)) throw new SelkieError('invalid', nothing);
};
