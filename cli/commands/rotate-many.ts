// `selkie rotate --all`, `--zone` and `--pool`: one order for many domains. The service carries it out as fast as the provider
// takes the records; the command only gives it, and says how to look.

import { SelkieError } from '../../core/errors.ts';
import type { Api } from '../client.ts';
import { confirm } from '../confirm.ts';
import { say, sayJson } from '../out.ts';
import { minute } from '../print.ts';

/** Which domains: one of the three. */
export interface Which {
  readonly all?: true;
  readonly zone?: string;
  readonly pool?: string;
}

interface Options extends Which {
  readonly emergency?: true;
  readonly unsigned?: true;
  readonly reason?: string;
  readonly yes?: true;
  readonly json?: true;
  readonly wait?: true;
  readonly compromised?: string;
}

interface Weighed {
  readonly domains: number;
  readonly until: string;
}

const pathOf = ({ zone, pool }: Which): string =>
  zone !== undefined
    ? `/v1/zones/${encodeURIComponent(zone)}/rotations`
    : pool !== undefined
      ? `/v1/pools/${encodeURIComponent(pool)}/rotations`
      : '/v1/rotations';

const nameOf = ({ zone, pool }: Which): string =>
  zone !== undefined ? `zone ${zone}` : pool !== undefined ? `pool ${pool}` : 'the fleet';

const count = (n: number): string => `${n} ${n === 1 ? 'domain' : 'domains'}`;

/** @throws invalid: an option that is of one domain, or no reason */
const checkOptions = ({ reason, wait, compromised, unsigned, emergency }: Options): string => {
  if (compromised !== undefined)
    throw new SelkieError(
      'invalid',
      '--compromised names a key of one domain: --emergency replaces the keys that sign for each',
    );
  if (unsigned === true && emergency !== true)
    throw new SelkieError('invalid', '--unsigned goes with --emergency');
  if (wait === true)
    throw new SelkieError(
      'invalid',
      '--wait shows the steps of one domain: leave it out, and look with selkie status',
    );
  if (reason === undefined || reason.trim() === '')
    throw new SelkieError(
      'invalid',
      'an order for many domains wants --reason: it stays in the audit trail of each',
    );
  return reason;
};

const whatHappens = ({ emergency, unsigned }: Options): string =>
  emergency !== true
    ? 'new keys'
    : unsigned === true
      ? 'new keys in a hurry, and those that sign now are revoked at once: until the new ones sign, mail goes unsigned'
      : 'new keys in a hurry, and those that sign now are revoked';

/** @throws what the API says: not-found where it means no domain; invalid: as above, or nobody confirmed it */
export const rotateMany = async (api: Api, options: Options): Promise<void> => {
  const reason = checkOptions(options);
  const path = pathOf(options);
  const { domains, until } = await api.call<Weighed>('GET', path);
  if (domains > 1)
    await confirm(
      `${count(domains)} of ${nameOf(options)} get ${whatHappens(options)}; the work on the last begins ${minute(until)}.`,
      domains,
      options,
    );
  const answer = await api.call<Weighed & { readonly joined: boolean }>('POST', path, {
    reason,
    ...(options.emergency === true ? { kind: 'emergency' } : {}),
    ...(options.unsigned === true ? { unsigned: true } : {}),
  });
  if (options.json === true) return sayJson(answer);
  const what = options.emergency === true ? 'emergency rotation' : 'rotation';
  say(
    `${what} of ${count(answer.domains)} of ${nameOf(options)} ${answer.joined ? 'was requested before' : 'requested'}: the work on the last begins ${minute(answer.until)}`,
  );
  say('look with: selkie status');
};
