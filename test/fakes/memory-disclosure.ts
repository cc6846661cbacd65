// What was published, in memory: for the engine's own tests and the simulation.

import { SelkieError } from '../../core/errors.ts';
import { isDnsName } from '../../core/names.ts';
import type { DisclosedKey, Disclosure } from '../../engine/ports.ts';

export interface MemoryDisclosure extends Disclosure {
  /** `domain/selector` → what was published. */
  readonly published: ReadonlyMap<string, DisclosedKey>;
}

export const createMemoryDisclosure = (
  onPublish: (key: DisclosedKey) => void = () => {},
): MemoryDisclosure => {
  const published = new Map<string, DisclosedKey>();
  return {
    published,
    async publish(key) {
      const name = `${key.domain}/${key.selector}`;
      if (!isDnsName(key.domain) || !isDnsName(key.selector))
        throw new SelkieError('invalid', `No DNS names: ${name}`);
      const there = published.get(name);
      if (there !== undefined && there.publicKey !== key.publicKey)
        throw new SelkieError('conflict', `${name} is another key`);
      if (there === undefined) published.set(name, key);
      onPublish(key);
    },
    async list(domain, { after, limit }) {
      const keys = [...published.values()]
        .filter((key) => key.domain === domain && (after === undefined || key.selector > after))
        .toSorted((a, b) => (a.selector < b.selector ? -1 : 1));
      const page = keys.slice(0, limit);
      const last = page.at(-1);
      return keys.length > page.length && last !== undefined
        ? { keys: page, next: last.selector }
        : { keys: page };
    },
  };
};
