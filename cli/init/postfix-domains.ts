// The domains that a Postfix on this host has mail of, as postconf and postmap say. Reads only.
import { complaint, type Exec } from '../../agent/postfix/exec.ts';
import { type Parameter, readInstances } from '../../agent/postfix/read.ts';
import { domainName } from '../../fleet/name.ts';

export interface PostfixDomains {
  readonly domains: readonly string[];
  /** What could not be read, and what to do about it. */
  readonly remarks: readonly string[];
}

const parameters = [
  'myorigin',
  'myhostname',
  'mydestination',
  'virtual_alias_domains',
  'virtual_mailbox_domains',
] as const satisfies readonly Parameter[];

/** Names of loopback are no signing domains; nor are addresses such as [192.0.2.1]. */
const isMailDomain = (name: string): boolean =>
  !/^localhost(\.|$)/.test(name) && !('wrong' in domainName(name));

const unread = (parameter: string, item: string, why: string): string =>
  `${parameter} names domains in ${item}, which ${why}: add those that your mail comes from`;

/** @throws SelkieError not-found: no Postfix; unavailable: postconf fails */
export const postfixDomains = async (exec: Exec): Promise<PostfixDomains> => {
  const domains = new Set<string>();
  const remarks: string[] = [];
  const readItem = async (folder: string, parameter: Parameter, item: string): Promise<void> => {
    // postconf(5), domain lists: a name, `type:table` whose keys are the domains, or a file of such; `!` excludes.
    if (isMailDomain(item)) domains.add(item.toLowerCase());
    else if (/^[a-z0-9_]+:/i.test(item)) {
      const { code, out, err } = await exec('postmap', ['-c', folder, '-s', item]);
      if (code !== 0)
        remarks.push(unread(parameter, item, `postmap cannot list (${complaint({ code, out, err })})`));
      for (const line of out.split('\n')) {
        const key = line.split('\t', 1)[0]?.trim() ?? '';
        if (isMailDomain(key)) domains.add(key.toLowerCase());
      }
    } else if (item.startsWith('/')) remarks.push(unread(parameter, item, 'is not read here'));
  };
  for (const instance of await readInstances(exec, undefined))
    for (const parameter of parameters)
      for (const item of instance.setting(parameter).split(/[\s,]+/))
        if (item !== '') await readItem(instance.configDirectory, parameter, item);
  return { domains: [...domains], remarks: [...new Set(remarks)] };
};
