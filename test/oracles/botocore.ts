// botocore (AWS's own library for Python; comes with moto) as an oracle: whether a request is signed as AWS wants it.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const script = `
import base64, datetime, json, re, sys
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
secrets = json.loads(sys.stdin.readline())
form = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\\d{8})/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$")
def fault(one, region, service):
    headers = {name.lower(): value for name, value in one["headers"].items()}
    found = form.match(headers.get("authorization", ""))
    if not found: return "no signature"
    key, date, its_region, its_service, names, signature = found.groups()
    if key not in secrets: return "unknown key id"
    if (its_region, its_service) != (region, service): return "scope " + its_region + "/" + its_service
    stamp = headers.get("x-amz-date", "")
    if stamp[:8] != date: return "date"
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if abs(age.total_seconds()) > 300: return "time"
    signed = names.split(";")
    if "host" not in signed: return "host is not signed"
    secret, token = secrets[key]
    if token is not None and (headers.get("x-amz-security-token") != token or "x-amz-security-token" not in signed): return "session token"
    if "x-amz-content-sha256" in headers and "x-amz-content-sha256" not in signed: return "digest is not signed"
    body = base64.b64decode(one["body"])
    kept = {name: headers[name] for name in signed if name != "x-amz-content-sha256"}
    request = AWSRequest(method=one["method"], url=one["url"], headers=kept, data=body)
    request.context["timestamp"] = stamp
    auth = SigV4Auth(Credentials(key, secret, token), service, region)
    if "x-amz-content-sha256" in signed:
        digest = auth.payload(request)
        if digest != headers["x-amz-content-sha256"]: return "digest"
        request.headers["X-Amz-Content-SHA256"] = digest
    wanted = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return None if wanted == signature else "signature"
for line in sys.stdin:
    one = json.loads(line)
    print(json.dumps(fault(one, one["region"], one["service"])), flush=True)
`;

/** Of each access key id: its secret, and the session token that has to come with it or null. */
export type Secrets = Readonly<Record<string, readonly [secret: string, token: string | null]>>;

export interface SignedRequest {
  readonly method: string;
  /** As it was asked for, with scheme and host. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly region: string;
  readonly service: string;
}

export interface Botocore {
  /** What is wrong with the signature; null: nothing. */
  fault(request: SignedRequest): Promise<string | null>;
  stop(): void;
}

export const startBotocore = (secrets: Secrets): Botocore => {
  const python = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  python.stdin.write(`${JSON.stringify(secrets)}\n`);
  const waiting: ((answer: string | null) => void)[] = [];
  createInterface({ input: python.stdout })
    .on('line', (line) => waiting.shift()?.(JSON.parse(line)))
    .on('close', () => {
      for (const answer of waiting.splice(0)) answer('botocore ended');
    });
  return {
    fault: (request) =>
      new Promise((resolve) => {
        waiting.push(resolve);
        const body = Buffer.from(request.body).toString('base64');
        python.stdin.write(`${JSON.stringify({ ...request, body })}\n`);
      }),
    stop: () => void python.kill(),
  };
};
