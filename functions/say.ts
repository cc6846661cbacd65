// What the functions say, for CloudWatch: one line of JSON each on the standard output, whose `level` the stack's metric
// filters count. `console.log` would put Lambda's time and request id before it, and no filter would read it as JSON.
export const say = (entry: Readonly<Record<string, unknown>>): void => {
  process.stdout.write(`${JSON.stringify(entry)}\n`);
};

/** What was not as it should be, and is tried again. */
export const sayTrouble = (says: string, about: Readonly<Record<string, unknown>> = {}): void =>
  say({ level: 'trouble', says, ...about });
