// The three ways in which a host signs, each as its administrator would have it: what the agent's configuration says, where
// Postfix finds the milter, and the signer itself.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../agent/config.ts';
import type { KeyType } from '../../core/algorithm.ts';
import { freePort } from '../tools/free-port.ts';
import { safeFolder, startOpendkim } from '../tools/opendkim.ts';
import { startRspamd } from '../tools/rspamd.ts';

export interface MailSigner {
  /** The agent's state folder. */
  readonly dir: string;
  /** The agent's configuration, without what is said of Postfix. */
  readonly config: Readonly<Record<string, unknown>>;
  /** For `smtpd_milters`. */
  readonly milter: string;
  readonly keyTypes: readonly KeyType[];
  /** Who the agent must run as. */
  readonly user?: { readonly uid: number; readonly gid: number };
  end(): Promise<void>;
}

export type DriverName = Config['driver'];

/** Records are in no DNS that a name server serves. */
const records = { check: false };

const builtin = async (): Promise<MailSigner> => {
  const port = await freePort();
  const folder = safeFolder();
  return {
    dir: join(folder, 'state'),
    config: { driver: 'builtin', milter: { listen: `inet:${port}@127.0.0.1` }, records },
    milter: `inet:127.0.0.1:${port}`,
    keyTypes: ['rsa', 'ed25519'],
    end: async () => rmSync(folder, { recursive: true, force: true }),
  };
};

const opendkim = async (): Promise<MailSigner> => {
  const server = await startOpendkim({ socket: 'inet' });
  const { target, uid, gid } = server;
  if (!('port' in target)) throw new Error('OpenDKIM was to listen on a port');
  return {
    dir: join(server.folder, 'state'),
    config: { driver: 'opendkim', opendkim: { config: server.config }, records },
    milter: `inet:127.0.0.1:${target.port}`,
    keyTypes: ['rsa'],
    // OpenDKIM's keys are in the agent's state folder, which is closed to others.
    user: { uid, gid },
    end: server.end,
  };
};

const rspamd = async (): Promise<MailSigner> => {
  const server = await startRspamd();
  const entrance = `inet:${server.milterPort}@127.0.0.1`;
  const folder = safeFolder();
  return {
    dir: join(folder, 'state'),
    config: { driver: 'rspamd', rspamd: { folder: server.folder, entrances: [entrance] }, records },
    milter: `inet:127.0.0.1:${server.milterPort}`,
    keyTypes: ['rsa'],
    async end() {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
};

export const signers: Readonly<Record<DriverName, () => Promise<MailSigner>>> = { builtin, opendkim, rspamd };
