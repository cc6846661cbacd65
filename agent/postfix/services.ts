// What master.cf's services are to a signer: which take mail in, which take it back from a content filter. Pure.
import { splitList } from './address.ts';
import type { Instance, Service } from './read.ts';

/**
 * An smtpd that takes mail back from a content filter (FILTER_README, "advanced"): it has no filter, though others have, and
 * listens within this host. A submission service that skips the filter is none: its mail would go unsigned.
 */
export const isReinjection = (instance: Instance, service: Service): boolean =>
  filtersOf(instance).length > 0 &&
  instance.inService(service, 'content_filter') === '' &&
  service.expanded.get('smtpd_sasl_auth_enable') !== 'yes' &&
  /^(?:127\.[\d.]+:|localhost:|\[::1\]:|100\d\d\/)/.test(service.name);

export const filtersOf = (instance: Instance): readonly string[] => [
  ...new Set(
    [
      instance.setting('content_filter'),
      ...instance.services.map((service) => service.expanded.get('content_filter') ?? ''),
    ].filter((filter) => filter !== ''),
  ),
];

export const usesMilters = (instance: Instance, service: Service): boolean =>
  !splitList(instance.inService(service, 'receive_override_options')).includes('no_milters');
