// A layout: how keys lie in secrets. A vault on AWS stores by one of them and reads by all, so that a fleet changes its
// layout while its keys rotate: each new key goes where the layout says, and each old one is found where it is.
import { SelkieError } from '../../core/errors.ts';
import type { StoredSecret, Vault } from '../../engine/ports.ts';
import type { SecretStore } from './secret-store.ts';

export interface Layout extends Omit<Vault, 'list'> {
  /** Whether a reference is of this layout. */
  owns(secret: string): boolean;
  /** What a secret of Secrets Manager holds; nothing where its name is not of this layout. */
  holds(name: string, version: string): Promise<readonly StoredSecret[]>;
}

/** A vault that stores by the first layout. `secrets` is what all of them lie in. */
export const vaultOf = (
  secrets: SecretStore,
  [configured, ...others]: readonly [Layout, ...Layout[]],
): Vault => {
  const all = [configured, ...others];
  const ownerOf = (secret: string): Layout | undefined => all.find((layout) => layout.owns(secret));
  return {
    store: (keys) => configured.store(keys),

    async read(secret) {
      const owner = ownerOf(secret);
      if (owner === undefined) throw new SelkieError('not-found', `The vault has no secret "${secret}".`);
      return owner.read(secret);
    },

    async find(domain, selector) {
      for (const layout of all) {
        const found = await layout.find(domain, selector);
        if (found !== undefined) return found;
      }
      return undefined;
    },

    async destroy(secret) {
      await ownerOf(secret)?.destroy(secret);
    },

    async list(options) {
      const { secrets: page, next } = await secrets.page(options);
      const found: StoredSecret[] = [];
      for (const { name, version } of page)
        for (const layout of all) found.push(...(await layout.holds(name, version)));
      return next === undefined ? { secrets: found } : { secrets: found, next };
    },
  };
};
