// DMARC of the domain, RFC 9989: the policy that holds for it, one record on every server, alignment of what signs it, and whether
// reports may go where it says (RFC 9990). Evaluated by mailauth, a verifier that is not ours.

import { type DMARCResult, dmarc } from 'mailauth';
import { sound, wrong } from '../../agent/doctor/check.ts';
import { isWithin, lowerName } from '../../core/names.ts';
import { type DnsView, digAt, dnsTrouble, isAbsent } from './dns-view.ts';
import { type Check, type Facts, gather, type Seen } from './facts.ts';

const isDmarc = (value: string): boolean => /^[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)/.test(value); // RFC 9989 §4.7

const suggestion = (domain: string): string =>
  `publish: _dmarc.${domain}. TXT "v=DMARC1; p=none; rua=mailto:dmarc@${domain}"`;

/** One record at most, on every server of the domain that has it. */
const judgeServers = async (view: DnsView, owner: string): Promise<Seen['findings']> => {
  const name = `_dmarc.${owner}`;
  const problems = gather();
  for (const { server, address, answer } of await view.look(name)) {
    if (answer.kind === 'failed')
      problems.at(server, `it cannot be seen (${answer.why})`, digAt(address, name));
    else {
      const records = answer.kind === 'txt' ? answer.set.values.filter(isDmarc) : [];
      if (records.length === 0) problems.at(server, `${name} is missing`, digAt(address, name));
      if (records.length > 1)
        problems.at(
          server,
          `${records.length} records at ${name} count as none`,
          `leave one of: ${records.map((record) => `"${record}"`).join(', ')}`,
        );
    }
  }
  return problems.findings();
};

/** The domains of `rua=` and `ruf=`. */
const reportDomains = (record: string): readonly string[] => {
  const addresses = record
    .split(';')
    .filter((tag) => /^\s*ru[af]\s*=/i.test(tag))
    .flatMap((tag) => tag.slice(tag.indexOf('=') + 1).split(','));
  const domains = addresses.flatMap((uri) => /^\s*mailto:[^@]+@([^!?\s]+)/i.exec(uri)?.[1] ?? []);
  return [...new Set(domains.map(lowerName))];
};

/** RFC 9990 §4: another organisation must say that it takes the reports. */
const judgeReports = async (view: DnsView, { rr = '', domain, policyDomain }: DMARCResult) => {
  const problems: { problem: string; mends: readonly string[] }[] = [];
  for (const theirs of reportDomains(rr)) {
    if (isWithin(theirs, domain)) continue;
    const name = `${policyDomain}._report._dmarc.${theirs}`;
    let values: readonly string[];
    try {
      values = (await view.resolve(name, 'TXT')).map((strings) => strings.join(''));
    } catch (error) {
      if (!isAbsent(error)) {
        problems.push({
          problem: `${name} cannot be seen: ${dnsTrouble(error)}`,
          mends: [`dig TXT ${name}`],
        });
        continue;
      }
      values = [];
    }
    if (!values.some(isDmarc))
      problems.push({
        problem: `no receiver sends reports to ${theirs}, which does not say that it takes them`,
        mends: [`ask ${theirs} to publish: ${name}. TXT "v=DMARC1"`],
      });
  }
  return problems;
};

export const dmarcCheck = ({ domain }: Facts, view: DnsView): Check => ({
  name: 'DMARC',
  async run() {
    const found = await dmarc({
      headerFrom: [`postmaster@${domain}`],
      dkimDomains: [{ domain }],
      resolver: view.resolve,
      strict: true,
    });
    if (found === false) return wrong(`${domain} cannot be an author domain`, suggestion(domain));
    const { result } = found.status;
    const own = await judgeServers(view, domain).catch(() => []);
    const shown = own.filter(({ problem }) => !problem.includes('is missing'));
    if (result === 'temperror')
      return wrong(
        `its policy cannot be looked up: ${found.error ?? 'no answer'}`,
        'name a resolver that answers: --resolver ADDRESS',
      );
    if (found.policyDomain === undefined || found.rr === undefined) {
      if (shown.length > 0) return { findings: shown };
      return wrong('there is no policy, so that receivers let forged mail pass', suggestion(domain));
    }
    const inherited = found.policyDomain !== domain;
    const findings = [
      ...(inherited ? shown : own),
      ...(inherited ? await judgeServers(view, found.policyDomain) : []),
      ...(await judgeReports(view, found)),
      ...(found.alignment.dkim.result === undefined
        ? [{ problem: 'd= of the signatures does not align with From', mends: ['set adkim=r'] }]
        : []),
    ];
    if (findings.length > 0) return { findings };
    const from = inherited ? ` (of ${found.policyDomain})` : '';
    const weak = found.policy === 'none' ? ', so that nothing is refused yet' : '';
    return sound(
      `policy ${found.policy}${from}, d= aligns${weak}${found.testMode ? ', t=y: only a test' : ''}`,
    );
  },
});
