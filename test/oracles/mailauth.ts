// mailauth (npm) as an oracle: verifies a message's signatures.
import { dkimVerify } from 'mailauth';
import type { OracleResult, Records } from './records.ts';

export const verify = async (raw: Uint8Array, records: Records): Promise<OracleResult[]> => {
  const resolver = async (name: string, type: string): Promise<string[][]> => {
    const value = records[name.replace(/\.$/, '')];
    if (value === undefined || type !== 'TXT')
      throw Object.assign(new Error(`no ${type} at ${name}`), { code: 'ENOTFOUND' });
    return [[value]];
  };
  const { results } = await dkimVerify(Buffer.from(raw), { resolver } as Parameters<typeof dkimVerify>[1]);
  return results.flatMap((found) =>
    found.selector === undefined
      ? []
      : [
          {
            selector: found.selector,
            domain: found.signingDomain ?? '',
            result: found.status?.result ?? 'none',
          },
        ],
  );
};

/** Verifies them all, in their order. */
export const verifyAll = async (raws: readonly Uint8Array[], records: Records): Promise<OracleResult[][]> => {
  const results: OracleResult[][] = [];
  for (const raw of raws) results.push(await verify(raw, records));
  return results;
};
