// Questions on a terminal: a suggestion stands in brackets, Enter takes it, and what is wrong with an answer is said at once.
import { createInterface } from 'node:readline/promises';
import { SelkieError } from '../../core/errors.ts';
import { paint } from '../colour.ts';
import { Interrupted } from '../interrupt.ts';
import { say } from '../out.ts';
import type { Parsed } from './answers.ts';

export interface Asker {
  /** Asks until the answer can be read.  @param suggestion what an empty answer means; absent: none  */
  ask<T>(
    title: string,
    hint: string,
    suggestion: string | undefined,
    parse: (text: string) => Parsed<T> | Promise<Parsed<T>>,
  ): Promise<T>;
  close(): void;
}

export const isTerminal = (): boolean => process.stdin.isTTY === true && process.stdout.isTTY === true;

/** @param file for the sentence where somebody leaves  */
export const terminalAsker = (file: string, questions: number): Asker => {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const { promise: left, reject } = Promise.withResolvers<never>();
  left.catch(() => {});
  lines.once('SIGINT', () => reject(new Interrupted(`\n${file} was not written`)));
  lines.once('close', () =>
    reject(new SelkieError('invalid', `the answers end here: ${file} was not written`)),
  );
  let asked = 0;
  return {
    ask: async (title, hint, suggestion, parse) => {
      asked += 1;
      say(`\n${paint('title', `${asked}/${questions}  ${title}`)}`);
      for (const line of hint.split('\n')) say(`     ${line}`);
      for (;;) {
        const prompt = suggestion === undefined ? '> ' : `[${suggestion}] > `;
        const typed = (await Promise.race([left, lines.question(prompt)])).trim();
        const answer = typed === '' ? (suggestion ?? '') : typed;
        const parsed = await parse(answer);
        if ('value' in parsed) return parsed.value;
        say(paint('bad', `${parsed.wrong}.`));
      }
    },
    close: () => {
      lines.removeAllListeners('close');
      lines.close();
    },
  };
};
