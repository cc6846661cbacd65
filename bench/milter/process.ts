// What the system says of a process: the time that it has used and the memory that it holds. Reads /proc (Linux).
import { readFileSync } from 'node:fs';

/** Of `sysconf(_SC_CLK_TCK)`: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** Seconds of processor time, user and system, of all of its threads: proc(5), `stat` fields 14 and 15. */
export const cpuSeconds = (pid: number): number => {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // Behind the name in parentheses, which may have spaces, comes field 3.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
};

const megabytes = (pid: number, name: string): number => {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
};

/** MiB resident: now, and the most since its start. */
export const residentMegabytes = (pid: number) => ({
  now: megabytes(pid, 'VmRSS'),
  peak: megabytes(pid, 'VmHWM'),
});
