// Mail that flows all the time: small messages through the milter, as an MTA hands them over. What comes back signed goes
// to the judge; what comes back without a signature, after the domain had its first one, is a violation (invariant 3).
import { setTimeout as sleep } from 'node:timers/promises';
import { type MilterConnection, openMilter } from '../../agent/milter/client.ts';
import { parseMessage } from '../../agent/milter/raw-message.ts';
import { signatureFieldName } from '../../core/dkim/signature-header.ts';
import type { Chance } from './chance.ts';
import type { MovedClock } from './clock.ts';
import { domains, type TorturedDomain } from './fleet.ts';
import type { Judge } from './judge.ts';
import type { Tally } from './tally.ts';

/** Between two messages of one sender, in milliseconds. */
const pause = { least: 5, most: 60 };
/** An MTA's patience with a milter, in milliseconds; a killed process resets its connections long before. */
const patience = 10_000;

const messageOf = (domain: string, n: number, length: number): Uint8Array =>
  new TextEncoder().encode(
    [
      `From: Sender <postmaster@${domain}>`,
      'To: someone@example.com',
      `Subject: message ${n}`,
      'Date: Tue, 24 Nov 2026 10:00:00 +0000',
      `Message-ID: <${n}@${domain}>`,
      '',
      ...Array.from({ length }, (_, line) => `${n} ${line} The quick brown fox  jumps over the lazy dog.`),
      '',
    ].join('\r\n'),
  );

const tag = (value: string, name: string): string =>
  new RegExp(`(?:^|;)\\s*${name}=\\s*([^;\\s]*)`).exec(value)?.[1] ?? '';

/** Of each signature, from the top. */
export const signaturesOf = (raw: Uint8Array): readonly { selector: string; algorithm: string }[] =>
  parseMessage(raw)
    .fields.filter(({ name }) => name === signatureFieldName)
    .map(({ value }) => ({ selector: tag(value, 's'), algorithm: tag(value, 'a') }));

export interface Mail {
  /** Ends when the messages in hand are through. */
  stop(): Promise<void>;
}

export const startMail = (options: {
  readonly milterPort: () => number;
  readonly chance: Chance;
  readonly tally: Tally;
  readonly judge: Judge;
  readonly clock: MovedClock;
  readonly senders: number;
}): Mail => {
  const { milterPort, chance, tally, judge, clock } = options;
  /** Domains that signed before: from then on every message is signed. */
  const signs = new Set<string>();
  let stopping = false;
  let n = 0;

  const take = (domain: TorturedDomain, sent: number, signedBefore: boolean, raw: Uint8Array): void => {
    const signatures = signaturesOf(raw);
    if (signatures.length === 0) {
      tally.count(signedBefore ? 'unsigned' : 'before the first key');
      if (signedBefore)
        tally.violation(`invariant 3: message ${sent} of ${domain.domain} passed without a signature`);
      return;
    }
    signs.add(domain.domain);
    tally.count('signed');
    if (new Set(signatures.map(({ algorithm }) => algorithm)).size < signatures.length)
      tally.violation(
        `message ${sent} of ${domain.domain} is signed twice with one algorithm: ${signatures.map(({ selector }) => selector).join(', ')}`,
      );
    if (signatures.length < domain.signatures)
      tally.violation(
        `invariant 3: message ${sent} of ${domain.domain} bears ${signatures.length} of ${domain.signatures} signatures: ${signatures.map(({ selector }) => selector).join(', ')}`,
      );
    judge.take({ n: sent, domain, at: clock.now(), offset: clock.offset(), raw });
  };

  const send = async (connection: MilterConnection): Promise<void> => {
    const domain = chance.pick(domains);
    n += 1;
    const sent = n;
    const signedBefore = signs.has(domain.domain);
    const message = {
      macros: { i: `TORTURE${sent}` },
      from: `postmaster@${domain.domain}`,
      to: ['someone@example.com'],
      raw: messageOf(domain.domain, sent, chance.between(0, 40)),
    };
    if (chance.often(0.02)) {
      await connection.sendAndAbort(message);
      return;
    }
    const { verdict, raw } = await connection.send(message);
    tally.count('answered');
    if (verdict === 'accept') take(domain, sent, signedBefore, raw);
    else if (verdict === 'tempfail') tally.count('put off');
    else tally.violation(`the milter answered ${verdict} to message ${sent} of ${domain.domain}`);
  };

  const sender = async (): Promise<void> => {
    while (!stopping) {
      try {
        const connection = await openMilter({ host: '127.0.0.1', port: milterPort() }, { timeout: patience });
        while (!stopping) {
          await send(connection);
          await sleep(chance.between(pause.least, pause.most));
        }
        await connection.close();
      } catch {
        // The process is down: the MTA has the message still, and tries again.
        tally.count('not taken');
        await sleep(40);
      }
    }
  };

  const senders = Promise.all(Array.from({ length: options.senders }, sender));
  return {
    async stop() {
      stopping = true;
      await senders;
    },
  };
};
