// The vault in Secrets Manager, one secret for each key, named `<prefix>/<domain>/<selector>`. Touches nothing but
// Secrets Manager, by way of secret-store.ts.
//
// A reference is `<name>#<version id>`.
import { SelkieError } from '../../core/errors.ts';
import { inParallel } from '../../engine/parallel.ts';
import type { NewSecret, Vault } from '../../engine/ports.ts';
import { toSelkieError } from './errors.ts';
import { createSecretStore, type SecretStore, type SecretStoreOptions } from './secret-store.ts';
import { type Layout, vaultOf } from './vault-layout.ts';

/** Secrets made at once: an account may make 50 a second. */
const width = 8;

interface Reference {
  readonly name: string;
  readonly version: string;
}

const formatReference = ({ name, version }: Reference): string => `${name}#${version}`;

/** One secret for each key. */
export const perKeyLayout = (secrets: SecretStore): Layout => {
  const { prefix } = secrets;
  const nameOf = (domain: string, selector: string): string => `${prefix}/${domain}/${selector}`;

  /** Undefined for what this vault never gave out: it asks for no secret outside of its prefix. */
  const parseReference = (secret: string): Reference | undefined => {
    const found = /^(?<name>[^#]+)#(?<version>[A-Za-z0-9-]{32,64})$/.exec(secret)?.groups;
    return found?.name?.startsWith(`${prefix}/`) && found.version !== undefined
      ? { name: found.name, version: found.version }
      : undefined;
  };

  const storeOne = async ({ domain, selector, privateKey }: NewSecret): Promise<string> => {
    const name = nameOf(domain, selector);
    const version =
      (await secrets.create({
        name,
        bytes: privateKey,
        description: `DKIM private key (PKCS#8) of selector ${selector} of ${domain}`,
        tags: { 'selkie:domain': domain, 'selkie:selector': selector },
      })) ?? (await secrets.versionOf(name));
    return formatReference({ name, version });
  };

  return {
    owns: (secret) => parseReference(secret) !== undefined,

    async store(keys) {
      const failures: unknown[] = [];
      const references = await inParallel(width, keys, async (key) => {
        try {
          return await storeOne(key);
        } catch (error) {
          // The others are stored all the same.
          failures.push(toSelkieError(error, `Storing the key of selector ${key.selector} of ${key.domain}`));
          return '';
        }
      });
      if (failures.length > 0) throw failures[0];
      return references;
    },

    async read(secret) {
      const reference = parseReference(secret);
      if (reference === undefined) throw new SelkieError('not-found', `The vault has no secret "${secret}".`);
      return secrets.read(reference.name, reference.version);
    },

    async find(domain, selector) {
      const name = nameOf(domain, selector);
      const standing = await secrets.standing(name);
      const version = standing?.versions[0];
      return standing === undefined || standing.scheduled || version === undefined
        ? undefined
        : formatReference({ name, version });
    },

    async destroy(secret) {
      const reference = parseReference(secret);
      if (reference !== undefined) await secrets.remove(reference.name);
    },

    async holds(name, version) {
      const [domain, selector, ...rest] = name.slice(prefix.length + 1).split('/');
      // `shard` is no domain: what lies below it are other secrets.
      return domain?.includes('.') === true && selector !== undefined && rest.length === 0
        ? [{ secret: formatReference({ name, version }), domain, selector }]
        : [];
    },
  };
};

export const createSecretsVault = (options: SecretStoreOptions): Vault => {
  const secrets = createSecretStore(options);
  return vaultOf(secrets, [perKeyLayout(secrets)]);
};
