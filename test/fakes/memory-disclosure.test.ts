import { disclosureContract } from '../contracts/disclosure.ts';
import { createMemoryDisclosure } from './memory-disclosure.ts';

disclosureContract('memory', async () => {
  const disclosure = createMemoryDisclosure();
  return { open: () => disclosure };
});
