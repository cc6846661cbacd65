// What the application does before it looks at what is asked.
import { afterEach, describe, expect, it } from 'vitest';
import { createApi } from '../../../adapters/http/api.ts';
import { limits } from '../../../contract/manifest.ts';
import { type Simulation, simulate } from '../../world/world.ts';

let open: Simulation | undefined;
afterEach(() => open?.close());

describe('a body without end', () => {
  it.each(['/v1/hosts/mx1.example.com/acknowledgements', '/v1/domains/example.com/rotations'])(
    'is refused at %s when it is longer than anything that is asked for, and not read on',
    async (path) => {
      open = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
      const piece = new Uint8Array(64 * 1024).fill(120);
      let given = 0;
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          given += piece.length;
          // Far beyond what may be read, and yet an end for whoever reads it all.
          if (given > 64 * limits.hostToken) controller.close();
          else controller.enqueue(piece);
        },
      });
      const request = new Request(`http://localhost${path}`, { method: 'POST', body, duplex: 'half' });
      const response = await createApi(open.world, () => {}).request(request);
      expect(response.status).toBe(400);
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      expect(await response.json()).toMatchObject({
        code: 'invalid',
        detail: 'The body is over 1048576 bytes.',
      });
      expect(given).toBeLessThan(2 * limits.hostToken);
    },
  );

  it('is refused by the length that it is said to have', async () => {
    open = await simulate('2024-01-28T09:00:00Z', {}, ['mx1.example.com']);
    const headers = { 'content-length': String(limits.hostToken + 1) };
    const request = new Request('http://localhost/v1/hosts/mx1.example.com/pull', {
      method: 'POST',
      body: 'x',
      headers,
    });
    expect((await createApi(open.world, () => {}).request(request)).status).toBe(400);
  });
});
