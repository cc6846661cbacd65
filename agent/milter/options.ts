// The configuration file's `milter` and `signing` sections, as options of the milter. Reads nothing; what the schema cannot
// check is checked here.
import { headerPolicy } from '../../core/dkim/header-selection.ts';
import { SelkieError } from '../../core/errors.ts';
import type { Config } from '../config.ts';
import { milterAddress } from '../settings.ts';
import { signingTable } from '../signing/signing-table.ts';
import { internalClients } from './internal-clients.ts';
import type { MilterOptions } from './server.ts';

const secondsOfDay = 24 * 60 * 60;

/** A refusal that says which setting it is about. */
const ofSetting = <T>(field: string, make: () => T): T => {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof SelkieError)) throw error;
    throw new SelkieError('invalid', `${field}: ${error.message}`, {
      field: error.field ?? field,
      cause: error,
    });
  }
};

/**
 * All options but the ports: ring, clock, log and meter.
 * @param listen in place of the configuration's `milter.listen`
 * @throws SelkieError invalid, with the setting as field
 */
export const milterOptions = (
  { milter, signing }: Pick<Config, 'milter' | 'signing'>,
  listen = milter.listen,
): Omit<MilterOptions, 'ring' | 'now' | 'log'> => {
  const address = milterAddress(listen);
  const { expireDays } = signing;
  // Now, not when the first client comes.
  ofSetting('signing.internalHosts', () => internalClients(signing.internalHosts));
  for (const name of Object.keys(signing.macros))
    if (!/^[\w.-]+$/.test(name))
      throw new SelkieError(
        'invalid',
        `signing.macros: ${JSON.stringify(name)} is no name of a macro: write it without braces`,
        {
          field: 'signing.macros',
        },
      );
  // RFC 6376 §3.5: a signature should say both, so that it can be told how long it was to hold.
  if (expireDays !== undefined && !signing.timestamp)
    throw new SelkieError(
      'invalid',
      'signing.expireDays (x=) counts from t=, which signing.timestamp: false leaves out: leave out one of both settings',
      { field: 'signing.expireDays' },
    );
  return {
    listen:
      'path' in address
        ? {
            path: address.path,
            mode: Number.parseInt(milter.mode, 8),
            ...(milter.group === undefined ? {} : { group: milter.group }),
          }
        : address,
    maxConnections: milter.maxConnections,
    idleTimeout: milter.idleSeconds * 1000,
    contentTimeout: milter.contentSeconds * 1000,
    longestHeader: milter.headerLimit,
    memoryLimit: milter.memoryLimit,
    canonicalization: signing.canonicalization,
    internal: signing.internalHosts,
    originMacros: signing.macros,
    identityFields: signing.identityFields,
    ...(signing.table.length === 0
      ? {}
      : { table: ofSetting('signing.table', () => signingTable(signing.table)) }),
    identity: signing.identity,
    timestamp: signing.timestamp,
    ...(expireDays === undefined ? {} : { expireAfter: expireDays * secondsOfDay }),
    headers: ofSetting('signing.oversign', () => headerPolicy(signing.oversign, signing.signHeaders)),
    onUnusableKey: signing.onUnusableKey,
  };
};
