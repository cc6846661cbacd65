// What Postfix is to be set to, from the agent's configuration and the command line. Reads opendkim.conf where there is one.
import { SelkieError } from '../../core/errors.ts';
import type { Config } from '../config.ts';
import { readIfThere } from '../files.ts';
import type { MilterAddress } from '../milter/server.ts';
import { milterAddress } from '../settings.ts';
import { anyAddress, postfixAddress } from './address.ts';
import type { Wish } from './plan.ts';
import type { Instance } from './read.ts';

/** opendkim.conf(5): where it listens, and whether it signs (Mode, `sv` by default). Undefined where the file does not say. */
export const opendkimSocket = (
  conf: string,
): { readonly listen: MilterAddress; readonly signs: boolean } | undefined => {
  const value = (name: string): string | undefined =>
    new RegExp(`^\\s*${name}\\s+([^#\\s]+)`, 'im').exec(conf)?.[1];
  const socket = value('Socket');
  if (socket === undefined) return undefined;
  try {
    const listen = milterAddress(socket.startsWith('/') ? `unix:${socket}` : socket);
    return { listen, signs: (value('Mode') ?? 'sv').includes('s') };
  } catch {
    return undefined;
  }
};

export interface WishOptions {
  /** Where the signer is, whatever the configuration says. */
  readonly milter?: string;
  readonly replace?: readonly string[];
}

/** rspamd's proxy worker, which speaks the milter protocol, as Debian sets it up. */
const rspamdProxy = 'inet:11332@127.0.0.1';

const signerOf = (config: Config, opendkim: MilterAddress | undefined): MilterAddress => {
  if (config.driver === 'builtin') return milterAddress(config.milter.listen);
  if (config.driver === 'rspamd') return milterAddress(rspamdProxy);
  if (opendkim === undefined)
    throw new SelkieError(
      'invalid',
      `${config.opendkim.config} does not say where OpenDKIM listens (Socket): give it with --milter.`,
    );
  return opendkim;
};

/** @throws SelkieError invalid, with field `milter` */
export const wishOf = async (config: Config, options: WishOptions = {}): Promise<Wish> => {
  const opendkim = opendkimSocket((await readIfThere(config.opendkim.config)) ?? '');
  const milter =
    options.milter === undefined ? signerOf(config, opendkim?.listen) : anyAddress(options.milter);
  return {
    milter,
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
