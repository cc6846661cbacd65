// pyspf (Debian's python3-spf) as an oracle: evaluates SPF records with a DNS of ours.
import { execFileSync } from 'node:child_process';
import type { DnsTable } from './dns-table.ts';

const script = `
import json, sys
import spf
given = json.load(sys.stdin)
def lookup(name, qtype, strict=True, timeout=20):
    found = given["table"].get(qtype + " " + name.lower().rstrip("."), [])
    if qtype == "TXT": return [((name, qtype), (value.encode("ascii"),)) for value in found]
    if qtype == "MX": return [((name, qtype), (index, value)) for index, value in enumerate(found)]
    if qtype == "AAAA":
        import ipaddress
        return [((name, qtype), ipaddress.IPv6Address(value).packed) for value in found]
    return [((name, qtype), value) for value in found]
spf.DNSLookup = lookup
results = []
for domain, ip in given["asked"]:
    query = spf.query(i=ip, s="postmaster@" + domain, h="mail.example", strict=1, querytime=0)
    result, code, why = query.check()
    results.append({"result": result, "lookups": query.lookups, "voids": query.void_lookups})
print(json.dumps(results))
`;

export interface PyspfResult {
  readonly result: string;
  readonly lookups: number;
  readonly voids: number;
}

/** One result for each [domain, address of the sender]. */
export const evaluate = (
  table: DnsTable,
  asked: readonly (readonly [string, string])[],
): readonly PyspfResult[] =>
  JSON.parse(
    execFileSync('/usr/bin/python3', ['-c', script], {
      input: JSON.stringify({ table, asked }),
      encoding: 'utf8',
      maxBuffer: 50_000_000,
    }),
  ) as readonly PyspfResult[];
