// Does Postfix send its mail through the signer? Everything that setup would change is wrong, and what it remarks as wrong;
// besides: is the signer there, may Postfix reach it, and does Postfix know that mail to this host's own name is its own.
// Asks Postfix and the milter; changes nothing.
import { milterTrouble, postfixAccess, targetOf, type User } from '../postfix/access.ts';
import { postfixAddress, splitList } from '../postfix/address.ts';
import type { Exec } from '../postfix/exec.ts';
import { commandOf, planInstance } from '../postfix/plan.ts';
import type { Instance } from '../postfix/read.ts';
import type { Wish } from '../postfix/wish.ts';
import type { AgentService } from '../service.ts';
import { type Check, type Finding, sound, wrong } from './check.ts';

/** The signer itself, as a milter: once, whatever the number of instances. */
export const milterCheck = (wish: Wish): Check => ({
  name: 'milter',
  async run() {
    const { milter, service } = wish;
    const trouble = await milterTrouble('path' in milter ? { path: milter.path } : milter);
    const address = postfixAddress(milter, '/');
    return trouble === undefined
      ? sound(`answers at ${address}`)
      : wrong(
          `nobody answers as a milter at ${address} (${trouble}): Postfix puts off all mail`,
          `systemctl restart ${service}`,
          `ss -lxtp | grep ${service}   (where it listens; /etc/selkie-agent.yaml says where it should)`,
        );
  },
});

const beforeReason = (before: string | undefined): string =>
  before === undefined ? 'is not set' : before === '' ? 'is empty' : `is ${before}`;

export const instanceCheck = (exec: Exec, instance: Instance, wish: Wish): Check => ({
  name: `Postfix (${instance.name})`,
  async run() {
    const plan = planInstance(instance, wish);
    const reload = `postfix -c ${instance.configDirectory} reload`;
    const findings: Finding[] = [
      ...plan.obstacles,
      ...plan.changes.map((change) => ({
        problem: `${change.parameter} ${beforeReason(change.before)}; it should be ${change.after}: ${change.why}`,
        mends: [`${commandOf(instance, change)} && ${reload}`],
      })),
      ...plan.remarks.flatMap(({ text, mend }) =>
        mend === undefined ? [] : [{ problem: text, mends: [mend] }],
      ),
    ];
    const target = targetOf(plan.milter, instance.queueDirectory);
    if (target !== undefined && 'path' in target && plan.obstacles.length === 0) {
      const access = await postfixAccess(exec, instance, target.path, wish.service);
      if (access !== undefined) findings.push({ problem: access.problem, mends: [access.mend] });
    }
    const status = await exec('postfix', ['-c', instance.configDirectory, 'status']);
    if (status.code !== 0)
      findings.push({ problem: 'it does not run', mends: [`postfix -c ${instance.configDirectory} start`] });
    return { findings, note: `goes through ${plan.milter}` };
  },
});

/**
 * postqueue(1) is setgid, and a service that may not gain rights (NoNewPrivileges=) gets no group by it: the agent's user must
 * be in Postfix's group, or acknowledgements know of no held message.
 */
export const queueAccessCheck = (
  exec: Exec,
  instances: readonly Instance[],
  user: User,
  { unit }: AgentService,
): Check => ({
  name: 'queue',
  async run() {
    const findings: Finding[] = [];
    for (const group of new Set(instances.map((instance) => instance.setting('setgid_group')))) {
      const { code, out } = await exec('getent', ['group', group]);
      if (code !== 0 || user.uid === 0 || user.groups.includes(Number(out.split(':')[2]))) continue;
      findings.push({
        problem: `${user.name}, who the agent runs as, is not in the group ${group}: it cannot ask postqueue for the oldest message, and a key's drain does not count with mail that is held`,
        mends: [`usermod -aG ${group} ${user.name} && systemctl restart ${unit}`],
      });
    }
    return { findings, note: `${user.name} may ask how long mail lies in it` };
  },
});

/** Lists that name domains, not tables: `hash:/…` and the like hold what only postmap(1) could say. */
const domains = (instance: Instance): readonly string[] =>
  (['mydestination', 'virtual_alias_domains', 'virtual_mailbox_domains', 'relay_domains'] as const).flatMap(
    (parameter) => splitList(instance.setting(parameter)).map((one) => one.toLowerCase()),
  );

/**
 * ADDRESS_CLASS_README: what is in no class goes out by DNS. Bounces, cron's mail and other mail to `root` have this host's
 * name; where it is in no class they come back to it and end as "mail for HOST loops back to myself".
 */
export const destinationCheck = (instance: Instance): Check => ({
  name: `local mail (${instance.name})`,
  async run() {
    const host = instance.setting('myhostname').toLowerCase();
    const origin = instance.setting('myorigin').toLowerCase();
    const listed = domains(instance);
    const findings: Finding[] = [];
    if (!host.includes('.') || host.endsWith('.localdomain'))
      findings.push({
        problem: `myhostname is ${host}, no name that others know: bounces and Message-IDs bear it`,
        mends: [
          `postconf -c ${instance.configDirectory} -e 'myhostname = mx.example.com' && postfix -c ${instance.configDirectory} reload`,
        ],
      });
    // A null client, or an instance that only sends on, hands everything to its relay host.
    const sendsOn =
      instance.setting('relayhost') !== '' || !/^smtp:?$/.test(instance.setting('default_transport'));
    const byTable = listed.some((one) => one.includes(':'));
    if (sendsOn || byTable) return { findings, note: sendsOn ? 'is sent on' : 'is looked up in tables' };
    for (const name of new Set([host, origin]))
      if (name.includes('.') && !listed.includes(name)) {
        const written = instance.written('mydestination') ?? '$myhostname, localhost.$mydomain, localhost';
        findings.push({
          problem: `${name} is not in mydestination: mail to root@${name}, bounces among it, is sent out and comes back ("loops back to myself")`,
          mends: [
            `postconf -c ${instance.configDirectory} -e 'mydestination = ${[written, name === host ? '$myhostname' : name].filter(Boolean).join(', ')}' && postfix -c ${instance.configDirectory} reload`,
          ],
        });
      }
    return { findings, note: `${host} is delivered here` };
  },
});
