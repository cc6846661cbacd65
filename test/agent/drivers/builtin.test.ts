import { createBuiltinDriver } from '../../../agent/drivers/builtin.ts';
import { startMilter } from '../../../agent/milter/server.ts';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import { driverContract } from '../../contracts/driver.ts';
import { mailer } from '../../tools/opendkim.ts';

driverContract('our own milter', async () => {
  const ring = createKeyRing();
  const milter = await startMilter({
    listen: { host: '127.0.0.1', port: 0 },
    ring,
    now: () => 1_795_000_000_000,
    log: () => {},
  });
  return {
    start: async () => createBuiltinDriver(ring),
    connect: () => mailer({ host: '127.0.0.1', port: milter.port ?? 0 }),
    end: () => milter.close(),
  };
});
