// `selkie console`: a page in the browser, for the Selkie of this machine or one on AWS.

import { once as event } from 'node:events';
import type { Command } from 'commander';
import { SelkieError } from '../../core/errors.ts';
import { localDoor, openApi } from '../client.ts';
import { connectionDoor, folderOf, goesToAws, type Where } from '../connection.ts';
import { dirOption, example, wholeNumber } from '../options.ts';
import { say } from '../out.ts';

/** Not put on the command line of a browser: every user of the machine can read those. */
const follow = (link: string): void => {
  say('Open this in your browser. It works once:');
  process.stdout.write(`${link}\n`);
};

export const addConsole = (program: Command): void => {
  const command = program
    .command('console')
    .description('a page in the browser: the fleet, the keys of each domain, and orders')
    .addOption(dirOption())
    .option(
      '--port <port>',
      'on AWS: port on 127.0.0.1 to serve it at (default: a free one)',
      wholeNumber(0, 65_535, 'a port is'),
    )
    .action(async (options: { readonly port?: number }, self: Command) => {
      const where: Where = self.optsWithGlobals();
      if (!goesToAws(where)) {
        if (options.port !== undefined)
          throw new SelkieError(
            'invalid',
            '--port goes with AWS: on this machine, npm start serves the console at the port of its API',
          );
        const { url } = await openApi(localDoor(folderOf(where))).call<{ readonly url: string }>(
          'POST',
          '/console/links',
        );
        return follow(url);
      }
      const door = await connectionDoor(where);
      const { startRemoteConsole } = await import('../console/remote.ts');
      const console = await startRemoteConsole(door, options.port ?? 0);
      say(`The console of ${door.url}, with your credentials, until Ctrl-C.`);
      follow(console.link());
      await Promise.race([event(process, 'SIGINT'), event(process, 'SIGTERM')]);
      await console.close();
    });
  example(command, 'selkie console', 'selkie console --stage test --profile mail');
};
