// The connections that a milter holds at this moment, as the kernel lists them: OpenDKIM puts a reload into force for new
// connections only, so the ones that were open before are waited for. Reads /proc/net.
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { SelkieError } from '../../core/errors.ts';
import { readIfThere } from '../files.ts';
import type { MilterTarget } from '../milter/client.ts';

/** Names of sockets (`unix:INODE`, `tcp:INODE`); no two that are open have the same, whatever process holds them. */
export type Connections = ReadonlySet<string>;

interface Listed {
  readonly listening: boolean;
  readonly open: readonly string[];
}

/**
 * proc(5), /proc/net/unix: `Num RefCount Protocol Flags Type St Inode Path`. An accepted socket bears the listener's path; St
 * is 03 where it is connected, and a connection that nobody has accepted yet has no inode: it will see the new tables.
 */
export const unixConnections = (text: string, path: string): Listed => {
  const open: string[] = [];
  let listening = false;
  for (const line of text.split('\n')) {
    const [, flags, state, inode, name] = /^\S+ \S+ \S+ (\S+) \S+ (\S+)\s+(\d+) (.+)$/.exec(line) ?? [];
    if (name !== path || flags === undefined) continue;
    // __SO_ACCEPTCON
    if ((Number.parseInt(flags, 16) & 0x10000) !== 0) listening = true;
    else if (state === '03' && inode !== undefined && inode !== '0') open.push(`unix:${inode}`);
  }
  return { listening, open };
};

const states = { listen: '0A', timeWait: '06' } as const;

/** proc(5), /proc/net/tcp: `sl local rem st … inode`, addresses in hexadecimal, the port behind the colon. */
export const tcpConnections = (text: string, port: number): Listed => {
  const open: string[] = [];
  let listening = false;
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  for (const line of text.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    const [, local = '', , state = ''] = fields;
    const inode = fields[9] ?? '0';
    if (!local.endsWith(`:${wanted}`)) continue;
    if (state === states.listen) listening = true;
    else if (state !== states.timeWait && inode !== '0') open.push(`tcp:${inode}`);
  }
  return { listening, open };
};

/**
 * @throws SelkieError unavailable where the listening socket is not listed: then neither would its connections be, and
 *   nothing may be concluded from their absence
 */
export const openConnections = async (target: MilterTarget): Promise<Connections> => {
  const listed =
    'path' in target
      ? [unixConnections(await readFile('/proc/net/unix', 'utf8'), target.path)]
      : [
          tcpConnections(await readFile('/proc/net/tcp', 'utf8'), target.port),
          tcpConnections((await readIfThere('/proc/net/tcp6')) ?? '', target.port),
        ];
  if (!listed.some(({ listening }) => listening))
    throw new SelkieError(
      'unavailable',
      `The system does not list OpenDKIM's socket ${targetName(target)}, so its connections cannot be counted: selkie-agent must run in the network namespace of OpenDKIM, and Socket name it as it is.`,
    );
  return new Set(listed.flatMap(({ open }) => open));
};

/** As in opendkim.conf. */
const targetName = (target: MilterTarget): string =>
  'path' in target
    ? `local:${target.path}`
    : `inet:${target.port}@${isIP(target.host) === 6 ? `[${target.host}]` : target.host}`;
