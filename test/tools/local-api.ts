// The API of a simulated world, as `selkie up` has it: on loopback, found by the file in its state folder.
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type ServerType, serve } from '@hono/node-server';
import { createApi } from '../../adapters/http/api.ts';
import type { World } from '../../engine/world.ts';
import { makeFolder } from './temporary-folder.ts';

export interface LocalApi {
  /** For `--dir`. */
  readonly dir: string;
  close(): Promise<void>;
}

export const startLocalApi = async (world: World): Promise<LocalApi> => {
  const { promise, resolve } = Promise.withResolvers<AddressInfo>();
  const server: ServerType = serve(
    { fetch: createApi(world, () => {}).fetch, hostname: '127.0.0.1', port: 0 },
    resolve,
  );
  const { port } = await promise;
  const dir = makeFolder();
  writeFileSync(join(dir, 'api.json'), JSON.stringify({ url: `http://127.0.0.1:${port}`, token: 'test' }));
  return { dir, close: () => new Promise((done) => server.close(() => done())) };
};
