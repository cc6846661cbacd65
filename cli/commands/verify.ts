// `selkie verify`: whether a domain's mail is authenticated as it should be, from DNS to a message that arrives.

import { isIP } from 'node:net';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseServer } from '../../adapters/dns/delegation.ts';
import type { MilterTarget } from '../../agent/milter/client.ts';
import { parseSocket } from '../../agent/opendkim/socket.ts';
import { describe } from '../../core/errors.ts';
import { connect, folderOf, goesToAws, type Where, wayTo } from '../connection.ts';
import { readApiAddress } from '../local-world.ts';
import { example, reading, wholeNumber } from '../options.ts';

const parts = ['dns', 'spf', 'dmarc', 'hosts', 'canary'] as const;
type Part = (typeof parts)[number];

/** What `parse` refuses is not understood: status 2. */
const parsed =
  <T>(parse: (text: string) => T) =>
  (text: string): T => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(describe(error));
    }
  };
const many =
  <T>(parse: (text: string) => T) =>
  (text: string, before: readonly T[] = []): readonly T[] => [...before, parsed(parse)(text)];

const place = (port: number) => (text: string) => {
  const found = parseServer(text, port);
  return { host: found.host, port: found.port };
};
const resolver = (text: string): string => {
  if (isIP(parseServer(text, 53).host) === 0) throw new InvalidArgumentError('an address, or address:port');
  return text;
};
const sinkPlace = (text: string) => {
  const found = text.endsWith(':0') ? { ...place(25)(text.slice(0, -2)), port: 0 } : place(25)(text);
  if (isIP(found.host) === 0) throw new InvalidArgumentError('an address of this machine, or address:port');
  return found;
};
const milterPlace = (text: string): MilterTarget =>
  /^(?:local|unix|inet6?):|^\//i.test(text) ? parseSocket(text) : place(8891)(text);
const address = (text: string): string => {
  if (isIP(text) === 0) throw new InvalidArgumentError('an IP address');
  return text;
};
const mailbox = (text: string): string => {
  if (!/^[^\s<>@]+@[^\s<>@]+$/.test(text))
    throw new InvalidArgumentError('an address such as you@example.jp');
  return text;
};
const partsIn = (text: string): readonly Part[] =>
  text.split(',').map((part) => {
    const found = parts.find((each) => each === part.trim());
    if (found === undefined) throw new InvalidArgumentError(`some of ${parts.join(', ')}`);
    return found;
  });

interface Options {
  readonly resolver?: readonly string[];
  readonly milter?: MilterTarget;
  readonly smtp?: readonly { readonly host: string; readonly port: number }[];
  readonly sink?: { readonly host: string; readonly port: number };
  readonly to?: string;
  readonly mailFrom?: string;
  readonly seenAs?: readonly string[];
  readonly message?: string;
  readonly wait: number;
  readonly except?: readonly Part[];
  readonly json?: true;
}

export const addVerify = (program: Command): void => {
  const command = reading(
    program
      .command('verify')
      .description('DNS, hosts and a canary message: pass or fail, and the command that mends it')
      .argument('<domain>')
      .addOption(
        new Option(
          '--resolver <address>',
          "a recursive resolver in place of the system's; may be repeated",
        ).argParser(many(resolver)),
      )
      .addOption(
        new Option(
          '--milter <socket>',
          "sends a canary through it (by default that of this machine's Selkie)",
        ).argParser(parsed(milterPlace)),
      )
      .addOption(
        new Option(
          '--smtp <host>',
          'sends a canary through its Postfix, HOST or HOST:PORT; may be repeated',
        ).argParser(many(place(25))),
      )
      .addOption(
        new Option('--sink <address>', 'receives the canary here: ADDRESS or ADDRESS:PORT').argParser(
          parsed(sinkPlace),
        ),
      )
      .addOption(new Option('--to <mailbox>', "the canary's recipient").argParser(parsed(mailbox)))
      .addOption(new Option('--mail-from <address>', 'its envelope sender').argParser(parsed(mailbox)))
      .addOption(
        new Option(
          '--seen-as <address>',
          "from where receivers see the host's mail come; may be repeated",
        ).argParser(many(address)),
      )
      .option('--message <file>', 'judges a message that arrived, as a mail program saved it; - reads it')
      .option('--wait <seconds>', 'for the canary to arrive', wholeNumber(1, 3_600, 'seconds are'), 60)
      .addOption(
        new Option('--except <checks>', `leaves some out, with commas: ${parts.join(', ')}`).argParser(
          parsed(partsIn),
        ),
      ),
  ).action(async (domain: string, options: Options, self: Command) => {
    if (options.smtp !== undefined && options.sink === undefined && options.to === undefined)
      self.error(
        'error: --smtp sends a canary, and --sink ADDRESS:PORT or --to MAILBOX says where it arrives',
        { exitCode: 2 },
      );
    if (options.sink !== undefined && options.smtp === undefined)
      self.error('error: --sink waits for a canary, and --smtp HOST says who sends it', { exitCode: 2 });
    const where: Where = self.optsWithGlobals();
    const api = await connect(self);
    // Only here: the verifier takes longer to load than all else.
    const { verify } = await import('../verify/verify.ts');
    const ok = await verify({
      api,
      domain,
      way: wayTo(where),
      json: options.json === true,
      ...(goesToAws(where) ? {} : { local: readApiAddress(folderOf(where)) }),
      ...options,
    });
    if (!ok) process.exitCode = 1;
  });
  example(
    command,
    'selkie verify example.jp',
    'selkie verify example.jp --smtp mx1.example.jp --sink 203.0.113.9:25',
    'selkie verify example.jp --json --except canary',
  );
};
