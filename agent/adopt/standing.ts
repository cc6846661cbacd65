// Who a host is that has adopted keys and is not enrolled yet: it signs with them, and nobody speaks to it. Reads the state
// folder and this machine's name.
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { isEnrolled, loadSettings, type Settings } from '../settings.ts';

const hasAdopted = async (dir: string): Promise<boolean> => {
  try {
    const index: unknown = JSON.parse(await readFile(join(dir, 'store', 'index.json'), 'utf8'));
    return typeof index === 'object' && index !== null && 'adopted' in index;
  } catch {
    // The key store itself says what is wrong with its index.
    return false;
  }
};

/**
 * The enrolment; of a host without one that has adopted keys, what it needs to sign.
 * @throws SelkieError invalid where it is neither enrolled nor has adopted keys, or the enrolment is damaged
 */
export const settingsOf = async (dir: string): Promise<{ settings: Settings; enrolled: boolean }> => {
  if ((await isEnrolled(dir)) || !(await hasAdopted(dir)))
    return { settings: await loadSettings(dir), enrolled: true };
  const name = hostname().toLowerCase();
  return { settings: { name, endpointHost: name }, enrolled: false };
};
