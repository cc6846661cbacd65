// What became of the mail, said by verifiers that share no code with us: each message, with the DNS of the moment when it arrived
// and of the end of the time that it may lie in a queue.

import * as dkimpy from '../oracles/dkimpy.ts';
import * as mailauth from '../oracles/mailauth.ts';
import * as opendkim from '../oracles/opendkim.ts';
import type { OracleResult, Records } from '../oracles/records.ts';
import type { SmtpMessage } from '../tools/smtp.ts';

export const oracles = { dkimpy, opendkim, mailauth } as const;
export type Oracle = keyof typeof oracles;

/** The signature of this domain with this selector, RSA's; Ed25519's goes with it. */
export interface Judged {
  readonly raw: Uint8Array;
  /** In a sentence: which message this is. */
  readonly what: string;
  readonly domain: string;
  /** Times at which it must verify: milliseconds since 1970. */
  readonly at: readonly number[];
  /** How many signatures of the domain it must have. */
  readonly signatures: number;
}

export interface Verdicts {
  /** Oracle → messages × moments that were verified. */
  readonly verified: Readonly<Record<Oracle, number>>;
  /** A sentence each. */
  readonly problems: readonly string[];
}

/** Messages that are judged by one state of the DNS, together. */
const byRecords = (
  messages: readonly Judged[],
  at: (time: number) => Records,
): Map<string, { readonly records: Records; readonly messages: Judged[] }> => {
  const groups = new Map<string, { readonly records: Records; readonly messages: Judged[] }>();
  for (const message of messages)
    for (const time of message.at) {
      const records = at(time);
      const name = Object.keys(records).sort().join(' ');
      const group = groups.get(name) ?? { records, messages: [] };
      groups.set(name, group);
      // Both moments may have one DNS.
      if (group.messages.at(-1) !== message) group.messages.push(message);
    }
  return groups;
};

const fault = (results: readonly OracleResult[], { domain, signatures }: Judged): string | undefined => {
  const own = results.filter((result) => result.domain === domain);
  const passed = own.filter(({ result }) => result === 'pass');
  return own.length === signatures && passed.length === signatures
    ? undefined
    : own.map(({ selector, result }) => `${selector} ${result}`).join(', ') || 'no signature';
};

/** @param say progress, a line each */
export const judge = async (
  messages: readonly Judged[],
  at: (time: number) => Records,
  say: (line: string) => void = () => {},
): Promise<Verdicts> => {
  const verified = { dkimpy: 0, opendkim: 0, mailauth: 0 };
  const problems: string[] = [];
  for (const { records, messages: group } of byRecords(messages, at).values())
    for (const [name, oracle] of Object.entries(oracles)) {
      say(
        `${name}: ${group.length} messages, records ${Object.keys(records)
          .map((one) => one.split('.')[0])
          .join(' ')}`,
      );
      const results = await oracle.verifyAll(
        group.map(({ raw }) => raw),
        records,
      );
      for (const [i, message] of group.entries()) {
        const why = fault(results[i] ?? [], message);
        if (why === undefined) verified[name as Oracle] += 1;
        else problems.push(`${name}: ${message.what}: ${why}`);
      }
    }
  return { verified, problems };
};

/** Selectors of the domain's signatures, as they stand in the header. */
export const selectorsOf = ({ raw }: Pick<SmtpMessage, 'raw'>, domain: string): string[] => {
  const text = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1');
  const header = text.slice(0, text.indexOf('\r\n\r\n')).replaceAll(/\r\n[ \t]+/g, ' ');
  return header.split('\r\n').flatMap((line) => {
    if (!/^DKIM-Signature:/i.test(line)) return [];
    const tag = (name: string): string | undefined =>
      new RegExp(`[:;]\\s*${name}=\\s*([^;\\s]+)`).exec(line)?.[1];
    const selector = tag('s');
    return tag('d') === domain && selector !== undefined ? [selector] : [];
  });
};
