// Where a domain's key records lie: at their own names, or in another zone that its own leads to (`cname`). Pure.

import { isDnsName, isWithin, keyRecordName, targetName } from '../core/names.ts';
import type { FleetDomain } from '../core/policy.ts';
import { dnsName, longestSelector } from './name.ts';
import type { Path } from './problems.ts';

/** `records`: below which name they lie, absent where that is wrong. */
interface RecordsBelow {
  readonly records?: string;
  readonly cname?: string;
}

/** For one file: a record that two domains would take over is found. */
export const recordPlaces = (blame: (path: Path, message: string) => undefined) => {
  /** Record → the domain that takes it over. */
  const takenOver = new Map<string, string>();

  const recordsBelow = (domain: string, given: string | undefined, path: Path): RecordsBelow => {
    if (given === undefined) return { records: `_domainkey.${domain}` };
    const found = dnsName(given);
    if ('wrong' in found) {
      blame([...path, 'cname'], `'${given}' ${found.wrong}`);
      return {};
    }
    const longest = targetName(longestSelector, domain, found.name);
    if (!isDnsName(longest)) {
      blame([...path, 'cname'], `makes names of ${longest.length} characters; 253 are the most`);
      return {};
    }
    return { records: `_domainkey.${domain}.${found.name}`, cname: found.name };
  };

  /** Why an adopted key cannot be taken over from where its record is said to lie. */
  const fault = (
    domain: string,
    name: string,
    cname: string | undefined,
    zone: string,
  ): string | undefined => {
    if (cname === undefined)
      return `says that a record lies at '${name}', but the domain has no cname; take it out, or add cname`;
    if (!isWithin(name, zone))
      return `'${name}' does not lie in zone ${zone}, where the domain's records are`;
    const other = takenOver.get(name);
    takenOver.set(name, domain);
    return other === undefined
      ? undefined
      : `'${name}' is adopted for ${other} too; a record that two domains lead to cannot be taken over: rotate away from it by hand`;
  };

  const checkAdopted = (
    domain: string,
    { adopted = [], cname }: Pick<FleetDomain, 'adopted' | 'cname'>,
    zone: string | undefined,
    path: Path,
  ): void => {
    for (const { selector, record } of adopted) {
      if (!isDnsName(keyRecordName(selector, domain)))
        blame([...path, 'adopted'], `'${selector}' makes a record name that is no DNS name`);
      const name = record ?? (cname === undefined ? undefined : targetName(selector, domain, cname));
      const wrong = name === undefined || zone === undefined ? undefined : fault(domain, name, cname, zone);
      if (wrong !== undefined) blame([...path, 'adopted'], wrong);
    }
  };

  return { recordsBelow, checkAdopted };
};
