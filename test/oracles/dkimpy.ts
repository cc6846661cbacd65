// dkimpy (Debian's python3-dkim) as an oracle: verifies a message's signatures, the topmost first.
import { spawn } from 'node:child_process';
import { buffer } from 'node:stream/consumers';
import type { OracleResult, Records } from './records.ts';

const script = `
import base64, json, sys
import dkim
task = json.load(sys.stdin)
raw = base64.b64decode(task["raw"])
records = {name: value.encode() for name, value in task["records"].items()}
def txt(name, timeout=5):
    return records.get((name.decode() if isinstance(name, bytes) else name).rstrip("."), None)
results = []
count = sum(1 for name, _ in dkim.rfc822_parse(raw)[0] if name.lower() == b"dkim-signature")
for index in range(count):
    message = dkim.DKIM(raw, minkey=1024, timeout=5)
    try:
        result = "pass" if message.verify(index, dnsfunc=txt) else "fail"
    except dkim.DKIMException as error:
        result = str(error)
    text = lambda value: value.decode() if value else ""
    results.append({"selector": text(message.selector), "domain": text(message.domain), "result": result})
json.dump(results, sys.stdout)
`;

export const verify = async (raw: Uint8Array, records: Records): Promise<OracleResult[]> => {
  const python = spawn('/usr/bin/python3', ['-c', script], { stdio: ['pipe', 'pipe', 'pipe'] });
  python.stdin.end(JSON.stringify({ raw: Buffer.from(raw).toString('base64'), records }));
  const [out, err] = await Promise.all([buffer(python.stdout), buffer(python.stderr)]);
  if (out.length === 0) throw new Error(`dkimpy failed: ${err}`);
  return JSON.parse(out.toString()) as OracleResult[];
};
