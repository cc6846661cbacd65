// The fleet file that `selkie init` writes, with a comment beside all that one may want to change. Pure.
import { domainToUnicode } from 'node:url';
import { stringify } from 'yaml';
import type { Answers, Zone } from './answers.ts';

/** As YAML has it: quoted where it could be taken for a number or a word of YAML's own. */
const scalar = (text: string): string => stringify(text, { lineWidth: 0 }).trimEnd();

/** A name of A-labels bears what people read behind it. */
const named = (name: string): string => {
  const readable = domainToUnicode(name);
  return readable === '' || readable === name ? '' : `  # ${readable}`;
};

const zoneEntry = (zone: Zone): string =>
  `  ${scalar(zone.name)}:${named(zone.name)}\n    ${'id' in zone ? `id: ${scalar(zone.id)}` : `provider: ${zone.provider}`}`;

const byHand = `
# provider: manual is a zone elsewhere, such as in a registrar's panel: Selkie says what to paste (selkie paste), waits
# until every name server shows it, and goes on. Where the world asks other name servers than those that the parent zone
# names, list them: nameServers: [ns1.example.net, ns2.example.net]`;

const zonesComment = (zones: readonly Zone[]): string => {
  const [hosted, manual] = [zones.some((zone) => 'id' in zone), zones.some((zone) => !('id' in zone))];
  return `# The zones that key records are written into. The deepest that holds a record is taken.${hosted ? " An id is Route 53's; a\n# hosted zone of another account has a role beside it." : ''}${manual ? byHand : ''}`;
};

export const fleetText = ({
  domains,
  zones,
  pool,
  rotateEvery,
  algorithms,
}: Answers): string => `# The fleet: which domains mail is signed for, and the zones, pools and hosts that they need.
# Written by selkie init. docs/fleet.example.yaml shows what else there is. An editor that knows YAML schemas
# explains each field, once this line names the schema:
# yaml-language-server: $schema=docs/fleet.schema.json

# The policy of every domain that says nothing else. Whatever is left out has a default.
defaults:
  # How often a domain gets a new key. ISO 8601: P90D is 90 days; on-demand: only when somebody asks.
  rotateEvery: ${scalar(rotateEvery)}
  # The keys that sign, each on every message. rsa2048 is for everyone; ed25519 beside it for receivers that know
  # RFC 8463. OpenDKIM signs with one key type only.
  algorithms: [${algorithms.map(scalar).join(', ')}]
  # How long resolvers keep a key record.
  ttl: PT1H
  # How long mail may wait in relays behind these hosts: a retired key stays published at least so long.
  downstreamQueue: P5D
  # Selectors are calendar dates (240128) of this time zone.
  # timeZone: Asia/Tokyo

# The domains that mail is signed for (d=). Nothing behind the colon: all by the defaults. A domain that signs already,
# with the key of an OpenDKIM: selkie-agent adopt, on a host that has the key, prints what to write here.
domains:
${domains.map((domain) => `  ${scalar(domain)}:${named(domain)}`).join('\n')}

${zonesComment(zones)}
zones:
${zones.map(zoneEntry).join('\n')}

# Pools: groups of mail hosts that sign the same domains. With one pool, no domain needs to name it.
pools: [${scalar(pool)}]

# The mail hosts. The first deployment has none: then selkie-agent enrol on each host prints its entry, with keys that
# it has made. Paste it here and deploy again. (npm start brings an agent of its own.)
#
# hosts:
#   mx1.example.jp:
#     pool: ${scalar(pool)}
#     encryptionKey: (43 characters that enrol printed)
#     signingKey: (43 characters that enrol printed)
`;
