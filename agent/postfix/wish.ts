// What Postfix is to be set to, from the agent's configuration and the command line. Reads opendkim.conf where there is one.
import { SelkieError } from '../../core/errors.ts';
import type { Config } from '../config.ts';
import { readIfThere } from '../files.ts';
import type { MilterAddress } from '../milter/server.ts';
import { readConf } from '../opendkim/conf.ts';
import { parseSocket } from '../opendkim/socket.ts';
import { milterAddress } from '../settings.ts';
import { anyAddress, postfixAddress } from './address.ts';
import type { Instance } from './read.ts';

export interface Wish {
  /** Where the signer listens. */
  readonly milter: MilterAddress;
  /** The systemd service that is the signer. */
  readonly service: string;
  /** Milters that it takes the place of. */
  readonly replace: readonly string[];
  /** Other signers that are known to be on this host: address → what it is ("OpenDKIM"). */
  readonly signers: ReadonlyMap<string, string>;
}

/** Where OpenDKIM listens and whether it signs (Mode, `sv` by default); undefined where there is none, or it does not say. */
const readOpendkim = async (
  file: string,
): Promise<{ readonly listen: MilterAddress; readonly signs: boolean } | undefined> => {
  if ((await readIfThere(file)) === undefined) return undefined;
  const conf = await readConf(file);
  const socket = conf.get('Socket');
  return socket === undefined
    ? undefined
    : { listen: parseSocket(socket), signs: (conf.get('Mode') ?? 'sv').includes('s') };
};

export interface WishOptions {
  /** Where the signer is, whatever the configuration says. */
  readonly milter?: string;
  readonly replace?: readonly string[];
}

const signerOf = (config: Config, opendkim: MilterAddress | undefined): MilterAddress => {
  if (config.driver === 'builtin') return milterAddress(config.milter.listen);
  const socket =
    config.driver === 'opendkim'
      ? opendkim
      : config.rspamd.entrances.filter((one) => !one.startsWith('http')).map(milterAddress)[0];
  if (socket !== undefined) return socket;
  throw new SelkieError(
    'invalid',
    config.driver === 'opendkim'
      ? `${config.opendkim.config} does not say where OpenDKIM listens (Socket): give it with --milter.`
      : 'rspamd.entrances names no milter (inet:PORT@ADDRESS or unix:/PATH): give it with --milter.',
    { field: 'milter' },
  );
};

/** @throws SelkieError invalid, with field `milter` */
export const wishOf = async (config: Config, options: WishOptions = {}): Promise<Wish> => {
  const opendkim = await readOpendkim(config.opendkim.config);
  const milter =
    options.milter === undefined ? signerOf(config, opendkim?.listen) : anyAddress(options.milter);
  return {
    milter,
    service: config.driver === 'builtin' ? 'selkie-agent' : config.driver,
    replace: (options.replace ?? []).map((text) =>
      // Postfix's relative paths are taken as they are; other forms are brought to Postfix's.
      /^(?:unix|local):/.test(text) ? text : postfixAddress(anyAddress(text), '/'),
    ),
    signers:
      opendkim?.signs === true
        ? new Map([[postfixAddress(opendkim.listen, '/'), `OpenDKIM (${config.opendkim.config})`]])
        : new Map(),
  };
};

/** Those that are asked for, by name or configuration folder; all where none is. @throws SelkieError not-found */
export const chosen = (instances: readonly Instance[], names: readonly string[]): readonly Instance[] => {
  const matches = (instance: Instance, name: string): boolean =>
    instance.name === name || instance.configDirectory === name;
  for (const name of names)
    if (!instances.some((instance) => matches(instance, name)))
      throw new SelkieError(
        'not-found',
        `There is no Postfix instance ${name}: there are ${instances.map((one) => one.name).join(', ')}.`,
      );
  return names.length === 0
    ? instances
    : instances.filter((instance) => names.some((name) => matches(instance, name)));
};
