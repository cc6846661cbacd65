// Asks a running OpenDKIM what it signs with: a message of our own through its milter socket, as an internal and
// authenticated client hands it over. What it answers is kept nowhere and goes to nobody.
import { type MilterConnection, type MilterTarget, openMilter } from '../../milter/client.ts';
import { type FoundSignature, signaturesOf } from '../check-signature.ts';

export interface Canary {
  /** What a message of this author is signed with. */
  ask(author: string): Promise<CanaryAnswer>;
  close(): Promise<void>;
}

export interface CanaryAnswer {
  /** What OpenDKIM said to the message: `tempfail` where it cannot use a key. */
  readonly verdict: 'accept' | 'tempfail' | 'reject' | 'discard';
  readonly signatures: readonly FoundSignature[];
}

/** What administrators see in OpenDKIM's log in place of a queue id. */
const canaryId = 'selkie-canary';

const messageOf = (author: string): Uint8Array =>
  Buffer.from(
    [
      `From: ${author}`,
      'To: canary@selkie.invalid',
      'Subject: which key signs',
      'Date: Thu, 1 Jan 1970 00:00:00 +0000',
      `Message-ID: <${canaryId}@selkie.invalid>`,
      '',
      'A message of selkie-agent to OpenDKIM; it is delivered to nobody.',
      '',
    ].join('\r\n'),
  );

/** One connection, so one view of the tables: OpenDKIM gives a connection those that it had when it was opened. */
export const openCanary = async (target: MilterTarget, timeout: number): Promise<Canary> => {
  const connection: MilterConnection = await openMilter(target, { timeout });
  return {
    async ask(author) {
      const { verdict, raw } = await connection.send({
        // Signed for where internal hosts are (127.0.0.1 of openMilter), and where only logins are.
        macros: { i: canaryId, auth_type: 'PLAIN', daemon_name: 'ORIGINATING' },
        from: author,
        to: ['canary@selkie.invalid'],
        raw: messageOf(author),
      });
      return { verdict, signatures: signaturesOf(raw) };
    },
    close: () => connection.close(),
  };
};
