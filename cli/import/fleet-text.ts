// Findings as a fleet file: a new one, or added to one that is there, whose comments and entries stay as they are. What comes out
// is read by the fleet's own reader before anybody sees it. No I/O.
import { Document, isMap, parseDocument, type YAMLMap } from 'yaml';
import { SelkieError } from '../../core/errors.ts';
import { deepestZone } from '../../core/names.ts';
import { dnsName, domainName } from '../../fleet/name.ts';
import { parseFleet } from '../../fleet/read.ts';
import { type Chosen, choose, type Findings } from './findings.ts';

export interface FleetText {
  readonly text: string;
  /** What is there now and was not. */
  readonly added: { readonly domains: readonly string[]; readonly zones: readonly string[] };
  /** What a person should know. */
  readonly remarks: readonly string[];
}

const head = [
  ' A fleet by `selkie import`. What its zones are changed by: `provider: manual` says what to paste into a panel',
  ' (selkie paste); where a zone is in Route 53, write `id: Z0123456789ABC` instead.',
].join('\n');

const section = (document: Document, name: string): YAMLMap => {
  const found = document.get(name);
  if (isMap(found)) return found;
  if (found !== undefined && found !== null)
    throw new SelkieError('invalid', `${name} of the fleet file is no map: mend it first`);
  const made = document.createNode({});
  made.flow = false;
  document.set(name, made);
  return made;
};

/** Names as the file has them, in the form that Selkie holds. */
const namesIn = (map: YAMLMap, read: typeof dnsName): ReadonlySet<string> =>
  new Set(
    map.items.flatMap(({ key }) => {
      const named = read(String(key));
      return 'name' in named ? [named.name] : [];
    }),
  );

const rivalsText = ({ rivals }: Chosen): string =>
  rivals.map(({ selector, publicKey }) => ` - { selector: ${selector}, publicKey: ${publicKey} }`).join('\n');

const addDomain = (document: Document, domains: YAMLMap, chosen: Chosen): void => {
  const { domain, adopted } = chosen;
  const pair = document.createPair(
    domain,
    adopted.length === 0
      ? null
      : { adopted: adopted.map(({ selector, publicKey }) => ({ selector, publicKey })) },
  );
  domains.items.push(pair);
  if (chosen.rivals.length > 0)
    pair.key = Object.assign(document.createNode(domain), {
      commentBefore: ` ${domain} has several keys of one type. Put the one that its hosts sign with below \`adopted:\`:\n${rivalsText(chosen)}`,
    });
};

/**
 * @param there the file's text, and how messages name it; undefined: a new one
 * @throws invalid: the file that is there is none, or the result would be none
 */
export const fleetText = (
  findings: Findings,
  there: { readonly text: string; readonly file: string } | undefined,
): FleetText => {
  const document = there === undefined ? new Document({}) : parseDocument(there.text);
  if (there === undefined) document.commentBefore = head;
  else parseFleet(there.text, { file: there.file, version: 1 });
  const [domains, zones] = [section(document, 'domains'), section(document, 'zones')];
  const [knownDomains, knownZones] = [namesIn(domains, domainName), namesIn(zones, dnsName)];
  const chosen = choose(findings);
  const newZones = findings.zones.filter(
    (zone) => !knownZones.has(zone) && chosen.some(({ domain }) => deepestZone(domain, [zone]) !== undefined),
  );
  const newDomains = chosen.filter(({ domain }) => !knownDomains.has(domain));
  for (const each of newDomains) addDomain(document, domains, each);
  for (const zone of newZones) zones.items.push(document.createPair(zone, { provider: 'manual' }));
  if (document.get('pools') === undefined)
    document.set('pools', document.createNode(['outbound'], { flow: true }));
  if (newDomains.length === 0 && knownDomains.size === 0)
    throw new SelkieError(
      'not-found',
      'nothing was found that signs or takes mail: there is nothing to import',
    );
  const text = document.toString({ lineWidth: 0, flowCollectionPadding: false });
  // With several pools each domain names its own, and only a person knows which.
  parseFleet(text, {
    file: there === undefined ? 'the imported fleet' : `${there.file}, with what is imported,`,
    version: 1,
  });
  return {
    text,
    added: { domains: newDomains.map(({ domain }) => domain), zones: newZones },
    remarks: [
      ...findings.remarks,
      ...newDomains.flatMap(({ domain, rivals }) =>
        rivals.length === 0
          ? []
          : [
              `${domain} has several keys of one type (${rivals.map(({ selector }) => selector).join(', ')}): write the one that its hosts sign with below its adopted: (a comment in the file has them); without, Selkie begins with a key of its own`,
            ],
      ),
      ...chosen
        .filter(({ domain }) => knownDomains.has(domain))
        .map(({ domain }) => `${domain} is in the file already, and stays as it is`),
    ],
  };
};
