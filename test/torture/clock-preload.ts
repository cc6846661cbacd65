// Moves a process's clock (`node --import`): `Date` says the machine's time plus what the file named by
// SELKIE_TORTURE_CLOCK holds, milliseconds as text. The file may change while the process runs. Touches the global Date only.
import { readFileSync } from 'node:fs';

/** How often the file is looked at. */
const lookEvery = 20;

const file = process.env.SELKIE_TORTURE_CLOCK;
if (file !== undefined) {
  const realNow = Date.now;
  const read = (): number => Number(readFileSync(file, 'utf8'));
  let offset = read();
  setInterval(() => {
    offset = read();
  }, lookEvery).unref();
  const now = (): number => realNow() + offset;
  globalThis.Date = new Proxy(Date, {
    construct: (target, given, as) => Reflect.construct(target, given.length === 0 ? [now()] : given, as),
    apply: (target) => new target(now()).toString(),
    get: (target, name, receiver) => (name === 'now' ? now : Reflect.get(target, name, receiver)),
  });
}
