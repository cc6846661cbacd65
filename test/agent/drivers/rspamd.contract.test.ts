// The rspamd driver on Debian's rspamd: behind its milter, and behind its normal workers as Debian's proxy has them.

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { createRspamdDriver } from '../../../agent/drivers/rspamd/driver.ts';
import { openMilter } from '../../../agent/milter/client.ts';
import { driverContract } from '../../contracts/driver.ts';
import { describeWith } from '../../tools/machine.ts';
import { type Rspamd, startRspamd } from '../../tools/rspamd.ts';

const mail = (from: string): Buffer =>
  Buffer.from(`From: Jo <${from}>\r\nTo: rcpt@example.org\r\nSubject: a test\r\n\r\nHello.\r\n`);

const harness = (forward: boolean) => async () => {
  const rspamd: Rspamd = await startRspamd({ forward });
  return {
    start: () =>
      createRspamdDriver({
        folder: rspamd.folder,
        entrances: [`inet:${rspamd.milterPort}@127.0.0.1`],
        now: Date.now,
        pause: (ms) => pause(ms),
        id: randomUUID,
      }),
    connect: async () => {
      const milter = await openMilter({ host: '127.0.0.1', port: rspamd.milterPort });
      return {
        send: (from: string) => milter.send({ from, to: ['rcpt@example.org'], raw: mail(from) }),
        close: () => milter.close(),
      };
    },
    end: () => rspamd.close(),
  };
};

describeWith(['rspamd'], 'Debian’s rspamd', () => {
  driverContract('rspamd, its proxies scanning', harness(false));
  driverContract('rspamd, its proxies forwarding', harness(true));
});
