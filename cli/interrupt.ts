// Ctrl-C while a command waits: the work is left running, and the command says how to look again.

/** `message`: what goes on, and how to look again. Exit status 130, as shells know it. */
export class Interrupted extends Error {}

/** @throws Interrupted, with `says`, as soon as Ctrl-C is pressed  @returns what `work` returns */
export const untilInterrupted = async <T>(says: string, work: () => Promise<T>): Promise<T> => {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(new Interrupted(says));
  process.once('SIGINT', stop);
  try {
    return await Promise.race([promise, work()]);
  } finally {
    process.off('SIGINT', stop);
  }
};
