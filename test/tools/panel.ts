// Somebody at a panel: edits the zones of a test's named by dynamic updates (RFC 2136, nsupdate), in the person's own way.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { printValue } from '../../core/dkim/txt.ts';
import { seconds } from '../../core/time.ts';
import type { TxtSet } from '../../engine/ports.ts';
import { program } from './machine.ts';

export interface Edit {
  readonly name: string;
  /** Undefined: deletes whatever TXT stands there. */
  readonly set: TxtSet | undefined;
}

/** Records of one update: a message has at most 64 KB. */
const together = 50;

const linesOf = ({ name, set }: Edit): string[] => [
  `update delete ${name}. TXT`,
  ...(set?.values ?? []).map(
    (value) => `update add ${name}. ${(set?.ttl ?? 0) / seconds(1)} TXT ${printValue(value, 'zone')}`,
  ),
];

/** @param port of a named with `updatable` */
export const editZone = async (port: number, zone: string, edits: readonly Edit[]): Promise<void> => {
  const lines = [`server 127.0.0.1 ${port}`, `zone ${zone}.`];
  for (let n = 0; n < edits.length; n += together)
    lines.push(...edits.slice(n, n + together).flatMap(linesOf), 'send');
  const child = spawn(program('nsupdate') ?? 'nsupdate', ['-v'], { stdio: ['pipe', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString('latin1');
  });
  child.stdin.end(`${lines.join('\n')}\n`);
  const [status] = await once(child, 'exit');
  if (status !== 0) throw new Error(`nsupdate: ${said}`);
};
