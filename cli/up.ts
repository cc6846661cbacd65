// `selkie up`: the engine, a name server, the API and an agent on this machine, until it is stopped.
import { once as event } from 'node:events';
import { SelkieError } from '../core/errors.ts';
import type { Fleet } from '../core/policy.ts';
import { formatInstant } from '../core/time.ts';
import type { Happening } from '../engine/ports.ts';
import { statusOf } from '../engine/status.ts';
import { openSession } from '../engine/world.ts';
import { type LocalOptions, type LocalWorld, startLocalWorld } from './local-world.ts';

const optionOf: Readonly<Record<string, string>> = {
  dnsPort: '--dns-port',
  apiPort: '--api-port',
  pushPort: '--push-port',
  milterPort: '--milter-port',
};

/** A busy port says which option changes it. */
const withOption = (error: unknown): unknown => {
  const option = error instanceof SelkieError ? optionOf[error.field ?? ''] : undefined;
  return option === undefined || !(error instanceof SelkieError)
    ? error
    : new SelkieError(error.code, `${error.message} (choose another port with ${option}, 0 for a free one)`, {
        cause: error,
      });
};

const line = ({ at, level, domain, says }: Happening): string =>
  `${formatInstant(at).slice(11, 19)} ${level === 'step' ? ' ' : '!'} ${domain === undefined ? '' : `${domain}: `}${says}`;

/** Whether its records are in the world, and not in this machine's name server. */
const isByHand = ({ world: { fleet } }: LocalWorld, domain: string): boolean =>
  fleet.zones.get(fleet.domains.get(domain)?.zone ?? '')?.provider === 'manual';

/** What an operator does with it, once the first key signs. */
const howTo = (local: LocalWorld, domain: string, selectors: readonly string[]): string =>
  [
    '',
    `${domain} signs with ${selectors.join(' + ')}. See the record:`,
    ...selectors.map(
      (selector) =>
        `    dig ${isByHand(local, domain) ? '' : `@127.0.0.1 -p ${local.ports.dns} `}+short TXT ${selector}._domainkey.${domain}`,
    ),
    '',
  ].join('\n');

const postfix = (local: LocalWorld, domain: string): string =>
  [
    'Let Postfix on this machine sign through the milter:',
    `    postconf -e smtpd_milters=inet:127.0.0.1:${local.ports.milter} non_smtpd_milters=inet:127.0.0.1:${local.ports.milter}`,
    '    postconf -e milter_default_action=tempfail && postfix reload',
    'In another terminal:',
    '    npm run selkie -- status',
    `    npm run selkie -- rotate ${domain} --wait`,
    '',
  ].join('\n');

const announceWhenActive = (
  local: LocalWorld,
  domains: readonly string[],
  say: (text: string) => void,
): NodeJS.Timeout => {
  const waiting = new Set(domains);
  return setInterval(async () => {
    for (const domain of waiting) {
      const status = await openSession(local.world)
        .then((session) => statusOf(local.world, session, domain))
        .catch(() => undefined);
      const active =
        status?.keys.filter(({ state }) => state === 'active').map(({ selector }) => selector) ?? [];
      if (active.length === 0 || !waiting.delete(domain)) continue;
      say(howTo(local, domain, active));
      if (waiting.size === 0) say(postfix(local, domain));
    }
  }, 200);
};

export const up = async (options: {
  readonly dir: string;
  readonly fleet: Fleet;
  readonly ports: LocalOptions['ports'];
}): Promise<void> => {
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  const local = await startLocalWorld({
    ...options,
    report: (happening) => say(line(happening)),
    log: (text) => say(`           ${text}`),
  }).catch((error: unknown) => {
    throw withOption(error);
  });
  const { ports } = local;
  say(
    `selkie is up: DNS 127.0.0.1:${ports.dns} (UDP and TCP), API http://127.0.0.1:${ports.api} (token in ${options.dir}/api.json), milter inet:${ports.milter}@127.0.0.1, push 127.0.0.1:${ports.push}`,
  );
  // Whoever reads a log later is not to have it: a terminal alone shows the link that opens it.
  say(
    process.stdout.isTTY
      ? `console (opens once; npm run selkie -- console prints another): ${local.consoleLink()}`
      : 'console: npm run selkie -- console prints a link that opens it',
  );
  const domains = [...options.fleet.domains.values()]
    .filter(({ leaving }) => !leaving)
    .map(({ domain }) => domain);
  const announcing = announceWhenActive(local, domains.slice(0, 5), say);
  await Promise.race([event(process, 'SIGINT'), event(process, 'SIGTERM')]);
  clearInterval(announcing);
  say('stopping; started again, it goes on from here');
  await local.close();
};
