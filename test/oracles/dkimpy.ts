// dkimpy (Debian's python3-dkim) as an oracle: verifies messages' signatures, the topmost first.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { buffer } from 'node:stream/consumers';
import type { OracleResult, Records } from './records.ts';

const script = `
import base64, json, sys
import dkim
records = {name: value.encode() for name, value in json.loads(sys.stdin.readline()).items()}
def txt(name, timeout=5):
    return records.get((name.decode() if isinstance(name, bytes) else name).rstrip("."), None)
text = lambda value: value.decode() if isinstance(value, bytes) else value or ""
for line in sys.stdin:
    raw = base64.b64decode(line)
    results = []
    count = sum(1 for name, _ in dkim.rfc822_parse(raw)[0] if name.lower() == b"dkim-signature")
    for index in range(count):
        message = dkim.DKIM(raw, minkey=1024, timeout=5)
        try:
            result = "pass" if message.verify(index, dnsfunc=txt) else "fail"
        except dkim.DKIMException as error:
            result = str(error)
        results.append({"selector": text(message.selector), "domain": text(message.domain), "result": result})
    print(json.dumps(results), flush=True)
`;

/** Verifies them all in one process, in their order. */
export const verifyAll = async (raws: readonly Uint8Array[], records: Records): Promise<OracleResult[][]> => {
  const python = spawn('/usr/bin/python3', ['-c', script], { stdio: ['pipe', 'pipe', 'pipe'] });
  const said = buffer(python.stderr);
  python.stdin.on('error', () => {});
  const drained = (): Promise<void> =>
    new Promise((resolve) => {
      python.stdin.once('drain', resolve);
      if (python.exitCode !== null) resolve();
    });
  const feed = async (): Promise<void> => {
    python.stdin.write(`${JSON.stringify(records)}\n`);
    for (const raw of raws)
      if (!python.stdin.write(`${Buffer.from(raw).toString('base64')}\n`)) await drained();
    python.stdin.end();
  };
  void feed();
  const results: OracleResult[][] = [];
  for await (const line of createInterface({ input: python.stdout })) results.push(JSON.parse(line));
  // Where it ended early, nobody reads any more.
  python.stdin.destroy();
  if (results.length !== raws.length)
    throw new Error(`dkimpy answered for ${results.length} of ${raws.length} messages: ${await said}`);
  return results;
};

export const verify = async (raw: Uint8Array, records: Records): Promise<OracleResult[]> =>
  (await verifyAll([raw], records))[0] ?? [];
