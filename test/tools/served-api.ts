// An API of a world that a test made, served as `selkie up` serves its own: commands find it by `--dir`.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { createApi } from '../../adapters/http/api.ts';
import type { ApiAddress } from '../../cli/local-world.ts';
import type { World } from '../../engine/world.ts';

export interface ServedApi {
  /** What `--dir` is to name. */
  readonly dir: string;
  readonly url: string;
  close(): Promise<void>;
}

/** @param places what the folder says besides: where the milter and the name server are */
export const serveApi = (
  world: World,
  dir: string,
  places: Pick<ApiAddress, 'dns' | 'milter'> = {},
): Promise<ServedApi> =>
  new Promise((resolve, reject) => {
    const app = createApi(world, () => {});
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => {
      const url = `http://127.0.0.1:${port}`;
      mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, 'api.json'), JSON.stringify({ url, token: 'of-a-test', ...places }));
      resolve({ dir, url, close: () => new Promise((closed) => void server.close(() => closed())) });
    });
    server.once('error', reject);
  });
