// Both milters behind a real Postfix: its own instance on loopback, its queue in memory, mail in by smtp-source(1) and away by
// discard(8). Nothing leaves the machine.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { program } from '../../test/tools/machine.ts';
import { type Postfix, startPostfix } from '../../test/tools/postfix.ts';
import { mailBody } from '../bodies.ts';
import { median, progress } from '../table.ts';
import type { Bed } from './bed.ts';
import type { Figure } from './figures.ts';
import type { Listen, RunningMilter } from './servers.ts';

interface Setting {
  readonly listen: Listen;
  readonly sessions: number;
  /** Messages a second that are to be expected of the faster and of the slower milter at most: for the count of a round. */
  readonly expected: readonly [ours: number, theirs: number];
  readonly goal: number;
  readonly floor: number;
}

const settings: readonly Setting[] = [
  { listen: 'unix', sessions: 8, expected: [700, 450], goal: 1.5, floor: 1.3 },
  { listen: 'inet', sessions: 1, expected: [400, 15], goal: 10, floor: 5 },
];

const size = 10_000;

const messageFile = (folder: string): string => {
  const file = join(folder, 'message');
  const header = [
    'From: Jo Doe <jo.doe@d0.example.com>',
    'To: Some One <someone@recipient.example>',
    'Subject: Minutes of Tuesday, and the figures that were asked for',
    'Date: Tue, 24 Nov 2026 12:00:00 +0000',
    'Message-ID: <6f9619ff-8b86-d011-b42d-00cf4fc964ff@d0.example.com>',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    '',
    '',
  ].join('\n');
  // smtp-source reads a file of the system's lines.
  writeFileSync(file, header + Buffer.from(mailBody(size)).toString('latin1').replaceAll('\r\n', '\n'));
  return file;
};

const signatures = (log: string): number => log.match(/DKIM-Signature field added/g)?.length ?? 0;

const behind = (milter: RunningMilter): Promise<Postfix> =>
  startPostfix({
    settings: {
      smtpd_milters: milter.address,
      milter_default_action: 'tempfail',
      // What is measured is the milter, not how a Postfix defends itself from its one client.
      smtpd_client_connection_count_limit: '0',
      default_process_limit: '200',
      in_flow_delay: '0',
    },
  });

/** Messages a second. @throws Error where a message was not taken */
const send = async (postfix: Postfix, file: string, sessions: number, count: number): Promise<number> => {
  const args = [
    '-s',
    sessions,
    '-m',
    count,
    '-f',
    'jo.doe@d0.example.com',
    '-t',
    'someone@recipient.example',
  ];
  const before = performance.now();
  // Without -d: each message on a connection of its own, as most mail comes.
  await promisify(execFile)(program('smtp-source') ?? 'smtp-source', [
    ...args.map(String),
    '-F',
    file,
    `127.0.0.1:${postfix.port}`,
  ]);
  return (count * 1_000) / (performance.now() - before);
};

const compareBehind = async (bed: Bed, setting: Setting): Promise<Figure> => {
  const { listen, sessions, expected, goal, floor } = setting;
  const name = `Postfix, ${listen}, ${sessions} session${sessions === 1 ? '' : 's'}`;
  progress(name);
  const file = messageFile(bed.folder);
  const agent = await bed.agent(listen);
  const opendkim = await bed.opendkim(listen);
  const [ours, theirs] = [await behind(agent), await behind(opendkim)];
  const rates: [number[], number[]] = [[], []];
  const counts = expected.map((rate) => Math.max(10, Math.round(rate * bed.seconds)));
  const [ourCount = 10, theirCount = 10] = counts;
  try {
    for (const postfix of [ours, theirs]) await send(postfix, file, sessions, 10);
    for (let round = 0; round < bed.rounds; round += 1) {
      const before = signatures(agent.log());
      rates[0].push(await send(ours, file, sessions, ourCount));
      const signed = signatures(agent.log()) - before;
      if (signed !== ourCount) throw new Error(`${name}: of ${ourCount} messages ${signed} were signed`);
      rates[1].push(await send(theirs, file, sessions, theirCount));
    }
  } finally {
    for (const one of [ours, theirs, agent, opendkim]) await one.close();
  }
  return {
    name,
    value: median(rates[0]) / median(rates[1]),
    goal,
    floor,
    more: true,
    detail: `${median(rates[0]).toFixed(0)} and ${median(rates[1]).toFixed(0)} messages/s of 10 KB`,
  };
};

export const postfix = async (bed: Bed): Promise<Figure[]> => {
  const figures: Figure[] = [];
  for (const setting of settings) figures.push(await compareBehind(bed, setting));
  return figures;
};
