// The vault in memory: written once, read back at once or, where reads are eventual, after a while.

import { SelkieError } from '../../core/errors.ts';
import type { Instant } from '../../core/time.ts';
import type { Vault } from '../../engine/ports.ts';

export interface MemoryVault extends Vault {
  /** Names, `domain/selector`, of the secrets that are there. */
  readonly secrets: ReadonlyMap<string, Uint8Array>;
  /** Until then a secret can be read only some time after it was stored. */
  eventualUntil: number;
}

export const createMemoryVault = (
  now: () => Instant,
  lag: () => number,
  onDestroy: (domain: string, selector: string) => void = () => {},
): MemoryVault => {
  const secrets = new Map<string, Uint8Array>();
  const readable = new Map<string, number>();
  return {
    secrets,
    eventualUntil: 0,
    async store(keys) {
      return keys.map(({ domain, selector, privateKey }) => {
        const name = `${domain}/${selector}`;
        if (!secrets.has(name)) {
          secrets.set(name, Uint8Array.from(privateKey));
          if (now() < this.eventualUntil) readable.set(name, now() + lag());
        }
        return name;
      });
    },
    async read(secret) {
      const found = secrets.get(secret);
      if (found === undefined) throw new SelkieError('not-found', `the secret ${secret} is gone`);
      if ((readable.get(secret) ?? 0) > now())
        throw new SelkieError('unavailable', `the secret ${secret} cannot be read yet`);
      return Uint8Array.from(found);
    },
    async find(domain, selector) {
      const name = `${domain}/${selector}`;
      return secrets.has(name) ? name : undefined;
    },
    async destroy(secret) {
      if (!secrets.has(secret)) return;
      const [domain = '', selector = ''] = secret.split('/');
      onDestroy(domain, selector);
      secrets.delete(secret);
    },
    async list({ after, limit }) {
      const names = [...secrets.keys()].toSorted().filter((name) => after === undefined || name > after);
      const page = names.slice(0, limit).map((secret) => {
        const [domain = '', selector = ''] = secret.split('/');
        return { secret, domain, selector };
      });
      const last = page.at(-1);
      return names.length > page.length && last !== undefined
        ? { secrets: page, next: last.secret }
        : { secrets: page };
    },
  };
};
