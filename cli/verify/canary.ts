// The canary: a message of the domain that shows how a host signs, and what a large receiver says of it. Judged by mailauth, a
// verifier that is not ours, with DNS as it is published.

import { BlockList, isIP } from 'node:net';
import { authenticate } from 'mailauth';
import type { MailResolver } from './dns-view.ts';
import type { Facts, Seen } from './facts.ts';

export interface Canary {
  readonly id: string;
  /** Envelope addresses. */
  readonly from: string;
  readonly to: string;
  readonly raw: Uint8Array;
}

/** @param id of letters and digits; it is in the Message-ID, by which the message is known again */
export const makeCanary = (
  domain: string,
  id: string,
  to: string,
  now: Date,
  from = `selkie-canary@${domain}`,
): Canary => ({
  id,
  from,
  to,
  raw: new TextEncoder().encode(
    [
      `From: Selkie canary <selkie-canary@${domain}>`,
      `To: <${to}>`,
      'Subject: Selkie canary: nothing to do',
      `Date: ${now.toUTCString().replace('GMT', '+0000')}`,
      `Message-ID: <${id}@${domain}>`,
      'Auto-Submitted: auto-generated', // RFC 3834 §5: no out-of-office answers
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8',
      '',
      'This message shows with which DKIM keys a mail host signs.',
      'It was sent by selkie verify, and needs no answer.',
      '',
    ].join('\r\n'),
  ),
});

/** A canary as it came out at the other end. */
export interface Arrived {
  readonly raw: Uint8Array;
  /** MAIL FROM. */
  readonly sender?: string;
  /** Whose connection brought it; absent: nobody's, it was never sent, or it is read from Received. */
  readonly ip?: string;
  readonly helo?: string;
  /** Client, HELO and MAIL FROM are read from the message's own trace fields. */
  readonly trusted?: true;
}

export interface Verdict extends Seen {
  /** The field that a receiver would add: RFC 8601. Empty where nothing came. */
  readonly authenticationResults: string;
}

/** What a host is to sign with. */
export interface Expected {
  /** All of these. */
  readonly selectors: readonly string[];
  /** These may, where its signer knows their key type. */
  readonly optional: readonly string[];
  /** Those before, while hosts change over: in place of the others. */
  readonly before: readonly string[];
}

const inner = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const)
  inner.addSubnet(net, bits, 'ipv4');
for (const [net, bits] of [
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
] as const)
  inner.addSubnet(net, bits, 'ipv6');

/** Whether a receiver elsewhere never sees this address. */
const isInner = (ip: string): boolean => {
  const version = isIP(ip);
  return version === 0 || inner.check(ip, version === 4 ? 'ipv4' : 'ipv6');
};

const headerIn = (headers: string): string => {
  const field = /^Authentication-Results:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*/im.exec(headers)?.[0] ?? '';
  return field.replace(/\s+/g, ' ').trim();
};

const signers = (facts: Facts, host: string | undefined): Facts['standing']['hosts'] => {
  const { hosts } = facts.standing;
  const named = hosts.filter((each) => each.host === host);
  return named.length > 0 ? named : hosts;
};

/** @param host the canary's, where the fleet may know it; else what every host of the pool can sign with is asked for */
export const expectedOf = (facts: Facts, host: string | undefined): Expected => {
  const { signing } = facts.standing;
  const signs = signers(facts, host).map((each) => each.signs);
  const selectors = signing.filter((selector) => signs.every((able) => able.includes(selector)));
  const active = facts.keys.flatMap((key) => (key.state === 'active' ? [key.selector] : []));
  return {
    selectors,
    optional: signing.filter((selector) => !selectors.includes(selector)),
    before: active.filter((selector) => !signing.includes(selector)),
  };
};

const unsignedMends = [
  'selkie-agent doctor   (on that host: is Postfix told of the milter, is the client internal?)',
  'selkie-agent setup    (on that host: tells Postfix of it)',
];

/** What is wrong with the signatures of the domain itself. */
const judgeSelectors = (
  used: readonly string[],
  { selectors, optional, before }: Expected,
): Seen['findings'] => {
  const wanted = selectors.join(' + ');
  if (used.length === 0)
    return [{ problem: `it is unsigned; ${wanted || 'a key'} should sign it`, mends: unsignedMends }];
  if (used.every((selector) => before.includes(selector))) return [];
  const other = used.filter((selector) => !selectors.includes(selector) && !optional.includes(selector));
  const missing = selectors.filter((selector) => !used.includes(selector));
  const mends = [
    'selkie-agent doctor   (on that host)',
    'is another signer at work there? postconf smtpd_milters non_smtpd_milters',
  ];
  return [
    ...(other.length === 0
      ? []
      : [{ problem: `it is signed with ${other.join(' + ')}, which should not sign now`, mends }]),
    ...(missing.length === 0 ? [] : [{ problem: `it is not signed with ${missing.join(' + ')}`, mends }]),
  ];
};

const spfFindings = (result: string, comment: string | undefined, ip: string): Seen['findings'] =>
  result === 'pass'
    ? []
    : [
        {
          problem: `spf=${result} for ${ip}${comment === undefined ? '' : ` (${comment})`}`,
          mends: [`add ip${ip.includes(':') ? 6 : 4}:${ip} to the SPF record, or see the SPF check`],
        },
      ];

/** @param seenAs in place of an address that no receiver elsewhere would see */
export const judgeCanary = async (
  arrived: Arrived,
  domain: string,
  expected: Expected,
  resolver: MailResolver,
  seenAs?: string,
): Promise<Verdict> => {
  const own = arrived.ip === undefined || isInner(arrived.ip) ? undefined : arrived.ip;
  const ip = seenAs ?? own;
  const { dkim, spf, dmarc, headers } = await authenticate(Buffer.from(arrived.raw), {
    ...(arrived.trusted === true ? { trustReceived: true } : {}),
    ...(arrived.sender === undefined ? {} : { sender: arrived.sender }),
    ...(ip === undefined ? {} : { ip }),
    ...(arrived.helo === undefined || ip === undefined ? {} : { helo: arrived.helo }),
    mta: 'selkie-verify',
    resolver,
    strict: true,
    disableArc: true,
    disableBimi: true,
  });
  const ours = dkim.results.filter(({ signingDomain }) => signingDomain?.toLowerCase() === domain);
  const used = [...new Set(ours.flatMap(({ selector }) => selector ?? []))];
  const failed = ours.filter(({ status }) => status.result !== 'pass');
  const policy = dmarc === false ? undefined : dmarc.status.result;
  // Without an address there is none, whatever its type says.
  const spfResult = spf ? spf.status : undefined;
  const traced = spf && !isInner(spf['client-ip']) ? spf['client-ip'] : undefined;
  const judged = ip ?? traced;
  const findings = [
    ...judgeSelectors(used, expected),
    ...failed.map(({ selector = '?', status }) => ({
      problem: `dkim=${status.result} for ${selector}${status.comment === undefined ? '' : ` (${status.comment})`}`,
      mends: [
        `look at the check record ${selector}; where that is right, something changes mail after it was signed: selkie-agent doctor`,
      ],
    })),
    ...(judged === undefined || spfResult === undefined
      ? []
      : spfFindings(spfResult.result, spfResult.comment, judged)),
    // Where there is no policy, the check of DMARC says so.
    ...(policy === 'fail'
      ? [
          {
            problem: 'dmarc=fail: no signature and no SPF pass aligns with From',
            mends: unsignedMends.slice(0, 1),
          },
        ]
      : []),
  ];
  const field = headerIn(headers);
  // What mailauth says of SPF without an address is not what a receiver would say.
  const authenticationResults = judged === undefined ? field.replace(/; spf=[^;]*/, '') : field;
  if (findings.length > 0) return { findings, authenticationResults };
  const words = [
    `dkim=pass (${used.join(' + ')})`,
    judged === undefined ? 'spf not judged (--seen-as ADDRESS)' : `spf=pass (${judged})`,
    policy === undefined ? '' : `dmarc=${policy}`,
  ];
  return { findings, note: words.filter((word) => word !== '').join(', '), authenticationResults };
};
