// `npm run e2e:mail`: the whole proof. Needs root, and Debian's postfix, opendkim, rspamd and python3-dkim. Exits 1 where one message
// was unsigned, put off, lost or does not verify.
import { parseArgs } from 'node:util';
import { missing } from '../tools/machine.ts';
import { prove } from './proof.ts';
import { type DriverName, signers } from './signers.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '10000' },
    driver: { type: 'string', multiple: true, default: Object.keys(signers) },
  },
});
const messages = Number(values.messages);
if (!Number.isInteger(messages) || messages < 100) throw new Error('--messages must be a number from 100 on');
const isDriver = (name: string): name is DriverName => Object.hasOwn(signers, name);
const drivers = values.driver.map((name) => {
  if (!isDriver(name)) throw new Error(`--driver must be one of ${Object.keys(signers).join(', ')}`);
  return name;
});
const absent = missing(['postfix', 'opendkim', 'rspamd', 'dkimpy']);
if (absent.length > 0) throw new Error(`this needs ${absent.join(', ')}`);

let failed = 0;
for (const driver of drivers) {
  const proof = await prove({ driver, messages, say: (line) => console.log(line) });
  const { problems, ...figures } = proof;
  console.log(`${driver}: ${JSON.stringify(figures, null, 2)}`);
  for (const problem of problems.slice(0, 50)) console.log(`!!! ${problem}`);
  console.log(
    `${driver}: ${problems.length === 0 ? 'every message arrived once, signed, and verifies' : `${problems.length} PROBLEMS`}\n`,
  );
  failed += problems.length;
}
process.exitCode = failed === 0 ? 0 : 1;
