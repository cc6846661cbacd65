import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createHttpsTransport } from '../../../adapters/push/https-transport.ts';
import { startPushServer } from '../../../agent/push-server.ts';
import { hostTransportContract } from '../../contracts/host-transport.ts';
import { program } from '../../tools/machine.ts';
import { makeHost } from '../../tools/sealed.ts';
import { temporaryFolder } from '../../tools/temporary-folder.ts';

hostTransportContract('https', (timeoutMs) => createHttpsTransport({ timeoutMs }));

it('says which certificate of the fleet file is none', async () => {
  const host = { ...makeHost(), endpoint: 'https://127.0.0.1:1', certificate: 'MII' };
  await expect(createHttpsTransport({ timeoutMs: 1_000 }).push(host, 'x')).rejects.toMatchObject({
    code: 'invalid',
    field: 'hosts.mx1.example.com.certificate',
  });
});

// The chain holds, so only the comparison of keys can refuse it. Needs openssl(1) to issue the certificate.
it.skipIf(program('openssl') === undefined)(
  'a certificate that the pinned one has issued is still another one',
  async () => {
    const folder = temporaryFolder();
    const at = (name: string) => join(folder, name);
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
    const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    openssl('req', '-x509', ...ec, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=ca', '-days', '2');
    openssl('req', ...ec, '-keyout', 'leaf.key', '-out', 'leaf.csr', '-subj', '/CN=leaf');
    writeFileSync(at('san'), 'subjectAltName=IP:127.0.0.1');
    const issue = ['x509', '-req', '-in', 'leaf.csr', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial'];
    openssl(...issue, '-out', 'leaf.crt', '-days', '1', '-extfile', 'san');
    const read = (name: string) => readFileSync(at(name), 'utf8');

    const seen: string[] = [];
    const server = await startPushServer({
      port: 0,
      address: '127.0.0.1',
      tls: { key: read('leaf.key'), cert: read('leaf.crt') },
      receive: async (bundle) => {
        seen.push(bundle);
        return 'taken';
      },
      log: () => {},
    });
    try {
      const transport = createHttpsTransport({ timeoutMs: 5_000 });
      const host = { ...makeHost(), endpoint: `https://127.0.0.1:${server.port}` };
      await expect(transport.push({ ...host, certificate: read('ca.crt') }, 'x')).rejects.toMatchObject({
        code: 'untrusted',
        message: expect.stringMatching(/another key/),
      });
      expect(seen).toEqual([]);
    } finally {
      await server.close();
    }
  },
);
