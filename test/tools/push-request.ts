// A request to the agent's push endpoint, as anybody may send one.
import { type RequestOptions, request } from 'node:https';

export interface PushAnswer {
  readonly status: number | undefined;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

/** A POST of `body` to `/v1/bundle` on loopback, on a connection of its own, unless `more` says otherwise. */
export const pushRequest = (body: string | Buffer, more: RequestOptions): Promise<PushAnswer> =>
  new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', agent: false, path: '/v1/bundle', method: 'POST', ...more },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () =>
          resolve({ status: response.statusCode, headers: response.headers, body: text }),
        );
        response.on('error', reject);
      },
    );
    sent.once('error', reject);
    sent.end(body);
  });
