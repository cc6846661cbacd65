// The key records: each as every authoritative name server shows it, held against the public half that the API names; then what
// the resolvers have of it, which may be older.

import { createPublicKey } from 'node:crypto';
import { udpSize } from '../../adapters/dns/wire.ts';
import { sound, wrong } from '../../agent/doctor/check.ts';
import { algorithms } from '../../core/algorithm.ts';
import { parseKeyRecord } from '../../core/dkim/key-record.ts';
import { describe } from '../../core/errors.ts';
import { type DnsView, digAt, dnsTrouble, isAbsent, type Shown } from './dns-view.ts';
import { type Check, type Facts, gather, type KeyFacts, type Seen } from './facts.ts';

/** What every resolver takes without EDNS: RFC 1035 §4.2.1. */
const plainSize = 512;
/** Verifiers need not take less: RFC 8301 §3.2. */
const leastBits = 1_024;

type Wanted = 'key' | 'tombstone';

/** What should stand at the key's name now; undefined: it is on its way in or out, and may be either. */
const wantedOf = ({ state, times, abandoned }: KeyFacts): Wanted | undefined => {
  if (abandoned !== undefined || times.removalIntended !== undefined) return undefined;
  if (state === 'revoked') return 'tombstone';
  if (times.revocationIntended !== undefined) return undefined;
  return ['published', 'standby', 'active', 'draining'].includes(state) ? 'key' : undefined;
};

/** Without the white space that base64 may have: RFC 6376 §3.2. */
const bare = (base64: string): string => base64.replace(/\s/g, '');

const bitsOf = (publicKey: string): number | undefined => {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
    return key.asymmetricKeyDetails?.modulusLength;
  } catch {
    return undefined;
  }
};

/** What is wrong with a record of this value, each the beginning of a sentence; RFC 6376 §3.6.1. */
const faultsOf = (value: string, key: KeyFacts, wanted: Wanted): readonly string[] => {
  let record: ReturnType<typeof parseKeyRecord>;
  try {
    record = parseKeyRecord(value);
  } catch (error) {
    return [`it is no key record (${describe(error).replace(/\.$/, '')})`];
  }
  if (wanted === 'tombstone')
    return record.revoked ? [] : ['it should be revoked, but its p= still has a key'];
  if (record.revoked) return ['it is revoked (p= is empty), so mail signed with it fails,'];
  const { keyType } = algorithms[key.algorithm];
  const bits = keyType === 'rsa' ? bitsOf(record.publicKey) : undefined;
  const faults = [
    key.publicKey !== undefined && bare(key.publicKey) !== record.publicKey
      ? 'its p= is not the key that Selkie stored, so mail signed with it fails,'
      : '',
    record.keyType !== keyType ? `k=${record.keyType} should be ${keyType}` : '',
    record.hashes !== undefined && !record.hashes.includes('sha256') ? 'h= leaves sha256 out' : '',
    record.services.some((service) => service === '*' || service === 'email') ? '' : 's= leaves email out',
    record.flags.includes('y') ? 't=y says that it is only a test' : '',
    bits !== undefined && bits < leastBits ? `it has ${bits} bits, which receivers refuse,` : '',
  ];
  return faults.filter((fault) => fault !== '');
};

const sizeNote = (shown: readonly Shown[]): string => {
  const most = Math.max(0, ...shown.map(({ size }) => size?.bytes ?? 0));
  return most === 0 ? '' : `, ${most} bytes${most > plainSize ? ' (asked with EDNS: over 512)' : ' by UDP'}`;
};

const sharedBy = (shown: readonly Shown[]): string => {
  const servers = new Set(shown.map(({ server }) => server)).size;
  return servers === 1 ? 'at its name server' : `at all ${servers} name servers`;
};

/** @param at where the record lies, which is elsewhere than its name where a CNAME leads there */
const judgeShown = (
  shown: readonly Shown[],
  at: string,
  key: KeyFacts,
  wanted: Wanted,
  facts: Facts,
): Seen['findings'] => {
  const problems = gather();
  const { zone } = facts.standing;
  const putBack = facts.command(`drift --run --zone ${zone}`);
  const lacking = shown.filter(({ answer }) => answer.kind === 'no-data' || answer.kind === 'no-such-name');
  for (const { server, address, answer, size } of shown) {
    switch (answer.kind) {
      case 'failed':
        problems.at(server, `it cannot be seen (${answer.why})`, digAt(address, at));
        break;
      case 'cname':
        problems.at(server, `a CNAME to ${answer.target} stands in its place`, digAt(address, at), putBack);
        break;
      case 'no-data':
      case 'no-such-name':
        // Where only some lack it, the provider has it, and those are behind.
        if (lacking.length === shown.length) problems.at(server, 'it is missing', putBack);
        else problems.at(server, 'it is missing', digAt(address, zone, 'SOA'), putBack);
        break;
      case 'txt': {
        const { values } = answer.set;
        if (values.length > 1)
          // RFC 6376 §3.6.2.2: which one a verifier takes is not defined.
          problems.at(server, `${values.length} TXT records stand there, where one may`, putBack);
        else for (const fault of faultsOf(values[0] ?? '', key, wanted)) problems.at(server, fault, putBack);
        break;
      }
    }
    if (size !== undefined && (size.bytes > udpSize || size.transport === 'tcp'))
      problems.at(
        server,
        `its answer has ${size.bytes} bytes, over the ${udpSize} that UDP carries everywhere: resolvers without TCP get nothing`,
        digAt(address, at),
        'shorten it: no tags.note, rsa2048 or rsa3072 in fleet.yaml; then deploy',
        facts.command(`rotate ${facts.domain}`),
      );
  }
  return problems.findings();
};

const aliasFindings = async (view: DnsView, { record, target = '' }: KeyFacts): Promise<Seen['findings']> => {
  const { answers } = await view.follow(record);
  const problems = gather();
  for (const { server, address, answer } of answers)
    if (answer.kind !== 'cname' || answer.target !== target)
      problems.at(
        server,
        `${record} does not lead to ${target}`,
        `have this published where the domain's own zone is: ${record}. CNAME ${target}.`,
        digAt(address, record, 'CNAME'),
      );
  return problems.findings();
};

const recordCheck = (key: KeyFacts, wanted: Wanted, facts: Facts, view: DnsView): Check => ({
  name: `record ${key.selector}`,
  async run() {
    const at = key.target ?? key.record;
    const shown = await view.inZone(at);
    const findings = [
      ...(key.target === undefined ? [] : await aliasFindings(view, key)),
      ...judgeShown(shown, at, key, wanted, facts),
    ];
    if (findings.length > 0) return { findings };
    const what = wanted === 'tombstone' ? 'revoked' : key.algorithm;
    return sound(`${what}, ${sharedBy(shown)}${sizeNote(shown)}`);
  },
});

/** One for each key whose record is settled. */
export const recordChecks = (facts: Facts, view: DnsView): readonly Check[] =>
  facts.keys.flatMap((key) => {
    const wanted = wantedOf(key);
    return wanted === undefined ? [] : [recordCheck(key, wanted, facts, view)];
  });

/** What resolvers have, of the keys that caches must know by now. */
export const resolverCheck = (facts: Facts, view: DnsView): Check => ({
  name: 'resolver',
  async run() {
    const keys = facts.keys.filter(
      (key) => wantedOf(key) === 'key' && ['standby', 'active', 'draining'].includes(key.state),
    );
    const problems = gather();
    for (const key of keys) {
      let values: readonly string[];
      try {
        values = await view.recursive(key.record);
      } catch (error) {
        if (!isAbsent(error))
          return wrong(
            `${view.resolvers || 'none is configured'}: ${dnsTrouble(error)}`,
            'name one that answers: --resolver ADDRESS',
          );
        values = [];
      }
      const fault =
        values.length === 0
          ? 'it has no record'
          : values.length > 1
            ? `it has ${values.length} records`
            : faultsOf(values[0] ?? '', key, 'key')[0];
      if (fault !== undefined)
        problems.at(
          view.resolvers,
          `${key.selector}: ${fault}`,
          `where the name servers have it right, ask again when its cache has ended: dig @${view.resolvers.split(',')[0]?.replace(/:(\d+)$/, ' -p $1')} TXT ${key.record}`,
        );
    }
    const findings = problems.findings();
    if (findings.length > 0) return { findings };
    return sound(`${view.resolvers} has ${keys.length === 1 ? 'the record' : `all ${keys.length} records`}`);
  },
});
