// Hands a canary to a mail host's Postfix, as a mail program does: SMTP with STARTTLS where it is offered, and with a name and a
// password where the environment has them.

import { createTransport } from 'nodemailer';
import { describe, SelkieError } from '../../core/errors.ts';
import type { Canary } from './canary.ts';

export interface SmtpPlace {
  readonly host: string;
  readonly port: number;
}

export const smtpName = ({ host, port }: SmtpPlace): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`;

const submissions = 465;

/** SELKIE_SMTP_USER and SELKIE_SMTP_PASSWORD; an option would be seen by everybody in the list of processes. @throws invalid */
const loginOf = (env: NodeJS.ProcessEnv): { readonly user: string; readonly pass: string } | undefined => {
  const { SELKIE_SMTP_USER: user = '', SELKIE_SMTP_PASSWORD: pass = '' } = env;
  if (user === '' && pass === '') return undefined;
  if (user === '' || pass === '')
    throw new SelkieError(
      'invalid',
      'SELKIE_SMTP_USER and SELKIE_SMTP_PASSWORD go together: set both or none',
    );
  return { user, pass };
};

/**
 * @returns what the server answered: `250 2.0.0 Ok: queued as 4ZQ…`
 * @throws unavailable: nobody answers; rejected: it does not take the message
 */
export const sendCanary = async (place: SmtpPlace, { from, to, raw }: Canary): Promise<string> => {
  const auth = loginOf(process.env);
  const loopback = ['localhost', '127.0.0.1', '::1'].includes(place.host);
  const transport = createTransport({
    ...place,
    secure: place.port === submissions,
    ...(auth === undefined ? {} : { auth }),
    // A password goes to nobody but the host that its certificate names. Without one there is nothing to lose: a host's own
    // port 25 has any certificate, as Postfix makes them.
    requireTLS: auth !== undefined && !loopback,
    tls: { rejectUnauthorized: auth !== undefined && !loopback },
    connectionTimeout: 15_000,
    greetingTimeout: 15_000,
    socketTimeout: 30_000,
  });
  try {
    const { response } = await transport.sendMail({ envelope: { from, to }, raw: Buffer.from(raw) });
    return response;
  } catch (cause) {
    const code = cause instanceof Error && 'responseCode' in cause ? cause.responseCode : undefined;
    throw new SelkieError(
      code === undefined ? 'unavailable' : 'rejected',
      `${smtpName(place)} does not take it: ${describe(cause)}`,
      { cause },
    );
  } finally {
    transport.close();
  }
};
