// The trail of the whole fleet on the page: read back page by page, narrowed, and new orders seen as they come.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { hours } from '../../core/time.ts';
import { requestRotation } from '../../engine/commands.ts';
import { excludeHost, returnHost } from '../../engine/hosts.ts';
import { openSession } from '../../engine/world.ts';
import { describeWith } from '../tools/machine.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';
import { openBrowser, type Served, serveConsole } from './browser.ts';

const host = 'mx2.example.com';
const [operator, admin] = ['arn:aws:iam::123456789012:user/ada', 'arn:aws:iam::123456789012:user/bob'];
/** Each leaves two events. */
const repairs = 40;

describeWith(['chromium'], 'the audit trail of the fleet', () => {
  let s: Simulation;
  let served: Served;
  const session = () => openSession(s.world);
  beforeAll(async () => {
    s = await simulate(new Date(Date.now() - 86_400_000).toISOString(), {}, ['mx1.example.com', host]);
    await s.run(hours(2));
    await requestRotation(s.world, await session(), domain, { by: operator, reason: 'the first order' });
    for (let n = 0; n < repairs; n += 1) {
      await s.run(hours(0.1));
      await excludeHost(s.world, await session(), host, `repair ${n}`, { by: admin });
      await returnHost(s.world, await session(), host, { by: admin });
    }
    served = await serveConsole((request) => createApi(s.world, () => {}).fetch(request));
  }, 60_000);
  afterAll(async () => {
    await served?.stop();
    s?.close();
  });

  it('is read back to its beginning, narrowed, and grows by itself', { timeout: 60_000 }, async () => {
    const { page, complaints, strays, close } = await openBrowser(served.origin);
    try {
      await page.goto(served.link());
      await page.getByRole('link', { name: 'Audit', exact: true }).click();
      const events = page.getByRole('list', { name: 'Orders' }).getByRole('listitem');
      await page.getByText('50 orders', { exact: true }).waitFor();
      expect(await events.count()).toBe(50);
      expect(await events.first().textContent()).toMatch(/^Return/);
      await page.getByRole('button', { name: 'Load more' }).click();
      await page.getByText(`${repairs * 2 + 1} orders, and that is all`).waitFor();
      expect(await events.count()).toBe(repairs * 2 + 1);
      expect(await events.last().textContent()).toContain('the first order');
      // Whoever reads on by keyboard goes on where the new ones begin.
      await expect
        .poll(() => page.evaluate('document.activeElement.textContent'))
        .toBe(await events.nth(50).textContent());

      await page.getByLabel('By whom').fill('USER/ADA');
      await page.getByText('1 order, and that is all').waitFor();
      await page.getByLabel('By whom').fill('');
      await page.getByLabel('What').selectOption('exclude');
      await page.getByText(`${repairs} orders, and that is all`).waitFor();
      await page.getByLabel('Domain, or host/NAME').fill('no.example');
      await page.getByText('Nothing like it was ordered.').waitFor();
      await page.getByRole('button', { name: 'Show all' }).click();
      await page.getByLabel('Domain, or host/NAME').fill(`host/${host}`);
      await page.getByText('50 orders', { exact: true }).waitFor();
      expect(await page.getByText('the first order').count()).toBe(0);
      await page.getByLabel('Domain, or host/NAME').fill(domain);
      await page.getByText('1 order, and that is all').waitFor();

      // Somebody else orders something meanwhile.
      await s.run(hours(1));
      await requestRotation(s.world, await session(), domain, { by: admin, reason: 'once more' });
      await page.getByText('once more').waitFor();
      await page.getByText('2 orders, and that is all').waitFor();
      await events.first().getByRole('link', { name: domain }).click();
      await page.getByRole('heading', { level: 1, name: domain }).waitFor();
      expect([complaints, strays]).toEqual([[], []]);
    } finally {
      await close();
    }
  });
});
