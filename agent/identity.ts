// Who this host is: its keys and its certificate, kept in a folder of the state folder. The public halves go into the fleet
// file (`selkie-agent enrol`). Touches `<state folder>/identity` only, and its neighbours of the same form: identities.ts says
// how one follows another.
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { rename, rm, stat } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { stringify } from 'yaml';
import { SelkieError } from '../core/errors.ts';
import type { FleetHost } from '../core/policy.ts';
import type { Instant } from '../core/time.ts';
import { selfSigned } from './certificate.ts';
import { privateFolder, readIfThere, syncFolder, unfinished, writeSynced } from './files.ts';
import { giveTo } from './owner.ts';
import type { Settings } from './settings.ts';

export interface Identity {
  /** X25519 private key: opens bundles. */
  readonly encryption: JWK;
  /** Ed25519 private key: signs acknowledgements and pulls. */
  readonly signing: JWK;
  /** PEM: the endpoint's private key (P-256) and its certificate. */
  readonly tls: { readonly key: string; readonly cert: string };
  /** The public halves: raw, base64url. */
  readonly encryptionKey: string;
  readonly signingKey: string;
}

const files = {
  encryption: 'encryption.key',
  signing: 'signing.key',
  tlsKey: 'tls.key',
  tlsCert: 'tls.crt',
} as const;

const pem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

/** Folders of identities: the present one, the one that is to follow, and the one that was before, for a while. */
export const places = { present: 'identity', next: 'identity.next', old: 'identity.old' } as const;

type Place = (typeof places)[keyof typeof places];

/**
 * The host's identity, if it has one.
 * @throws SelkieError invalid where a file of it is missing or damaged; unsafe where others may read it
 */
export const loadIdentity = async (
  dir: string,
  place: Place = places.present,
): Promise<Identity | undefined> => {
  const folder = join(dir, place);
  const read = (name: string) => readIfThere(join(folder, name));
  const [encryption, signing, key, cert] = await Promise.all(Object.values(files).map(read));
  if ([encryption, signing, key, cert].every((text) => text === undefined)) return undefined;
  await privateFolder(folder);
  try {
    const jwk = (text: string | undefined): JWK =>
      createPrivateKey(text ?? '').export({ format: 'jwk' }) as JWK;
    const [open, say] = [jwk(encryption), jwk(signing)];
    if (open.crv !== 'X25519' || say.crv !== 'Ed25519' || open.x === undefined || say.x === undefined)
      throw new Error('other keys');
    if (!new X509Certificate(cert ?? '').checkPrivateKey(createPrivateKey(key ?? '')))
      throw new Error('another certificate');
    return {
      encryption: open,
      signing: say,
      tls: { key: key ?? '', cert: cert ?? '' },
      encryptionKey: open.x,
      signingKey: say.x,
    };
  } catch {
    throw new SelkieError(
      'invalid',
      `The identity in ${folder} is damaged: restore it, or move it away and run selkie-agent enrol again.`,
    );
  }
};

/**
 * The identity of `dir`; a new one where it has none, in one step: a crash leaves no half of it.
 * @param endpointHost DNS name or IP address that the control plane connects to; the certificate names it
 * @throws SelkieError invalid, unsafe
 */
export const loadOrMakeIdentity = async (
  dir: string,
  endpointHost: string,
  now: Instant,
  place: Place = places.present,
): Promise<Identity> => {
  await privateFolder(dir);
  await finishSwitch(dir);
  const present = await loadIdentity(dir, place);
  if (present !== undefined) return present;
  const tls = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const made = {
    [files.encryption]: pem(generateKeyPairSync('x25519').privateKey),
    [files.signing]: pem(generateKeyPairSync('ed25519').privateKey),
    [files.tlsKey]: pem(tls.privateKey),
    [files.tlsCert]: selfSigned(tls, endpointHost, now),
  };
  const folder = join(dir, place);
  const draft = `${folder}${unfinished}`;
  await rm(draft, { recursive: true, force: true });
  await privateFolder(draft);
  for (const [name, content] of Object.entries(made)) await writeSynced(join(draft, name), content);
  await giveTo(dir, draft, ...Object.keys(made).map((name) => join(draft, name)));
  await syncFolder(draft);
  await rename(draft, folder);
  await syncFolder(dir);
  const identity = await loadIdentity(dir, place);
  if (identity === undefined)
    throw new SelkieError('unavailable', `The identity in ${folder} cannot be read back.`);
  return identity;
};

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );

/** A crash between the two renames of a switch: the present one has become the old one, and nobody the present one. */
const finishSwitch = async (dir: string): Promise<void> => {
  const [present, next, old] = [places.present, places.next, places.old].map((place) => join(dir, place));
  if (present === undefined || next === undefined || old === undefined) return;
  if ((await isThere(present)) || !(await isThere(next)) || !(await isThere(old))) return;
  await rename(next, present);
  await syncFolder(dir);
};

/** The next identity becomes the present one, and that the old one; what was old before is erased. */
export const switchIdentity = async (dir: string): Promise<void> => {
  await rm(join(dir, places.old), { recursive: true, force: true });
  await rename(join(dir, places.present), join(dir, places.old));
  await syncFolder(dir);
  await finishSwitch(dir);
};

/** Erases an identity; gone from the disk's folder when this returns. */
export const eraseIdentity = async (
  dir: string,
  place: typeof places.next | typeof places.old,
): Promise<void> => {
  await rm(join(dir, place), { recursive: true, force: true });
  await syncFolder(dir);
};

/** What the fleet file says of this host; without a port, it can only pull. */
export const fleetEntry = (
  identity: Identity,
  host: Pick<Settings, 'endpointHost' | 'pushPort' | 'keyTypes'>,
): Omit<FleetHost, 'name' | 'pool'> => {
  const name = isIPv6(host.endpointHost) ? `[${host.endpointHost}]` : host.endpointHost;
  return {
    ...(host.pushPort === undefined ? {} : { endpoint: `https://${name}:${host.pushPort}` }),
    encryptionKey: identity.encryptionKey,
    signingKey: identity.signingKey,
    ...(host.pushPort === undefined ? {} : { certificate: identity.tls.cert }),
    ...(host.keyTypes === undefined ? {} : { keyTypes: host.keyTypes }),
  };
};

/** The `hosts:` entry for fleet.yaml. */
export const fleetYaml = (
  name: string,
  entry: Omit<FleetHost, 'name' | 'pool'>,
  pool: string | undefined,
): string =>
  stringify({ hosts: { [name]: { ...(pool === undefined ? {} : { pool }), ...entry } } }, { lineWidth: 0 });
