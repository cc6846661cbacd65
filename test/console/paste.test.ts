// Zones that people change: the page has each value to copy, says which name servers show it, and follows what somebody does.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApi } from '../../adapters/http/api.ts';
import { hours, minutes, seconds } from '../../core/time.ts';
import { describeWith } from '../tools/machine.ts';
import { domain, type Simulation, simulate } from '../world/world.ts';
import { faultsOf, looks, openBrowser, picture, type Served, serveConsole } from './browser.ts';

describeWith(['chromium'], 'what to paste', () => {
  let s: Simulation;
  let served: Served;
  beforeAll(async () => {
    const start = new Date(Date.now() - 600_000).toISOString();
    s = await simulate(start, { algorithms: ['rsa2048', 'ed25519'] }, ['mx1.example.com']);
    s.byHand();
    await s.run(minutes(10));
    served = await serveConsole((request) => createApi(s.world, () => {}).fetch(request));
  }, 60_000);
  afterAll(async () => {
    await served?.stop();
    s?.close();
  });

  it.each(looks)('is without fault at $width in $colorScheme', { timeout: 60_000 }, async (look) => {
    const { page, complaints, strays, close } = await openBrowser(served.origin, look);
    try {
      await page.goto(served.link());
      await page.getByRole('link', { name: domain }).first().click();
      await page.getByRole('link', { name: 'what to paste there' }).click();
      await page.getByText('0 of 2 show it').first().waitFor();
      for (const summary of await page.locator('summary').all()) await summary.click();
      const faults = await faultsOf(page, 'paste');
      await picture(page, 'paste', look);
      expect([faults, complaints, strays]).toEqual([[], [], []]);
    } finally {
      await close();
    }
  });

  it('copies name and value, and follows the name servers until there is nothing more', {
    timeout: 60_000,
  }, async () => {
    const { page, context, complaints, close } = await openBrowser(served.origin);
    const [long] = ((await s.world.writer.asked?.({ name: domain, id: 'manual', provider: 'manual' })) ?? [])
      .flatMap(({ name, to }) => (to?.values ?? []).map((value) => ({ name, value })))
      .toSorted((a, b) => b.value.length - a.value.length);
    const record = page.getByRole('listitem').filter({ hasText: long?.value ?? 'none' });
    const copied = () => page.evaluate('navigator.clipboard.readText()');
    try {
      await context.grantPermissions(['clipboard-read', 'clipboard-write']);
      await page.goto(served.link());
      await page.getByRole('link', { name: 'Paste', exact: true }).click();
      await record.getByRole('button', { name: 'Copy the value', exact: true }).click();
      await record.getByRole('button', { name: 'Copy the value', exact: true }).getByText('Copied').waitFor();
      expect(await copied()).toBe(long?.value);
      await record.getByRole('button', { name: 'Copy the name' }).click();
      await expect.poll(copied).toBe(long?.name.replace(`.${domain}`, ''));
      await record.getByText('For panels that want strings').click();
      await record.getByRole('button', { name: 'Copy the value in strings' }).click();
      await expect.poll(copied).toMatch(/^"v=DKIM1; k=rsa; p=[^"]+" "[^"]+"$/);

      s.dns.lags = [seconds(0), hours(2)];
      await s.paste();
      await record.getByText('1 of 2 show it').waitFor();
      await record.getByText('ns1.example.net (192.0.2.1#53) shows it').waitFor();
      await record.getByText('ns2.example.net (192.0.2.2#53) shows none').waitFor();
      await s.run(hours(3));
      await page.getByText('nothing to paste', { exact: true }).waitFor();
      expect(await page.getByRole('button', { name: /^Copy/ }).count()).toBe(0);
      expect(complaints).toEqual([]);
    } finally {
      await close();
    }
  });
});
