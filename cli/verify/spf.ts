// SPF of the domain, RFC 7208: one record on every server, one that mailauth can evaluate, and that lets the hosts pass. Evaluated
// by mailauth, a verifier that is not ours.

import { spf } from 'mailauth';
import { sound, wrong } from '../../agent/doctor/check.ts';
import type { ServerAnswer } from '../../engine/ports.ts';
import { type DnsView, digAt } from './dns-view.ts';
import { type Check, type Facts, gather, type Seen } from './facts.ts';

/** Nobody's: RFC 2544 §C.2.2. What passes from there passes from everywhere. */
const nobody = '198.18.255.254';

const isSpf = (value: string): boolean => /^v=spf1(?: |$)/i.test(value); // RFC 7208 §4.5

const evaluate = (view: DnsView, domain: string, ip: string) =>
  spf({
    sender: `postmaster@${domain}`,
    ip,
    helo: domain,
    resolver: view.resolve,
    strict: true,
    maxElapsedTime: 20_000, // RFC 7208 §4.6.4: at least this
  });

/** The addresses from which mail leaves, as far as they can be known: of hosts whose names have some, and those that were told. */
const addressesOf = async (
  view: DnsView,
  { standing }: Facts,
  seenAs: readonly string[],
): Promise<readonly { readonly host: string; readonly ip: string }[]> => {
  const told = seenAs.map((ip) => ({ host: ip, ip }));
  // Whoever says from where mail leaves knows better than the hosts' names.
  if (told.length > 0) return told;
  const found = await Promise.all(
    standing.hosts
      .filter(({ host, excluded }) => host.includes('.') && excluded === undefined)
      .flatMap(({ host }) =>
        ['A', 'AAAA'].map(async (type) => {
          const ips = await view.resolve(host, type).catch(() => []);
          return ips.flat().map((ip) => ({ host: `${host} (${ip})`, ip }));
        }),
      ),
  );
  return found.flat();
};

const judgeAnswers = (answers: readonly ServerAnswer[], domain: string, facts: Facts): Seen['findings'] => {
  const problems = gather();
  const a = facts.standing.hosts
    .filter(({ host }) => host.includes('.'))
    .map(({ host }) => ` a:${host}`)
    .slice(0, 4);
  const publish = `publish: ${domain}. TXT "v=spf1${a.length > 0 ? a.join('') : ' mx'} -all"`;
  for (const { server, address, answer } of answers) {
    if (answer.kind === 'failed')
      problems.at(server, `it cannot be seen (${answer.why})`, digAt(address, domain));
    else {
      const records = answer.kind === 'txt' ? answer.set.values.filter(isSpf) : [];
      if (records.length === 0) problems.at(server, 'there is no SPF record', publish);
      if (records.length > 1)
        problems.at(
          server,
          `there are ${records.length} SPF records, so that every receiver says permerror,`,
          `make one of them: ${domain}. TXT "${merged(records)}"`,
        );
    }
  }
  return problems.findings();
};

const endings = ['?all', '~all', '-all'] as const;

/** One record with the terms of several, and the mildest of their ends: what passes a receiver now goes on to. */
const merged = (records: readonly string[]): string => {
  const terms = [...new Set(records.flatMap((record) => record.split(/ +/).slice(1)))].filter(Boolean);
  const isAll = (term: string): boolean => /^[-~?+]?all$/i.test(term);
  const end = endings.find((each) => terms.some((term) => term.toLowerCase() === each)) ?? '-all';
  return ['v=spf1', ...terms.filter((term) => !isAll(term)), end].join(' ');
};

/** @param seenAs addresses from which the hosts' mail is seen to come */
export const spfCheck = (facts: Facts, view: DnsView, seenAs: readonly string[]): Check => ({
  name: 'SPF',
  async run() {
    const { domain } = facts;
    const findings = judgeAnswers(await view.look(domain), domain, facts);
    if (findings.length > 0) return { findings };
    const stranger = await evaluate(view, domain, nobody);
    const { result, comment } = stranger.status;
    const record = stranger.rr ?? '';
    if (result === 'none')
      return wrong('the resolvers have no record, though the name servers do', `dig TXT ${domain}`);
    if (result === 'permerror' || result === 'temperror')
      return wrong(
        `receivers cannot evaluate it: ${result}${comment === undefined ? '' : ` (${comment})`}`,
        `mend ${record}: RFC 7208 allows 10 lookups and 2 void ones`,
      );
    if (result === 'pass') return wrong(`anybody passes it: ${record}`, 'end it with -all or ~all');
    const problems = gather();
    const addresses = await addressesOf(view, facts, seenAs);
    for (const { host, ip } of addresses) {
      const found = (await evaluate(view, domain, ip)).status.result;
      if (found !== 'pass')
        problems.at(
          host,
          `mail of its hosts gets spf=${found}`,
          `add ip${ip.includes(':') ? 6 : 4}:${ip} to ${record}; or say from where it leaves: --seen-as ADDRESS`,
        );
    }
    const failing = problems.findings();
    if (failing.length > 0) return { findings: failing };
    const open = result === 'neutral' ? ', says nothing of strangers (no -all)' : '';
    const passes = addresses.length === 0 ? '' : `, ${addresses.map(({ host }) => host).join(', ')} pass`;
    return sound(`${record} (${stranger.lookups?.count ?? 0} of 10 lookups)${passes}${open}`);
  },
});
