// The DNS writer on Route 53. Calls route53:ListResourceRecordSets, ChangeResourceRecordSets (TXT; CREATE and DELETE) and
// GetChange: one request for each call of the port, two for a DELETE whose values somebody wrote in another quoting.
//
// Values are written in one canonical form (core/dkim/txt.ts). A DELETE must name a set as it stands, and Route 53 keeps
// the quoting that it was given (`"a""b"`, other cuts). So a single change that is refused is looked up: where what stands
// there means the same, it is submitted once more with the set just as it is listed. In a batch of several such a change is
// refused like one that does not fit, since asking for each name of each refused batch would eat the account's ten requests
// a second; the caller's halving brings it here alone.
import {
  type Change as AwsChange,
  ChangeResourceRecordSetsCommand,
  GetChangeCommand,
  ListResourceRecordSetsCommand,
  type ListResourceRecordSetsCommandInput,
  type ListResourceRecordSetsCommandOutput,
  type ResourceRecordSet,
  type Route53Client,
  type RRType,
} from '@aws-sdk/client-route-53';
import { parseValue } from '../../core/dkim/txt.ts';
import { hasCode, SelkieError } from '../../core/errors.ts';
import { lowerName } from '../../core/names.ts';
import type { FleetZone } from '../../core/policy.ts';
import { seconds } from '../../core/time.ts';
import type { Change, DnsWriter, TxtSet } from '../../engine/ports.ts';
import { canonicalValue, countThatFits, requireFit, sameTxtSet } from '../record-changes.ts';
import { toSelkieError } from './errors.ts';

export interface Route53WriterOptions {
  /**
   * The client for a zone's account, for changes of `changing`'s records or, without, for reading. Its `maxAttempts` should be
   * 2 or less: the SDK's own retries spend requests that nobody counted, and a change whose answer was lost is refused when it
   * is sent again (`unavailable`).
   */
  readonly clientFor: (zone: FleetZone, changing?: readonly string[]) => Route53Client;
}

const sdkName = (error: unknown): string => (error instanceof Error ? error.name : '');

/** `\052._domainkey.example.org.` → `*._domainkey.example.org`: Route 53 lists names with octal escapes and a final dot. */
const plainName = (listed: string): string =>
  lowerName(
    listed.replaceAll(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    ),
  );

/** A value that cannot be read is somebody else's: it stands for itself, and is no value of ours, which have no quotes. */
const readValue = (listed: string): string => {
  try {
    return parseValue(listed, 'route53');
  } catch {
    return listed;
  }
};

/** An alias has neither TTL nor values of its own: it reads as a set without a value, which is there and is not ours. */
const readSet = (listed: ResourceRecordSet): TxtSet => ({
  ttl: seconds(listed.TTL ?? 0),
  values: (listed.ResourceRecords ?? []).map(({ Value }) => readValue(Value ?? '')),
});

const printSet = (name: string, set: TxtSet): ResourceRecordSet => ({
  Name: lowerName(name),
  Type: 'TXT',
  TTL: set.ttl / seconds(1),
  ResourceRecords: set.values.map((value) => ({ Value: canonicalValue(value) })),
});

/** @param old the set to delete, where it is to be named otherwise than canonically */
const printChange = (change: Change, old?: ResourceRecordSet): AwsChange[] => {
  const { name, set } = change;
  const remove = (there: TxtSet): AwsChange => ({
    Action: 'DELETE',
    ResourceRecordSet: old ?? printSet(name, there),
  });
  const create: AwsChange = { Action: 'CREATE', ResourceRecordSet: printSet(name, set) };
  switch (change.do) {
    case 'create':
      return [create];
    case 'delete':
      return [remove(set)];
    case 'replace':
      return [remove(change.old), create];
  }
};

/** ListResourceRecordSets answers with no more. */
const mostListed = 300;

/** Where the next page begins: name, type and, of sets that share both (weighted ones), its identifier. */
const printCursor = ({
  NextRecordName: name = '',
  NextRecordType: type = 'TXT',
  NextRecordIdentifier: identifier,
}: ListResourceRecordSetsCommandOutput): string =>
  [name, type, ...(identifier === undefined ? [] : [identifier])].join(' ');

const readCursor = (cursor: string): Partial<ListResourceRecordSetsCommandInput> => {
  const [name, type, ...identifier] = cursor.split(' ');
  return {
    StartRecordName: name,
    StartRecordType: type as RRType,
    ...(identifier.length === 0 ? {} : { StartRecordIdentifier: identifier.join(' ') }),
  };
};

/** Refused for what is in it: Route 53 says InvalidInput where a field's form is wrong, InvalidChangeBatch otherwise. */
const isRefusal = (error: unknown): boolean =>
  ['InvalidChangeBatch', 'InvalidInput'].includes(sdkName(error));

/** Whether the SDK has sent it more than once, because the first answer was lost or said "not now". */
const wasSentAgain = (error: unknown): boolean =>
  error instanceof Error &&
  '$metadata' in error &&
  ((error.$metadata as { readonly attempts?: number }).attempts ?? 1) > 1;

/**
 * A refusal. Of a change that was sent again it says nothing: the first may have been done, and then the second does not fit.
 * Its sentence names the records, which are public.
 */
const refused = (zone: FleetZone, error: unknown): SelkieError => {
  const said = error instanceof Error ? error.message.slice(0, 500) : 'no reason given';
  return wasSentAgain(error)
    ? new SelkieError(
        'unavailable',
        `A change of zone ${zone.name} was sent twice, since its first answer was lost, and the second was refused: ${said}; it is looked at what stands there`,
      )
    : new SelkieError('rejected', `Route 53 refused the changes of zone ${zone.name}: ${said}`);
};

export const createRoute53Writer = ({ clientFor }: Route53WriterOptions): DnsWriter => {
  /** The RRset at exactly `name`, as Route 53 has it. */
  const list = async (zone: FleetZone, name: string): Promise<ResourceRecordSet | undefined> => {
    // Lists in order from this name and type on: what is there stands first, what is not is some other set.
    const answer = await clientFor(zone).send(
      new ListResourceRecordSetsCommand({
        HostedZoneId: zone.id,
        StartRecordName: lowerName(name),
        StartRecordType: 'TXT',
        MaxItems: 1,
      }),
    );
    const first = answer.ResourceRecordSets?.at(0);
    return first?.Type === 'TXT' && plainName(first.Name ?? '') === lowerName(name) ? first : undefined;
  };

  const send = async (zone: FleetZone, changes: AwsChange[]): Promise<string> => {
    const names = changes.map(({ ResourceRecordSet }) => ResourceRecordSet?.Name ?? '');
    const answer = await clientFor(zone, names).send(
      new ChangeResourceRecordSetsCommand({ HostedZoneId: zone.id, ChangeBatch: { Changes: changes } }),
    );
    const id = answer.ChangeInfo?.Id;
    if (id === undefined)
      throw new SelkieError('unavailable', `Route 53 took the changes of zone ${zone.name} without an id.`);
    return id.replace(/^\/change\//, '');
  };

  /** The change with its old set just as it stands; undefined where that is another set, or is named so already. */
  const asListed = async (zone: FleetZone, change: Change): Promise<AwsChange[] | undefined> => {
    if (change.do === 'create') return undefined;
    const old = change.do === 'replace' ? change.old : change.set;
    const listed = await list(zone, change.name);
    return listed !== undefined && sameTxtSet(readSet(listed), old) ? printChange(change, listed) : undefined;
  };

  const submitOnce = async (zone: FleetZone, changes: readonly Change[]): Promise<string> => {
    const [first, ...others] = changes;
    try {
      return await send(
        zone,
        changes.flatMap((change) => printChange(change)),
      );
    } catch (error) {
      if (!isRefusal(error) || wasSentAgain(error)) throw error;
      const again = first !== undefined && others.length === 0 ? await asListed(zone, first) : undefined;
      if (again === undefined) throw refused(zone, error);
      return await send(zone, again);
    }
  };

  return {
    async lookup(zone, name) {
      try {
        const listed = await list(zone, name);
        return listed === undefined ? undefined : readSet(listed);
      } catch (error) {
        throw toSelkieError(error, `Looking up ${name} in zone ${zone.name}`);
      }
    },

    async submit(zone, changes) {
      requireFit(zone.name, changes);
      try {
        return await submitOnce(zone, changes);
      } catch (error) {
        if (isRefusal(error)) throw refused(zone, error);
        const known = toSelkieError(error, `Changing zone ${zone.name}`);
        // Of one that was refused for its time we know that nothing was changed, unless it was sent before.
        if (!wasSentAgain(error) || !hasCode(known, 'throttled', 'busy')) throw known;
        throw new SelkieError('unavailable', known.message);
      }
    },

    async status(zone, changeId) {
      try {
        const answer = await clientFor(zone).send(new GetChangeCommand({ Id: changeId }));
        return answer.ChangeInfo?.Status === 'INSYNC' ? 'in-sync' : 'pending';
      } catch (error) {
        // InvalidInput: the id was never one of Route 53's, as after a move from another provider.
        if (['NoSuchChange', 'InvalidInput'].includes(sdkName(error))) return 'unknown';
        throw toSelkieError(error, `Asking for change ${changeId} of zone ${zone.name}`);
      }
    },

    fits: countThatFits,

    async list(zone, { after, limit }) {
      try {
        const answer = await clientFor(zone).send(
          new ListResourceRecordSetsCommand({
            HostedZoneId: zone.id,
            MaxItems: Math.min(limit, mostListed),
            ...(after === undefined ? {} : readCursor(after)),
          }),
        );
        const sets = (answer.ResourceRecordSets ?? [])
          .filter(({ Type }) => Type === 'TXT')
          .map((listed) => ({ name: plainName(listed.Name ?? ''), set: readSet(listed) }));
        return answer.IsTruncated === true ? { sets, next: printCursor(answer) } : { sets };
      } catch (error) {
        throw toSelkieError(error, `Listing zone ${zone.name}`);
      }
    },
  };
};
