// What the agent says, line by line. Types only: log sinks (log-sinks.ts) write it, everything else is handed one.

/** Facts of a line for machines: names as RFC 6376 and Postfix have them. */
export type LogFacts = Readonly<Record<string, string | number>>;

/**
 * One line, without its end, as administrators grep it. `facts` are the same in fields, for JSON.
 * Never key material; what others wrote (a message, an MTA) comes already made printable.
 */
export type Log = (line: string, facts?: LogFacts) => void;
