// What the milter benches share: a folder in memory, keys for ten domains, and both milters on demand.

import { createPublicKey, type KeyObject } from 'node:crypto';
import { chmodSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { FleetHost } from '../../core/policy.ts';
import { freePort } from '../../test/tools/free-port.ts';
import { makeSigner, type TestSigner } from '../../test/tools/sealed.ts';
import { defaultDomains } from './load.ts';
import {
  buildAgent,
  enrol,
  fillStore,
  type HeldChange,
  type Listen,
  type RunningMilter,
  removeFolder,
  signingKeys,
  startAgentProgram,
  startOpenDkim,
} from './servers.ts';

export interface EnrolledHost {
  /** The agent's state folder. */
  readonly state: string;
  readonly entry: FleetHost;
}

export interface Bed {
  readonly folder: string;
  /** Seconds of each round. */
  readonly seconds: number;
  readonly rounds: number;
  readonly keys: readonly { readonly domain: string; readonly key: KeyObject }[];
  readonly signer: TestSigner;
  /** A host of its own, enrolled, its key store filled with these. */
  host(keys: readonly HeldChange[]): Promise<EnrolledHost>;
  /** @param host the one that has `keys` unless told otherwise */
  agent(listen?: Listen, host?: EnrolledHost): Promise<RunningMilter>;
  opendkim(listen?: Listen): Promise<RunningMilter>;
  close(): Promise<void>;
}

export const changeOf = (
  { domain, key }: { readonly domain: string; readonly key: KeyObject },
  selector = '240128',
  duty: 'standby' | 'signing' = 'signing',
): HeldChange => ({
  domain,
  selector,
  algorithm: 'rsa2048',
  duty,
  publicKey: createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64'),
  privateKey: key.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
});

/** Postfix's user must get to the sockets. */
const passable = (folder: string): string => {
  chmodSync(folder, 0o711);
  return folder;
};

export const makeBed = async (options: {
  readonly parent: string;
  readonly seconds: number;
  readonly rounds: number;
}): Promise<Bed> => {
  const folder = passable(mkdtempSync(join(options.parent, 'selkie-bench-')));
  const signer = await makeSigner();
  const keys = signingKeys(defaultDomains);
  const program = await buildAgent(folder);
  const running: RunningMilter[] = [];
  let made = 0;
  const own = (): string => {
    made += 1;
    return passable(mkdtempSync(join(folder, `${made}-`)));
  };
  const host = async (held: readonly HeldChange[]): Promise<EnrolledHost> => {
    const state = join(own(), 'state');
    const entry = await enrol(program, state, signer, await freePort());
    await fillStore(state, held);
    return { state, entry };
  };
  const first = await host(keys.map((key) => changeOf(key)));
  const keep = async (milter: Promise<RunningMilter>): Promise<RunningMilter> => {
    const kept = await milter;
    running.push(kept);
    return kept;
  };
  return {
    folder,
    seconds: options.seconds,
    rounds: options.rounds,
    keys,
    signer,
    host,
    agent: (listen = 'unix', { state } = first) => keep(startAgentProgram(program, own(), state, listen)),
    opendkim: (listen = 'unix') => keep(startOpenDkim(own(), keys, listen)),
    async close() {
      for (const milter of running) await milter.close();
      removeFolder(folder);
    },
  };
};
