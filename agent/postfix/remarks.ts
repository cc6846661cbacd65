// What setup leaves as it is in an instance, and an administrator should know of it. Pure.
import { parseMilters, sameMilter } from './address.ts';
import type { Instance } from './read.ts';
import { filtersOf, isReinjection, usesMilters } from './services.ts';
import { signerAt } from './signers.ts';
import type { Wish } from './wish.ts';

export interface Remark {
  readonly text: string;
  /** Present where it is wrong, not only worth knowing: the command that mends it. */
  readonly mend?: string;
}

const listed = (instance: Instance): readonly string[] => {
  const lists = [
    instance.setting('smtpd_milters'),
    instance.setting('non_smtpd_milters'),
    ...instance.services.flatMap(({ expanded }) => [
      expanded.get('smtpd_milters') ?? '',
      expanded.get('non_smtpd_milters') ?? '',
    ]),
  ];
  return [...new Set(lists.flatMap((list) => parseMilters(list).map(({ address }) => address)))];
};

/** Other signers: mail would bear two signatures of one domain. */
const otherSigners = (instance: Instance, milter: string, { replace, signers }: Wish): readonly Remark[] => {
  const queue = instance.queueDirectory;
  return listed(instance).flatMap((address): readonly Remark[] => {
    if ([milter, ...replace].some((one) => sameMilter(one, address, queue))) return [];
    const signer = signerAt(address, signers, queue);
    if (signer === undefined) return [];
    const mend = `selkie-agent setup --apply --replace ${address}`;
    return signer.certain
      ? [
          {
            text: `${address} is ${signer.name}, which signs too: mail bears two signatures of one domain`,
            mend,
          },
        ]
      : [{ text: `${address} is ${signer.name}. Where it signs too, let the agent take its place: ${mend}` }];
  });
};

const forSubmission = /^(?:submissions?|smtps|465|587)\/|:(?:submissions?|smtps|465|587)\//;

/** Services whose mail no milter sees. */
const unseen = (instance: Instance): readonly Remark[] =>
  instance.services
    .filter(
      (service) =>
        service.daemon === 'smtpd' && !isReinjection(instance, service) && !usesMilters(instance, service),
    )
    .map((service): Remark => {
      const { name } = service;
      const text = `${name} has receive_override_options with no_milters: what comes in there is not signed`;
      const rest = instance
        .inService(service, 'receive_override_options')
        .split(/[\s,]+/)
        .filter((option) => option !== 'no_milters');
      const mend = `postconf -c ${instance.configDirectory} -P '${name}/receive_override_options=${rest.join(',')}'`;
      return forSubmission.test(name) ? { text, mend } : { text };
    });

/** FILTER_README: "simple" filters are pipe(8) and hand mail back by sendmail, "advanced" ones by SMTP. */
const filters = (instance: Instance): readonly Remark[] =>
  filtersOf(instance).flatMap((filter) => {
    const service = `${filter.split(':', 1)[0]}/unix`;
    const pipes = instance.services.some(({ name, daemon }) => name === service && daemon === 'pipe');
    return [
      {
        text: `the content filter ${filter} sees mail that is signed: it may add header fields, but where it changes the body or the subject of your own mail, signatures break`,
      },
      ...(pipes
        ? [{ text: `the content filter ${filter} hands mail back by sendmail: there it is signed once more` }]
        : []),
    ];
  });

export const remarksOn = (instance: Instance, milter: string, wish: Wish): readonly Remark[] => {
  const maps = instance.setting('smtpd_milter_maps');
  return [
    ...otherSigners(instance, milter, wish),
    ...unseen(instance),
    ...filters(instance),
    ...(maps === ''
      ? []
      : [{ text: `smtpd_milter_maps (${maps}) may choose other milters for some clients` }]),
  ];
};
