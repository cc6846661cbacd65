import { join } from 'node:path';
import type { Driver } from '../../../agent/drivers/driver.ts';
import { createOpendkimDriver } from '../../../agent/drivers/opendkim/driver.ts';
import { driverContract } from '../../contracts/driver.ts';
import { describeWith } from '../../tools/machine.ts';
import { type OpendkimOptions, startOpendkim } from '../../tools/opendkim.ts';

const contract = (name: string, options: OpendkimOptions): void =>
  driverContract(name, async () => {
    const opendkim = await startOpendkim(options);
    let driver: Driver | undefined;
    return {
      async start() {
        await driver?.close();
        driver = await createOpendkimDriver({
          config: opendkim.config,
          folder: join(opendkim.folder, 'keys'),
          now: () => Date.now(),
        });
        return driver;
      },
      connect: opendkim.connect,
      end: opendkim.end,
    };
  });

describeWith(['opendkim'], 'OpenDKIM', () => {
  contract('OpenDKIM with a refile table, on a unix socket,', {});
  contract('OpenDKIM with a file table, on a TCP socket, without PidFile,', {
    signingType: 'file',
    socket: 'inet',
    pidFile: false,
    lines: ['Canonicalization simple/relaxed'],
  });
});
