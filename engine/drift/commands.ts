// What an operator may paste to remove something that Selkie leaves alone. Pure text; nothing here is run.

import { printValue } from '../../core/dkim/txt.ts';
import type { FleetZone } from '../../core/policy.ts';
import { seconds } from '../../core/time.ts';
import type { TxtSet } from '../ports.ts';

/** For a POSIX shell: in single quotes, whatever it holds. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/**
 * Deletes exactly this TXT set, and fails where another stands there by then. Undefined where the set is none that can be
 * named (an alias, or octets that no TXT record holds).
 */
export const deleteRecordCommand = (zone: FleetZone, name: string, set: TxtSet): string | undefined => {
  // There is no command for a panel: what the finding says is all.
  if (set.values.length === 0 || zone.provider === 'manual') return undefined;
  try {
    const changes = {
      Changes: [
        {
          Action: 'DELETE',
          ResourceRecordSet: {
            Name: name,
            Type: 'TXT',
            TTL: set.ttl / seconds(1),
            ResourceRecords: set.values.map((value) => ({ Value: printValue(value, 'route53') })),
          },
        },
      ],
    };
    return `aws route53 change-resource-record-sets --hosted-zone-id ${quoted(zone.id)} --change-batch ${quoted(JSON.stringify(changes))}`;
  } catch {
    return undefined;
  }
};

/** A secret as the vault in Secrets Manager refers to it: one key's is `NAME#VERSION`, one that keys share `NAME#DOMAIN/SELECTOR`. */
const reference = /^([A-Za-z0-9/_+=.@-]{1,512})#(?:[A-Za-z0-9-]{8,64}|([a-z0-9._-]+\/[a-z0-9._-]+))$/;

/** The secret that a key shares with others; undefined where it has one of its own, or the reference is none of Secrets Manager's. */
export const sharedSecret = (secret: string): string | undefined => {
  const [, name, key] = reference.exec(secret) ?? [];
  return key === undefined ? undefined : name;
};

/**
 * Schedules a secret for deletion, with all that is in it; until then it can be restored. Undefined where the reference is none of
 * Secrets Manager's.
 */
export const deleteSecretCommand = (secret: string): string | undefined => {
  const name = reference.exec(secret)?.[1];
  return name === undefined
    ? undefined
    : `aws secretsmanager delete-secret --secret-id ${quoted(name)} --recovery-window-in-days 30`;
};
