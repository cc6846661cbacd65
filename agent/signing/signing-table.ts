// Whose mail is signed for which domain, as an OpenDKIM SigningTable of type refile says it: `*` stands for any characters,
// the first row that matches counts. Only computes. Rows that name one domain, one address or the sub-domains of one are
// found by look-up, however many there are; others are tried one after the other, in time linear in the address.
import { SelkieError } from '../../core/errors.ts';
import { type Address, asciiDomain } from './from-address.ts';

export interface SigningTableRow {
  /** `*@example.jp`, `user@example.jp`, `sales-*@example.jp`, `*@*.example.jp`, `user@*`, `*`; no difference of case. */
  readonly match: string;
  /** `d=`. It may be above the author's domain (DMARC's relaxed alignment) or another one. */
  readonly domain: string;
}

export interface SigningTable {
  /** The domain of the first row that matches. */
  find(address: Address): string | undefined;
}

/** A pattern of `*` and plain text. Each piece is looked for once, from left to right: no pattern takes square time. */
const glob = (pattern: string): ((text: string) => boolean) => {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return (text) => text === pattern;
  const between = rest.filter((piece) => piece !== '');
  return (text) => {
    const end = text.length - last.length;
    if (end < first.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    let at = first.length;
    for (const piece of between) {
      const found = text.indexOf(piece, at);
      if (found < 0) return false;
      at = found + piece.length;
    }
    return at <= end;
  };
};

interface Row {
  readonly index: number;
  readonly domain: string;
}
interface GlobRow extends Row {
  readonly matches: (text: string) => boolean;
}

/** The labels in A-labels, where they are plain text. */
const domainPattern = (text: string): string | undefined => {
  if (!text.includes('*')) return asciiDomain(text);
  const labels = text.toLowerCase().split('.');
  // A label alone is no domain, so it is converted as part of one.
  const ascii = labels.map((label) =>
    label.includes('*') || label === ''
      ? label
      : asciiDomain(`${label}.example`)?.slice(0, -'.example'.length),
  );
  return ascii.every((label) => label !== undefined && /^[a-z0-9_*-]*$/.test(label))
    ? ascii.join('.')
    : undefined;
};

const badRow = (index: number, field: 'match' | 'domain', message: string): SelkieError =>
  new SelkieError('invalid', `Row ${index + 1} of the signing table: ${message}`, {
    field: `signing.table.${index}.${field}`,
  });

/**
 * Compiles the rows once.
 * @throws invalid, with field `signing.table.N.match` or `.domain`
 */
export const signingTable = (rows: readonly SigningTableRow[]): SigningTable => {
  /** Of each look-up the first row, or of the globs all in order. */
  const domains = new Map<string, Row>();
  const addresses = new Map<string, Row>();
  const subdomains = new Map<string, Row>();
  const localParts = new Map<string, GlobRow[]>();
  const others: GlobRow[] = [];
  const keepFirst = (map: Map<string, Row>, key: string, row: Row): void => {
    if (!map.has(key)) map.set(key, row);
  };

  for (const [index, { match, domain }] of rows.entries()) {
    const signingDomain = asciiDomain(domain);
    if (signingDomain === undefined)
      throw badRow(index, 'domain', `${JSON.stringify(domain)} is no domain that mail can be signed for.`);
    const row = { index, domain: signingDomain };
    const at = match.lastIndexOf('@');
    if (at < 0) {
      if (!match.includes('*'))
        throw badRow(
          index,
          'match',
          `${JSON.stringify(match)} matches no address: write *@${match} or user@${match}.`,
        );
      others.push({ ...row, matches: glob(match.toLowerCase()) });
      continue;
    }
    const localPart = match.slice(0, at).toLowerCase();
    const pattern = domainPattern(match.slice(at + 1));
    if (localPart === '' || pattern === undefined)
      throw badRow(
        index,
        'match',
        `${JSON.stringify(match)} is no pattern of an address: write *@example.jp.`,
      );
    const isParent = pattern.startsWith('*.') && !pattern.includes('*', 1);
    if (!pattern.includes('*') && localPart === '*') keepFirst(domains, pattern, row);
    else if (!pattern.includes('*') && !localPart.includes('*'))
      keepFirst(addresses, `${localPart}@${pattern}`, row);
    else if (!pattern.includes('*')) {
      const same = localParts.get(pattern) ?? [];
      same.push({ ...row, matches: glob(localPart) });
      localParts.set(pattern, same);
    } else if (isParent && localPart === '*') keepFirst(subdomains, pattern.slice(2), row);
    else others.push({ ...row, matches: glob(`${localPart}@${pattern}`) });
  }

  return {
    find({ localPart, domain }) {
      const local = localPart.toLowerCase();
      const address = `${local}@${domain}`;
      const found = [
        domains.get(domain),
        addresses.get(address),
        localParts.get(domain)?.find(({ matches }) => matches(local)),
        others.find(({ matches }) => matches(address)),
      ];
      for (let dot = domain.indexOf('.'); dot >= 0; dot = domain.indexOf('.', dot + 1))
        found.push(subdomains.get(domain.slice(dot + 1)));
      let first: Row | undefined;
      for (const row of found) if (row !== undefined && row.index < (first?.index ?? Infinity)) first = row;
      return first?.domain;
    },
  };
};
