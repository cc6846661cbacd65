// The name by which an endpoint is asked for one of its certificates: SNI (RFC 6066 §3). While one identity of a host follows
// another, the control plane pins the one or the other, by which fleet it carries; the host shows what it is asked for. Pure.
import { createHash, type X509Certificate } from 'node:crypto';

/** Below `.invalid` (RFC 6761 §6.4), so that it is nobody's: the certificate is pinned by its key, whatever its name. */
export const endpointName = (certificate: X509Certificate): string => {
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.selkie.invalid`;
};
