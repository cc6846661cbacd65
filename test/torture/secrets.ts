// Looks for private keys where none may be: invariant 9. Reads the vault of a state folder.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openFileVault } from '../../adapters/local/file-vault.ts';

/** What a private key looks like as text. A public key in base64 begins otherwise: it has no version number. */
const looks: Readonly<Record<string, RegExp>> = {
  'a PEM private key': /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  'an RSA private key in base64 (PKCS#8)': /MII[A-Za-z0-9+/]{2}[AQgw]IBADANBgkq/,
  'an RSA private key in base64 (PKCS#1)': /MII[A-Za-z0-9+/]{2}[AQgw]IBAAKCA/,
  'an Ed25519 or X25519 private key in base64': /MC4CAQAwBQYDK2V/,
  'a P-256 private key in base64': /MIGHAgEAMBMGByqGSM49/,
  'a private JWK': /"d"\s*:\s*"[A-Za-z0-9_-]{40,}"/,
};

/** Kinds of private keys that stand in `text`. */
export const looksLikeKeys = (text: string): readonly string[] =>
  Object.entries(looks).flatMap(([kind, pattern]) => (pattern.test(text) ? [kind] : []));

/** Characters of base64 that nobody meets by chance. */
const piece = 32;

/** Pieces of the private half: of an RSA key, what stands behind version, algorithm, modulus and exponent. */
const piecesOf = (privateKey: Uint8Array): readonly string[] => {
  const text = Buffer.from(privateKey).toString('base64');
  const from = text.length > 200 ? Math.ceil(text.length / 3) : 24;
  return Array.from({ length: Math.floor((text.length - from) / piece) }, (_, n) =>
    text.slice(from + n * piece, from + (n + 1) * piece),
  );
};

/** Each private key of the vault of which a piece stands in `text`, in base64; by `domain/selector`. */
export const vaultKeysIn = async (text: string, dir: string): Promise<readonly string[]> => {
  const keys = join(dir, 'vault', 'keys');
  const vault = openFileVault(join(dir, 'vault'));
  const found: string[] = [];
  for (const domain of readdirSync(keys))
    for (const selector of readdirSync(join(keys, domain)).filter((file) => !file.startsWith('.'))) {
      // Destroyed meanwhile: nothing to look for.
      const secret = await vault.read(`${domain}/${selector}`).catch(() => undefined);
      if (secret !== undefined && piecesOf(secret).some((part) => text.includes(part)))
        found.push(`the private key of ${selector} of ${domain}`);
    }
  return found;
};
