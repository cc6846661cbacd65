// What the commands have in common: where they write, and the state folder.
export const defaultStateFolder = '/var/lib/selkie-agent';

export const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** A reader that has seen enough, `head` say, is no failure of ours. */
export const leaveWhenUnread = (): void => {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
};
