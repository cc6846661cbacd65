// What the commands of `selkie-agent` have in common.
export const defaultStateFolder = '/var/lib/selkie-agent';

export const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
