// A mail host as a whole: Postfix, its signer, the agent, and beyond it a server that keeps what it is sent.
import { type Postfix, startPostfix } from '../tools/postfix.ts';
import { type SmtpSink, startSmtpSink } from '../tools/smtp.ts';
import { type AgentProcess, enrolAgent } from './agent-process.ts';
import { refused } from './messages.ts';
import { type DriverName, type MailSigner, signers } from './signers.ts';

export interface MailHost {
  readonly signer: MailSigner;
  readonly postfix: Postfix;
  readonly agent: AgentProcess;
  readonly sink: SmtpSink;
  /** When each message of the sink came: milliseconds since 1970. */
  readonly arrivals: readonly number[];
  end(): Promise<void>;
}

/** What an administrator sets in Postfix, as `selkie-agent setup` does; then what this test needs. */
const settings = (milter: string, domain: string): Readonly<Record<string, string>> => ({
  smtpd_milters: milter,
  non_smtpd_milters: milter,
  milter_default_action: 'tempfail',
  milter_protocol: '6',
  internal_mail_filter_classes: 'bounce',
  // Bounces are from MAILER-DAEMON@$myorigin.
  myorigin: domain,
  // Lines are broken when mail leaves, which is after it was signed.
  smtp_line_length_limit: '0',
  in_flow_delay: '0',
});

export interface MailHostOptions {
  readonly driver: DriverName;
  /** Bounces are from here. */
  readonly domain: string;
  /** Told the agent's state folder before anything is in it. @returns what undoes it, after the agent has ended */
  readonly prepare?: (dir: string) => () => void;
  /** The agent's environment, besides this process's. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts all of it; the agent last, with no key yet. */
export const startMailHost = async ({
  driver,
  domain,
  prepare,
  env = {},
}: MailHostOptions): Promise<MailHost> => {
  const ends: (() => Promise<void>)[] = [];
  const end = async (): Promise<void> => {
    for (const one of ends.splice(0).toReversed()) await one();
  };
  try {
    const sink = await startSmtpSink();
    ends.push(() => sink.close());
    sink.recipient = (address) => (address === refused ? '550 5.1.1 no such user' : '250 2.1.5 Ok');
    const arrivals: number[] = [];
    const push = sink.messages.push.bind(sink.messages);
    sink.messages.push = (...messages) => {
      arrivals.push(...messages.map(() => Date.now()));
      return push(...messages);
    };
    const signer = await signers[driver]();
    ends.push(() => signer.end());
    const postfix = await startPostfix({ deliverTo: sink.port, settings: settings(signer.milter, domain) });
    ends.push(() => postfix.close());
    const { user } = signer;
    const undo = prepare?.(signer.dir);
    if (undo !== undefined) ends.push(async () => undo());
    const agent = await enrolAgent({
      dir: signer.dir,
      // YAML takes JSON.
      config: JSON.stringify({ ...signer.config, postfix: { configDirectories: [postfix.configDirectory] } }),
      env,
      ...(user === undefined ? {} : { user }),
    });
    ends.push(async () => void (await agent.stop()));
    await agent.start();
    return { signer, postfix, agent, sink, arrivals, end };
  } catch (error) {
    await end();
    throw error;
  }
};
