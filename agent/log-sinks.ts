// Where the agent's lines go: standard output or syslog, as text or as JSON. A reader that is slow or gone never holds up
// the signing, and what waits for it is bounded. Writes to standard output or to a child, logger(1).
import { writeSync } from 'node:fs';
import pino from 'pino';
import type { Config } from './config.ts';
import type { Log } from './log.ts';
import { createBoundedLines } from './logging/bounded-lines.ts';
import { fdDestination, isJournal } from './logging/standard-output.ts';
import { syslogDestination } from './logging/syslog.ts';

export interface LogSink {
  readonly log: Log;
  /** Lines that found no room, since the start. */
  readonly dropped: number;
  /** Lines that wait are written first, within two seconds. Lines that come later are lost. */
  close(): Promise<void>;
}

export interface LogPorts {
  /** Milliseconds since 1970, for JSON; journald and syslog know the time of a line themselves. */
  readonly now: () => number;
  /** Names the journal (JOURNAL_STREAM); the process's own unless told otherwise. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Of the standard output; 1 unless told otherwise. */
  readonly fd?: number;
  /** The program that writes to syslog; `logger` unless told otherwise. */
  readonly logger?: string;
}

/** sd-daemon(3) and syslog(3). */
const [warning, info] = ['<4>', '<6>'];

const lostLine = (count: number): string =>
  `${count} lines are missing here: the reader of this log was too slow`;

/** What others wrote, an MTA or a server, must not begin a line of its own. */
const oneLine = (line: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
  /[\x00-\x1f\x7f]/.test(line) ? line.replace(/[\x00-\x1f\x7f]+/g, ' ') : line;

/** syslog daemons cut at 8 KiB, journald at 48. */
const longestLine = 4_000;

const onStandardError = (sentence: string): void => {
  try {
    writeSync(2, `selkie-agent: ${sentence}\n`);
  } catch {
    // There is nowhere left to say it.
  }
};

/**
 * `text`: the line as administrators grep it, with its priority (`<6>`) where the standard output is the journal.
 * `json`: an object a line (pino): `level`, `time` (RFC 3339), the facts, and `msg`, the text line.
 */
export const createLog = ({ format, to }: Config['log'], ports: LogPorts): LogSink => {
  const { now, environment = process.env, fd = 1, logger } = ports;
  const destination =
    to === 'syslog'
      ? syslogDestination({
          trouble: onStandardError,
          ...(logger === undefined ? {} : { program: logger }),
        })
      : fdDestination(fd);
  const journal = to === 'stdout' && isJournal(fd, environment.JOURNAL_STREAM);
  const time = (): string => new Date(now()).toISOString();
  const lines = createBoundedLines(destination, (count) =>
    format === 'json'
      ? `${JSON.stringify({ level: 'warn', time: time(), msg: lostLine(count) })}\n`
      : `${journal ? warning : ''}${lostLine(count)}\n`,
  );
  const cut = (line: string): string => oneLine(line).slice(0, longestLine);
  const text = (): Log => {
    const prefix = journal ? info : '';
    return (line) => lines.push(`${prefix}${cut(line)}\n`);
  };
  const json = (): Log => {
    const write = { write: (line: string) => lines.push(line) };
    const logger = pino(
      {
        base: null,
        timestamp: () => `,"time":"${time()}"`,
        formatters: { level: (label) => ({ level: label }) },
      },
      write,
    );
    return (line, facts) => (facts === undefined ? logger.info(cut(line)) : logger.info(facts, cut(line)));
  };
  return {
    log: format === 'json' ? json() : text(),
    get dropped() {
      return lines.dropped;
    },
    close: () => lines.close(),
  };
};
