// What `selkie-agent enrol` was told, for `selkie-agent run`. Touches `<state folder>/agent.json` only.
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { check, checkJson } from '../contract/check.ts';
import type { KeyType } from '../core/algorithm.ts';
import { SelkieError } from '../core/errors.ts';
import { isDnsName } from '../core/names.ts';
import { privateFolder, readIfThere, replaceFile } from './files.ts';
import type { MilterAddress } from './milter/server.ts';
import { giveTo } from './owner.ts';

export interface Settings {
  /** The host's name in the fleet file. */
  readonly name: string;
  readonly endpointHost: string;
  /** Absent: the host only pulls. */
  readonly pushPort?: number;
  readonly controlPlane?: string;
  /** What its signer can sign with; absent: every key type. */
  readonly keyTypes?: readonly KeyType[];
}

const port = z.int().check(z.minimum(1), z.maximum(65_535));
const schema: z.ZodMiniType<Settings> = z.strictObject({
  name: z.string().check(z.refine(isDnsName, 'must be a lower-case DNS name')),
  endpointHost: z
    .string()
    .check(z.refine((text) => isDnsName(text) || isIP(text) !== 0, 'must be a DNS name or an IP address')),
  pushPort: z.exactOptional(port),
  controlPlane: z.exactOptional(z.url({ protocol: /^https?$/ })),
  keyTypes: z.exactOptional(z.array(z.enum(['rsa', 'ed25519'])).check(z.minLength(1))),
});

const fileOf = (dir: string): string => join(dir, 'agent.json');

/** @throws SelkieError invalid, with the field */
export const saveSettings = async (dir: string, settings: Settings): Promise<void> => {
  const sound = check(schema, settings, 'The enrolment');
  await privateFolder(dir);
  await replaceFile(fileOf(dir), `${JSON.stringify(sound, null, 2)}\n`);
  await giveTo(dir, fileOf(dir));
};

export const isEnrolled = async (dir: string): Promise<boolean> =>
  (await readIfThere(fileOf(dir))) !== undefined;

/** @throws SelkieError invalid where the host is not enrolled */
export const loadSettings = async (dir: string): Promise<Settings> => {
  const text = await readIfThere(fileOf(dir));
  if (text === undefined)
    throw new SelkieError(
      'invalid',
      `This host is not enrolled: there is no ${fileOf(dir)}. Run selkie-agent enrol.`,
    );
  return checkJson(schema, text, `The file ${fileOf(dir)}`);
};

/**
 * An address as Postfix and OpenDKIM write it: `inet:8891@127.0.0.1`, `inet:8891` (loopback), `inet6:8891@::1`,
 * `unix:/path` or `local:/path`.
 * @throws SelkieError invalid, with field `milter`
 */
export const milterAddress = (text: string): MilterAddress => {
  const socket = /^(?:unix|local):(\/.+)$/.exec(text)?.[1];
  if (socket !== undefined) return { path: socket };
  const [, number, host = text.startsWith('inet6:') ? '::1' : '127.0.0.1'] =
    /^inet6?:(\d{1,5})(?:@\[?([^\]]+)\]?)?$/.exec(text) ?? [];
  if (number === undefined || !port.safeParse(Number(number)).success)
    throw new SelkieError(
      'invalid',
      `${text} is no milter address: write inet:8891@127.0.0.1 or unix:/path.`,
      {
        field: 'milter',
      },
    );
  return { host, port: Number(number) };
};
