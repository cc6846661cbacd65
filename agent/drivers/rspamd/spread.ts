// Work on many things, several at once. No I/O.

const atOnce = 8;

/** Does `work` for each item, eight at once, in their order; the first failure ends it. */
export const spread = async <T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> => {
  const rest = items.values();
  const worker = async (): Promise<void> => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
};
