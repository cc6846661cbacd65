// Which systemd service the agent is on this host, and who it runs as: packaging/files has both units, and each conflicts with
// the other. Reads opendkim.conf where that says who.
import type { Config } from './config.ts';
import { readConf } from './opendkim/conf.ts';

export interface AgentService {
  /** For systemctl and journalctl. */
  readonly unit: 'selkie-agent' | 'selkie-agent-opendkim';
  readonly user: string;
}

/** The keeper runs as OpenDKIM's user, which opendkim.conf may name (`UserID opendkim:mail`); Debian's and Fedora's is opendkim. */
const opendkimUser = async (file: string): Promise<string> => {
  // That it cannot be read, others say.
  const conf = await readConf(file).catch(() => undefined);
  return conf?.get('UserID')?.split(/[:.]/, 1)[0] || 'opendkim';
};

export const serviceOf = async ({
  driver,
  opendkim,
}: Pick<Config, 'driver' | 'opendkim'>): Promise<AgentService> =>
  driver === 'opendkim'
    ? { unit: 'selkie-agent-opendkim', user: await opendkimUser(opendkim.config) }
    : { unit: 'selkie-agent', user: 'selkie-agent' };
