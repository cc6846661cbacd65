// Whether a key that was found can be adopted: what its file holds and who may read it, and what the authoritative servers
// say of its record. Reads the key file; asks DNS through `look` only. No error and no warning bears key material.
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { ServerAnswer } from '../../adapters/dns/authority.ts';
import { type Algorithm, adoptedAlgorithm } from '../../core/algorithm.ts';
import { parseKeyRecord } from '../../core/dkim/key-record.ts';
import { describe } from '../../core/errors.ts';
import { adoptionFault } from '../../core/key/adoption.ts';
import { keyRecordName } from '../../core/names.ts';
import type { FoundKey } from './find.ts';

/** A key as its file has it. */
export interface ReadKey {
  readonly algorithm: Algorithm;
  /** Of an RSA modulus. */
  readonly bits?: number;
  /** `p=`: as the record says it where it is this key's, else base64 of the SubjectPublicKeyInfo or of the raw 32 bytes. */
  readonly publicKey: string;
  readonly key: KeyObject;
}

export interface Judged extends FoundKey {
  readonly read?: ReadKey;
  /** What DNS says: `every one of 4 servers shows this key`. */
  readonly record?: string;
  /** Why it is not adopted. */
  readonly refused?: string;
  readonly warnings: readonly string[];
}

export interface JudgeOptions {
  /** Of `Authority`: what each authoritative server says of the TXT records at a name. */
  readonly look: (name: string) => Promise<readonly ServerAnswer[]>;
}

const ed25519Header = 12;

/** The texts that `p=` may have for it, the usual one first: RFC 6376 §3.6.1, RFC 8463 §4. */
const publicTexts = (key: KeyObject): readonly [string, ...string[]] => {
  const half = createPublicKey(key);
  const spki = half.export({ type: 'spki', format: 'der' });
  return half.asymmetricKeyType === 'ed25519'
    ? [spki.subarray(ed25519Header).toString('base64')]
    : [spki.toString('base64'), half.export({ type: 'pkcs1', format: 'der' }).toString('base64')];
};

const readKey = async (file: string): Promise<Omit<ReadKey, 'publicKey'> | { readonly wrong: string }> => {
  let pem: string;
  try {
    pem = await readFile(file, 'utf8');
  } catch (error) {
    return { wrong: `its file cannot be read: ${describe(error)}` };
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    // OpenSSL's own words may quote what it read.
    return { wrong: `${file} holds no private key in PEM without a passphrase` };
  }
  const type = key.asymmetricKeyType;
  if (type !== 'rsa' && type !== 'ed25519')
    return { wrong: `it is of type ${type ?? 'unknown'}: DKIM signs with RSA or Ed25519` };
  const bits = key.asymmetricKeyDetails?.modulusLength;
  const algorithm = adoptedAlgorithm(type, bits);
  return algorithm === undefined
    ? {
        wrong: `it has ${bits} bits: verifiers need not take RSA keys under 1,024 or over 4,096 bits (RFC 8301 section 3.2); leave it, and Selkie begins with a key of its own`,
      }
    : { algorithm, key, ...(bits === undefined ? {} : { bits }) };
};

/** Everyone who may read a key may sign with it. */
const exposed = async (file: string): Promise<readonly string[]> => {
  const { mode } = await stat(file);
  return (mode & 0o004) === 0
    ? []
    : [
        `everybody on this host can read ${file}: rotate soon (selkie rotate), and chmod 600 ${file} till then`,
      ];
};

const age = (key: Pick<ReadKey, 'bits' | 'algorithm'>): readonly string[] =>
  key.algorithm === 'rsa1024'
    ? [
        `RSA of ${key.bits} bits is weak: some receivers take no less than 2,048. The first rotation mends that`,
      ]
    : [];

const tags = (value: string): readonly string[] => {
  const { flags } = parseKeyRecord(value);
  return flags.includes('y')
    ? ['its record says t=y (testing): receivers treat its mail as unsigned (RFC 6376 section 3.6.1)']
    : [];
};

/** What the servers say, or why the key cannot be adopted with it. */
const judgeRecord = async (
  key: FoundKey,
  { algorithm, key: secret }: Omit<ReadKey, 'publicKey'>,
  look: JudgeOptions['look'],
): Promise<
  { readonly shown: string; readonly publicKey: string; readonly value: string } | { readonly fault: string }
> => {
  const name = keyRecordName(key.selector, key.domain);
  let answers: readonly ServerAnswer[];
  try {
    answers = await look(name);
  } catch (error) {
    return { fault: `${name} cannot be looked up: ${describe(error)}` };
  }
  const texts = publicTexts(secret);
  const faults = new Map<string, string[]>();
  let sound: { readonly publicKey: string; readonly value: string } | undefined;
  for (const { server, address, answer } of answers) {
    let fault: string | undefined;
    if (answer.kind === 'txt') {
      const wrongs = texts.map((publicKey) =>
        adoptionFault({ selector: key.selector, algorithm, publicKey }, answer.set.values),
      );
      const right = wrongs.indexOf(undefined);
      fault = right < 0 ? wrongs[0] : undefined;
      const [publicKey, value] = [texts[right], answer.set.values[0]];
      if (publicKey !== undefined && value !== undefined) {
        if (sound === undefined || sound.value === value) sound = { publicKey, value };
        else fault = 'its record has other words than that of another server';
      }
    } else if (answer.kind === 'cname') {
      fault = `it is an alias of ${answer.target}: the record must stand there itself`;
    } else {
      fault = answer.kind === 'failed' ? `no answer (${answer.why})` : 'there is no such record';
    }
    if (fault !== undefined) faults.set(fault, [...(faults.get(fault) ?? []), `${server} (${address})`]);
  }
  if (faults.size > 0 || sound === undefined)
    return {
      fault: `${name}: ${[...faults].map(([fault, at]) => `${fault}, at ${at.slice(0, 3).join(', ')}${at.length > 3 ? ' …' : ''}`).join('; ')}`,
    };
  const { length } = answers;
  return {
    ...sound,
    shown: length === 1 ? 'its server shows this key' : `all of ${length} servers show this key`,
  };
};

export const judgeKey = async (found: FoundKey, { look }: JudgeOptions): Promise<Judged> => {
  const file = await readKey(found.file);
  if ('wrong' in file) return { ...found, warnings: [], refused: file.wrong };
  const [usual] = publicTexts(file.key);
  const warnings = [...age(file), ...(await exposed(found.file))];
  const record = await judgeRecord(found, file, look);
  if ('fault' in record)
    return { ...found, read: { ...file, publicKey: usual }, warnings, refused: record.fault };
  return {
    ...found,
    read: { ...file, publicKey: record.publicKey },
    record: record.shown,
    warnings: [...warnings, ...tags(record.value)],
  };
};

/** Of two keys of one type for a domain only one can sign: the one that was found first. */
export const withoutRivals = (judged: readonly Judged[]): readonly Judged[] => {
  const first = new Map<string, string>();
  return judged.map((key) => {
    if (key.refused !== undefined || key.read === undefined) return key;
    const role = `${key.domain} ${key.read.key.asymmetricKeyType}`;
    const before = first.get(role);
    if (before === undefined) {
      first.set(role, key.selector);
      return key;
    }
    return {
      ...key,
      refused: `a domain signs with one key of each type, and ${before} comes first; its record stays, remove it by hand when its mail has drained`,
    };
  });
};
