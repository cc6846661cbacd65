// The API as API Gateway shows it to operators: a request reaches it when botocore finds its signature right, and is
// answered 403 without a word otherwise.
import { createServer, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { startBotocore } from '../oracles/botocore.ts';

export interface Gateway {
  readonly url: string;
  /** What came in: method and path, and what was wrong with the signature. */
  readonly seen: { readonly what: string; readonly fault: string | null; readonly headers: Headers }[];
  /** Carries out the next request and loses its answer, so: by a cut connection or as a gateway's 503. */
  lose(how: 'cut' | 503): void;
  /** Answers every request so, whoever asks. */
  say(status: number, text: string): void;
  stop(): Promise<void>;
}

export const region = 'eu-west-1';
/** Credentials of nobody, made up for the test. */
export const operator = {
  AWS_ACCESS_KEY_ID: 'AKIDOPERATOR',
  AWS_SECRET_ACCESS_KEY: crypto.randomUUID(),
  AWS_SESSION_TOKEN: `${crypto.randomUUID()}+/=`,
};

const headersOf = ({ headers }: IncomingMessage): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  );

export const startGateway = async (api: {
  fetch(request: Request): Response | Promise<Response>;
}): Promise<Gateway> => {
  const botocore = startBotocore({
    [operator.AWS_ACCESS_KEY_ID]: [operator.AWS_SECRET_ACCESS_KEY, operator.AWS_SESSION_TOKEN],
  });
  const seen: { what: string; fault: string | null; headers: Headers }[] = [];
  const losses: ('cut' | 503)[] = [];
  let said: { status: number; text: string } | undefined;
  const server = createServer(async (incoming, outgoing) => {
    const body = await buffer(incoming);
    const headers = headersOf(incoming);
    const method = incoming.method ?? 'GET';
    const url = `http://${headers.host}${incoming.url}`;
    const answer = (status: number, type: string, text: string): void => {
      outgoing.writeHead(status, { 'content-type': type }).end(text);
    };
    const fault = await botocore.fault({ method, url, headers, body, region, service: 'execute-api' });
    seen.push({ what: `${method} ${incoming.url}`, fault, headers: new Headers(headers) });
    if (said !== undefined) return answer(said.status, 'application/json', said.text);
    if (fault !== null) return answer(403, 'application/json', '{"message":"Forbidden"}');
    const init = method === 'GET' ? { method, headers } : { method, headers, body: new Uint8Array(body) };
    const response = await api.fetch(new Request(url, init));
    const text = await response.text();
    const loss = losses.shift();
    if (loss === 'cut') return void incoming.socket.destroy();
    if (loss === 503) return answer(503, 'application/json', '{"message":"Service Unavailable"}');
    answer(response.status, response.headers.get('content-type') ?? 'text/plain', text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    seen,
    lose: (how) => void losses.push(how),
    say: (status, text) => {
      said = { status, text };
    },
    stop: async () => {
      botocore.stop();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
