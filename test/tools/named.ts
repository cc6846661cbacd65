// Starts BIND's named on a loopback address for a test, and ends it.
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { program } from './machine.ts';

export interface NamedOptions {
  readonly port: number;
  /** By default 127.0.0.1; any other in 127.0.0.0/8 is relayed, since named takes only addresses that an interface bears. */
  readonly address?: string;
  /** Zone name → zone file. */
  readonly zones: Readonly<Record<string, string>>;
  /** Anybody on this machine may change the zones (panel.ts). */
  readonly updatable?: true;
  /** Recurses, but only through these: zone name → `address:port`. */
  readonly forwards?: Readonly<Record<string, { readonly address: string; readonly port: number }>>;
}

interface Closable {
  close(): Promise<void>;
}

export const startNamed = async (options: NamedOptions): Promise<Closable> => {
  const { address } = options;
  if (address === undefined || address === '127.0.0.1') return startProcess(options, options.port);
  const port = await freePort();
  const named = await startProcess(options, port);
  const relay = await startRelay(address, options.port, port);
  return {
    close: async () => {
      await relay.close();
      await named.close();
    },
  };
};

/** UDP and TCP from address:port to 127.0.0.1:to. */
const startRelay = async (address: string, port: number, to: number): Promise<Closable> => {
  const udp = createSocket('udp4');
  udp.on('message', (query, from) => {
    const onward = createSocket('udp4');
    onward.once('message', (answer) => {
      udp.send(answer, from.port, from.address);
      onward.close();
    });
    onward.send(query, to, '127.0.0.1');
  });
  udp.bind(port, address);
  const tcp = createServer((socket) => {
    const onward = connect(to, '127.0.0.1');
    for (const end of [socket, onward]) end.on('error', () => {});
    socket.pipe(onward).pipe(socket);
  });
  tcp.listen(port, address);
  await Promise.all([once(udp, 'listening'), once(tcp, 'listening')]);
  return {
    close: async () => {
      await new Promise<void>((resolve) => udp.close(() => resolve()));
      await new Promise<void>((resolve) => tcp.close(() => resolve()));
    },
  };
};

const startProcess = async (options: NamedOptions, port: number): Promise<Closable> => {
  const folder = mkdtempSync(join(tmpdir(), 'selkie-named-'));
  const zones = Object.entries(options.zones).map(([name, text], index) => {
    writeFileSync(join(folder, `zone-${index}`), text);
    const updates = options.updatable === true ? ' allow-update { any; };' : '';
    return `zone "${name}" { type primary; file "zone-${index}";${updates} };`;
  });
  const forwards = Object.entries(options.forwards ?? {}).map(
    ([name, to]) =>
      `zone "${name}" { type forward; forward only; forwarders { ${to.address} port ${to.port}; }; };`,
  );
  writeFileSync(
    join(folder, 'named.conf'),
    `options {
      directory "${folder}"; pid-file none; session-keyfile none;
      listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; };
      recursion ${forwards.length > 0 ? 'yes' : 'no'}; dnssec-validation no; empty-zones-enable no; notify no;
    };
    controls { };
    ${[...zones, ...forwards].join('\n')}\n`,
  );
  const child = spawn(program('named') ?? 'named', ['-g', '-n', '1', '-c', join(folder, 'named.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString('latin1');
      if (/ running$/m.test(log)) resolve();
    });
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`named did not start:\n${log}`)));
  });
  if (/not loaded due to errors|could not listen|address in use|not listening on any/.test(log)) {
    child.kill('SIGKILL');
    throw new Error(`named started with errors:\n${log}`);
  }
  return {
    close: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
};
