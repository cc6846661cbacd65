// The keys and the hosts as the control plane knows them: whether anything signs, what is late, and what each host last said.

import { skipped, sound, wrong } from '../../agent/doctor/check.ts';
import { type Check, type Facts, gather, type HostFacts, type Seen } from './facts.ts';

const minuteOf = (iso: string): string => `${iso.slice(0, 10)} ${iso.slice(11, 16)}Z`;

export const keysCheck = ({ domain, status, keys, standing, command }: Facts): Check => ({
  name: 'keys',
  run: async () => {
    const { signing } = standing;
    const plan = command(`plan ${domain}`);
    const findings = [
      ...(signing.length > 0
        ? []
        : [
            {
              problem: status.leaving
                ? 'the domain leaves, and nothing signs its mail'
                : `no key signs yet: ${status.blockedBy[0]?.says ?? 'nothing has been done for it'}`,
              mends: [plan],
            },
          ]),
      ...(status.late ?? []).map((late) => ({ problem: late, mends: [plan] })),
      ...keys
        .filter(({ compromised, selector }) => compromised !== undefined && signing.includes(selector))
        .map(({ selector }) => ({
          problem: `${selector} is compromised and still signs`,
          mends: [command(`rotate ${domain} --wait`)],
        })),
    ];
    if (findings.length > 0) return { findings };
    const next = status.nextRotation === undefined ? '' : `, next rotation ${minuteOf(status.nextRotation)}`;
    return sound(`${signing.join(' + ')} ${signing.length === 1 ? 'signs' : 'sign'}${next}`);
  },
});

const judgeHost = (host: HostFacts, { domain, standing, command }: Facts): Seen => {
  const { signing } = standing;
  if (host.excluded !== undefined) return skipped(`excluded: ${host.excluded}`);
  const doctor = `selkie-agent doctor   (on ${host.host})`;
  const problems = [
    host.silent === undefined ? [] : [host.silent],
    host.fenced === undefined ? [] : [`it is fenced: ${host.fenced}`],
    Object.entries(host.failed).map(([selector, why]) => `it cannot use ${selector}: ${why}`),
    host.trouble === undefined ? [] : [`what was sent to it last did not arrive: ${host.trouble}`],
    host.current || signing.length === 0
      ? []
      : [`it has not confirmed that it signs with ${signing.join(' + ')}`],
    host.ready || host.fenced !== undefined ? [] : ['it is not ready: it has no full snapshot yet'],
  ].flat();
  if (problems.length > 0)
    return {
      findings: problems.map((problem, index) => ({
        problem,
        mends: index < problems.length - 1 ? [] : [doctor, command(`plan ${domain}`)],
      })),
    };
  const used = Object.entries(host.lastUse).map(([selector, at]) => `${selector} last ${minuteOf(at)}`);
  const seen = host.lastSeen === undefined ? [] : [`heard of ${minuteOf(host.lastSeen)}`];
  return sound(
    [`confirmed ${host.signs.join(' + ') || 'nothing to sign with'}`, ...seen, ...used].join(', '),
  );
};

/** What the hosts of the pool last said; where there is none, that is what is wrong. */
export const hostChecks = (facts: Facts): readonly Check[] => {
  const { hosts, pool } = facts.standing;
  if (hosts.length === 0)
    return [
      {
        name: 'hosts',
        run: async () =>
          wrong(
            `pool ${pool} has no mail host: nothing can sign`,
            'selkie-agent enrol   (on the mail host; docs/aws.md)',
          ),
      },
    ];
  if (hosts.length <= mostHosts)
    return hosts.map((host) => ({ name: `host ${host.host}`, run: async () => judgeHost(host, facts) }));
  // More than a screen holds: those that are wrong by name, the others counted.
  return [
    {
      name: `hosts of ${pool}`,
      run: async () => {
        const problems = gather();
        const judged = hosts.map((host) => ({ host, seen: judgeHost(host, facts) }));
        for (const { host, seen } of judged)
          for (const { problem, mends } of seen.findings) problems.at(host.host, problem, ...mends);
        const findings = problems.findings();
        const away = judged.filter(({ seen }) => seen.skipped !== undefined).length;
        const note = `${hosts.length - away} confirmed${away === 0 ? '' : `, ${away} excluded`}`;
        return findings.length > 0 ? { findings } : sound(note);
      },
    },
  ];
};

const mostHosts = 12;
