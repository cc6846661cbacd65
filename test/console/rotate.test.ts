// The console by use, in front of a real `selkie up`: a rotation is ordered on the page by keyboard alone, and the next message
// through the milter bears the new selector and verifies.
import type { Page } from 'playwright-core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { sendThroughMilter } from '../../agent/milter/client.ts';
import { verifyMessage } from '../../cli/verify-message.ts';
import { describeWith } from '../tools/machine.ts';
import { type Running, selkie, startUp } from '../tools/selkie.ts';
import { temporaryFolder } from '../tools/temporary-folder.ts';
import { type Browser, openBrowser, violations } from './browser.ts';

const domain = 'mail.dev.example.jp';
let dir: string;
let up: Running;
let browser: Browser | undefined;

beforeEach(async () => {
  dir = temporaryFolder();
  up = startUp(dir);
  await up.prints('signs with');
});
afterEach(async () => {
  await browser?.close();
  await up.stop('SIGKILL');
});

const portOf = (pattern: RegExp): number => Number(pattern.exec(up.output())?.[1]);

const signed = async (): Promise<readonly { selector: string; result: string }[]> => {
  const { verdict, raw } = await sendThroughMilter(
    { host: '127.0.0.1', port: portOf(/milter inet:(\d+)@/) },
    {
      macros: { i: 'CONSOLE' },
      from: `postmaster@${domain}`,
      to: ['someone@example.com'],
      raw: new TextEncoder().encode(
        `From: postmaster@${domain}\r\nTo: someone@example.com\r\nSubject: hello\r\nDate: ${new Date().toUTCString()}\r\nMessage-ID: <1@${domain}>\r\n\r\nHello.\r\n`,
      ),
    },
  );
  expect(verdict).toBe('accept');
  return verifyMessage(raw, portOf(/DNS 127\.0\.0\.1:(\d+)/));
};

/** As somebody without a mouse: Tab until the focus is there. */
const tabTo = async (page: Page, name: string): Promise<void> => {
  for (let n = 0; n < 60; n += 1) {
    await page.keyboard.press('Tab');
    const at = String(await page.evaluate("document.activeElement?.innerText?.trim() ?? ''"));
    if (at.includes(name)) {
      // Whoever sees is shown where it is.
      expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).not.toBe('none');
      return;
    }
  }
  throw new Error(`Tab does not lead to ${name}`);
};

const openConsole = async (): Promise<Browser> => {
  const { stdout, stderr } = await selkie('console', '--dir', dir);
  expect(stderr).toBe('');
  const link = /http:\S+/.exec(stdout)?.[0] ?? '';
  const opened = await openBrowser(new URL(link).origin);
  browser = opened;
  await opened.page.goto(link);
  return opened;
};

describeWith(['chromium'], 'the console of selkie up', () => {
  it('rotates by keyboard alone, shows it live, and hosts sign with the new keys', async () => {
    const before = await signed();
    const { page, strays, complaints } = await openConsole();
    await page.getByText('The domain is healthy').waitFor();
    await tabTo(page, domain);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: domain }).waitFor();
    await page.getByText('Every ready host signs with them').waitFor();
    await tabTo(page, 'Rotate…');
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    // What will happen stands there before it is ordered.
    await dialog.getByText(/Hosts switch; \d{6} \+ \d{6}e drains/).waitFor();
    expect(await violations(page)).toEqual([]);
    expect(await signed()).toEqual(before);
    await page.keyboard.type('tried by keyboard');
    await tabTo(page, 'Rotate now');
    await page.keyboard.press('Enter');
    await dialog.waitFor({ state: 'detached' });
    // Without a reload: the new set signs, the one before drains.
    await page.locator('.lane', { hasText: /-2 \+ \d{6}e-2\s*active/ }).waitFor();
    await page.locator('.lane', { hasText: /\d{6} \+ \d{6}e\s*draining/ }).waitFor();
    await page.getByText('tried by keyboard').last().waitFor();
    const after = await signed();
    expect(after.map(({ selector }) => selector).toSorted()).toEqual(
      before.map(({ selector }) => `${selector}-2`).toSorted(),
    );
    expect(after.every(({ result }) => result === 'pass')).toBe(true);
    const { keys } = JSON.parse((await selkie('status', domain, '--json', '--dir', dir)).stdout);
    expect(keys.map(({ state }: { state: string }) => state)).toEqual([
      'draining',
      'draining',
      'active',
      'active',
    ]);
    expect([strays, complaints]).toEqual([[], []]);
  }, 120_000);

  it('rolls back, and declares a key compromised only once its name was typed', async () => {
    expect((await selkie('rotate', domain, '--wait', '--dir', dir)).status).toBe(0);
    const { page, complaints } = await openConsole();
    await page.getByRole('link', { name: domain }).first().click();
    await page.getByRole('button', { name: 'Roll back…' }).click();
    await page
      .getByRole('dialog')
      .getByText(/Hosts switch; .*-2 drains/)
      .waitFor();
    await page.getByRole('button', { name: 'Roll back', exact: true }).click();
    await page.locator('.lane', { hasText: /^\d{6} \+ \d{6}e\s*active/ }).waitFor();
    await page.getByRole('button', { name: 'Compromised…', exact: true }).click();
    const confirm = page.getByRole('button', { name: 'Replace and revoke' });
    await page
      .getByRole('dialog')
      .getByText(/are revoked/)
      .first()
      .waitFor();
    expect(await confirm.isDisabled()).toBe(true);
    await page.getByLabel(/to confirm/).fill(domain);
    await confirm.click();
    await page.getByText('compromised', { exact: true }).first().waitFor();
    await page.locator('.lane', { hasText: /-3 \+ \d{6}e-3\s*active/ }).waitFor();
    expect((await signed()).every(({ selector, result }) => /-3$/.test(selector) && result === 'pass')).toBe(
      true,
    );
    expect(complaints).toEqual([]);
  }, 120_000);
});
