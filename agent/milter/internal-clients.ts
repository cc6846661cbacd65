// Whose mail is signed: that of clients inside (this host, unless told otherwise), of those that logged in, and what the MTA
// marks by a macro. Anyone may write our domain into a From field; without this, a forgery that comes in from outside would
// leave with our signature.
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { SelkieError } from '../../core/errors.ts';
import type { Client, Envelope } from './session.ts';

/** This host itself. */
export const loopback: readonly string[] = ['127.0.0.0/8', '::1/128'];

export type IsInternal = (client: Client | undefined) => boolean;

/**
 * `networks` are addresses or CIDR ranges of either family.
 * @throws invalid naming the range that cannot be read
 */
export const internalClients = (networks: readonly string[]): IsInternal => {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    const family = isIPv4(address) ? 'ipv4' : isIPv6(address) ? 'ipv6' : undefined;
    const longest = family === 'ipv4' ? 32 : 128;
    const prefix = bits === undefined ? longest : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
    if (family === undefined || prefix < 0 || prefix > longest)
      throw new SelkieError(
        'invalid',
        `${network} is no address or range: write 192.0.2.0/24 or 2001:db8::/32`,
        {
          field: 'signing.internalHosts',
        },
      );
    list.addSubnet(address, prefix, family);
  }
  return (client) => {
    // No connection, or one within the host: mail that was handed in locally.
    if (client === undefined || client.family === 'unix') return true;
    // Sendmail submitting on the command line names no address.
    if (client.family === 'unknown') return client.host === 'localhost';
    if (isIPv4(client.address)) return list.check(client.address, 'ipv4');
    return isIPv6(client.address) && list.check(client.address, 'ipv6');
  };
};

/** Macro (without braces) → the values that say "ours", compared with case; none: any value does. OpenDKIM's MacroList. */
export type OriginMacros = Readonly<Record<string, readonly string[]>>;

/** Why the message is none of ours, in the lines of OpenDKIM's log (with LogWhy); none where it is. */
export const foreign = (
  { authenticated, client, macros }: Envelope,
  isInternal: IsInternal,
  originMacros: OriginMacros = {},
): readonly string[] => {
  const wanted = Object.entries(originMacros);
  const isMarked = wanted.some(([name, values]) => {
    const value = macros.get(name);
    return value !== undefined && (values.length === 0 || values.includes(value));
  });
  if (isMarked || authenticated || client === undefined || isInternal(client)) return [];
  return [
    ...(wanted.length === 0 ? [] : ['no macros match']),
    `${client.host} [${client.address}] not internal`,
    'not authenticated',
  ];
};
