// What the commands that work on Postfix have in common. Pure.

/** An option that may be given several times. */
export const several = (value: string, before: readonly string[]): readonly string[] => [...before, value];
