// Where OpenDKIM listens, by its `Socket` parameter. Pure. opendkim(8), -p.
import { SelkieError } from '../../core/errors.ts';
import type { MilterTarget } from '../milter/client.ts';

const unspecified: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** @throws SelkieError invalid where it is neither a unix socket nor a port number */
export const parseSocket = (value: string): MilterTarget => {
  const [, kind = '', rest = ''] = /^(local|unix|inet6?):(.*)$/i.exec(value) ?? [];
  const path = kind === '' ? value : rest;
  if (!kind.toLowerCase().startsWith('inet') && path.startsWith('/')) return { path };
  const [, port, host] = /^(\d{1,5})(?:@(.+))?$/.exec(rest) ?? [];
  if (port === undefined)
    throw new SelkieError(
      'invalid',
      `OpenDKIM's Socket ${value.slice(0, 100)} is neither local:/PATH nor inet:PORT@HOST with a port number.`,
      { field: 'Socket' },
    );
  const loopback = kind.toLowerCase() === 'inet6' ? '::1' : '127.0.0.1';
  const address = host?.replace(/^\[|\]$/g, '') ?? loopback;
  return { host: unspecified[address] ?? address, port: Number(port) };
};
