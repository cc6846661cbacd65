// Verifies a signed message as a receiver would, by mailauth: a verifier that is not ours, asking a name server.
import { Resolver } from 'node:dns/promises';
import { dkimVerify } from 'mailauth';

export interface Verdict {
  readonly selector: string;
  /** `pass`, or what RFC 8601 §2.7.1 calls it. */
  readonly result: string;
}

/** One verdict a signature, in the message's order; none where it bears no signature. */
export const verifyMessage = async (raw: Uint8Array, dnsPort: number): Promise<readonly Verdict[]> => {
  const dns = new Resolver({ timeout: 2_000, tries: 3 });
  dns.setServers([`127.0.0.1:${dnsPort}`]);
  const resolver = (name: string, type: string): Promise<string[][]> =>
    type === 'TXT'
      ? dns.resolveTxt(name)
      : Promise.reject(Object.assign(new Error('not asked here'), { code: 'ENOTFOUND' }));
  const { results } = await dkimVerify(Buffer.from(raw), { resolver } as Parameters<typeof dkimVerify>[1]);
  return results.flatMap(({ selector, status }) =>
    selector === undefined ? [] : [{ selector, result: status?.result ?? 'none' }],
  );
};
