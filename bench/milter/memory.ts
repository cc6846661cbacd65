// What the agent holds: under large messages, and with the keys of very many domains.
import { generateKeyPairSync } from 'node:crypto';
import { progress } from '../table.ts';
import { type Bed, changeOf } from './bed.ts';
import type { Figure } from './figures.ts';
import { loadElsewhere } from './load.ts';
import { residentMegabytes } from './process.ts';

const many = 100_000;

const figure = (name: string, value: number, most: number, unit: string, detail: string): Figure => ({
  name,
  value,
  goal: most,
  floor: most,
  more: false,
  unit,
  detail,
});

const largeMessages = async (bed: Bed): Promise<Figure> => {
  progress('memory: 1 MB messages at 32 connections');
  const agent = await bed.agent();
  const { now: idle } = residentMegabytes(agent.pid);
  const { target, pid } = agent;
  const seconds = Math.max(3, bed.seconds);
  const { messages } = await loadElsewhere({ target, pid, connections: 32, size: 1_000_000, seconds });
  const { peak } = residentMegabytes(pid);
  await agent.close();
  const detail = `${messages} messages, the most that was resident; ${idle.toFixed(0)} MB before`;
  return figure('Memory: 1 MB, 32 connections, ten domains', peak, 96, ' MB', detail);
};

const manyDomains = async (bed: Bed): Promise<Figure[]> => {
  progress(`memory: the key store of ${many} domains is being filled`);
  // One key for all: making as many would take hours, and what is held of each is the same.
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const { publicKey, privateKey, ...facts } = changeOf({ domain: '', key });
  const changes = Array.from({ length: many }, (_, i) => ({
    ...facts,
    publicKey,
    privateKey,
    domain: `d${i}.example.com`,
  }));
  const host = await bed.host(changes);
  progress(`memory: ${many} domains`);
  const agent = await bed.agent('unix', host);
  const { target, pid, startedIn } = agent;
  const seconds = Math.max(3, bed.seconds);
  const load = { target, pid, connections: 32, size: 1_000, seconds, manyDomains: many };
  const { messages, perSecond, unsigned, tempfailed, p99 } = await loadElsewhere(load);
  if (unsigned + tempfailed > 0)
    throw new Error(`of ${many} domains: ${unsigned} messages unsigned, ${tempfailed} put off`);
  const { peak } = residentMegabytes(pid);
  await agent.close();
  const name = `Memory: ${many} domains`;
  return [
    figure(
      name,
      peak,
      1_024,
      ' MB',
      `after ${messages} messages of any of them, ${perSecond.toFixed(0)} a second, p99 ${p99.toFixed(0)} ms`,
    ),
    figure(`${name}: start`, startedIn / 1_000, 10, ' s', 'until the milter answers'),
  ];
};

export const memory = async (bed: Bed): Promise<Figure[]> => [
  await largeMessages(bed),
  ...(await manyDomains(bed)),
];
