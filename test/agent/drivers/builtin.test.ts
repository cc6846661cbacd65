import { createBuiltinDriver } from '../../../agent/drivers/builtin.ts';
import { openMilter } from '../../../agent/milter/client.ts';
import { startMilter } from '../../../agent/milter/server.ts';
import { createKeyRing } from '../../../agent/signing/key-ring.ts';
import { driverContract } from '../../contracts/driver.ts';
import { messageFrom } from '../../oracles/messages.ts';

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
    async connect() {
      const connection = await openMilter({ host: '127.0.0.1', port: milter.port ?? 0 });
      return {
        send: (from) =>
          connection.send({
            macros: { i: 'QUEUEID' },
            from,
            to: ['rcpt@example.org'],
            raw: messageFrom(from),
          }),
        close: () => connection.close(),
      };
    },
    end: () => milter.close(),
  };
});
