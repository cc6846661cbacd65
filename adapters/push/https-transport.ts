// Carries sealed bundles to mail hosts: HTTPS to the agent, its certificate pinned. Talks to the endpoints that the fleet
// file names, and to nothing else.
import { timingSafeEqual, X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { limits } from '../../contract/manifest.ts';
import { SelkieError } from '../../core/errors.ts';
import type { FleetHost } from '../../core/policy.ts';
import type { HostTransport } from '../../engine/ports.ts';
import { endpointName } from './endpoint-name.ts';

export interface HttpsTransportOptions {
  /** For all of one delivery: connecting, sending, waiting, reading. Milliseconds. */
  readonly timeoutMs: number;
}

/** What Node says where a chain does not lead to the pinned certificate, or it is out of date. */
const certificateFaults = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'CERT_CHAIN_TOO_LONG',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

const pinned = ({ name, certificate }: FleetHost): X509Certificate => {
  if (certificate === undefined)
    throw new SelkieError('untrusted', `Host ${name} has no certificate in the fleet file to compare with.`);
  try {
    return new X509Certificate(certificate);
  } catch {
    throw new SelkieError('invalid', `The certificate of host ${name} in the fleet file is not one in PEM.`, {
      field: `hosts.${name}.certificate`,
    });
  }
};

const spki = (certificate: X509Certificate): Buffer =>
  certificate.publicKey.export({ type: 'spki', format: 'der' });

const notPinned = (name: string, why: string): SelkieError =>
  new SelkieError(
    'untrusted',
    `The endpoint of host ${name} does not show the certificate in the fleet file (${why}): is it another machine, or was the host enrolled anew?`,
  );

/** Whose key is compared, whatever name the certificate bears: it is pinned, so its name proves nothing more. */
const sameKey =
  (name: string, pin: X509Certificate) =>
  (_: string, peer: { readonly raw: Buffer }): Error | undefined => {
    const [expected, shown] = [spki(pin), spki(new X509Certificate(peer.raw))];
    return expected.length === shown.length && timingSafeEqual(expected, shown)
      ? undefined
      : notPinned(name, 'another key');
  };

const bodyOf = async (response: IncomingMessage, name: string): Promise<string> => {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limits.hostToken)
      throw new SelkieError('host.refused', `Host ${name} answers with over ${limits.hostToken} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

/** The agent's own words from its problem details (RFC 9457), one line of them; whoever answers may write anything. */
const detailOf = (body: string): string => {
  try {
    const problem: unknown = JSON.parse(body);
    return typeof problem === 'object' && problem !== null && 'detail' in problem
      ? `: ${String(problem.detail)
          .replace(/\p{Cc}/gu, ' ')
          .slice(0, 300)}`
      : '';
  } catch {
    return '';
  }
};

const unreachable = (host: FleetHost, why: string, cause?: unknown): SelkieError =>
  new SelkieError('host.unreachable', `Host ${host.name} cannot be reached at ${host.endpoint}: ${why}`, {
    cause,
  });

const failure = (host: FleetHost, error: unknown, timeoutMs: number): SelkieError => {
  if (error instanceof SelkieError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (certificateFaults.has(code)) return notPinned(host.name, code.toLowerCase().replaceAll('_', ' '));
  if (error instanceof Error && error.name === 'TimeoutError')
    return unreachable(host, `no answer within ${timeoutMs} ms`);
  return unreachable(host, error instanceof Error ? error.message || code : String(error), error);
};

const post = (url: URL, host: FleetHost, bundle: string, signal: AbortSignal): Promise<IncomingMessage> => {
  const pin = pinned(host);
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      method: 'POST',
      // No agent: a resumed session would not be checked again.
      agent: false,
      // Both are needed: without rejectUnauthorized, checkServerIdentity is never called.
      ca: [pin.toString()],
      rejectUnauthorized: true,
      checkServerIdentity: sameKey(host.name, pin),
      // It has two certificates while its keys roll; one that does not know the name shows its only one.
      servername: endpointName(pin),
      minVersion: 'TLSv1.3',
      headers: { 'content-type': 'application/jose', 'content-length': Buffer.byteLength(bundle) },
      signal,
    });
    sent.once('response', resolve);
    // Also after the answer has begun: a host may answer before it has read all, and hang up.
    sent.on('error', reject);
    sent.end(bundle);
  });
};

/** Pushes to `<endpoint>/v1/bundle`. */
export const createHttpsTransport = ({ timeoutMs }: HttpsTransportOptions): HostTransport => ({
  async push(host, bundle) {
    if (host.endpoint === undefined)
      throw new SelkieError('host.unreachable', `Host ${host.name} has no endpoint: it pulls by itself.`);
    const signal = AbortSignal.timeout(timeoutMs);
    let answer: { readonly status: number | undefined; readonly body: string };
    try {
      const response = await post(new URL('/v1/bundle', host.endpoint), host, bundle, signal);
      answer = { status: response.statusCode, body: await bodyOf(response, host.name) };
    } catch (error) {
      throw failure(host, signal.aborted ? signal.reason : error, timeoutMs);
    }
    if (answer.status !== 200)
      throw new SelkieError(
        'host.refused',
        `Host ${host.name} answered ${answer.status}${detailOf(answer.body)}`,
      );
    return answer.body;
  },
});
