// Debian's Chromium, driven by playwright-core; and a console in front of any API, as this machine's Selkie serves it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import axe, { type AxeResults } from 'axe-core';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { consoleFiles } from '../../cli/console/build.ts';
import { createConsole } from '../../cli/console/serve.ts';
import { program } from '../tools/machine.ts';

export interface Look {
  readonly width: number;
  readonly height: number;
  readonly colorScheme: 'light' | 'dark';
}
export const looks: readonly Look[] = (['light', 'dark'] as const).flatMap((colorScheme) => [
  { width: 1280, height: 800, colorScheme },
  { width: 390, height: 844, colorScheme },
]);

export interface Browser {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What it asked for elsewhere than at the origin. */
  readonly strays: readonly string[];
  /** What it complained of: violations of the policy, errors of the page. */
  readonly complaints: readonly string[];
  close(): Promise<void>;
}

const arguments_ = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A window of its own, with an empty profile. */
export const openBrowser = async (
  origin: string,
  { width, height, colorScheme }: Look = { width: 1280, height: 800, colorScheme: 'light' },
): Promise<Browser> => {
  const profile = mkdtempSync(join(tmpdir(), 'selkie-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: program('chromium') ?? 'chromium',
    headless: true,
    args: arguments_,
    viewport: { width, height },
    colorScheme,
    timezoneId: 'UTC',
  });
  const strays: string[] = [];
  const complaints: string[] = [];
  const page = context.pages()[0] ?? (await context.newPage());
  page.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/`)) strays.push(request.url());
  });
  page.on('console', (message) => {
    // Chromium says of every answer of 400 and more that it failed to load: those are the API's, and are looked at elsewhere.
    if (
      ['error', 'warning'].includes(message.type()) &&
      !message.text().startsWith('Failed to load resource')
    )
      complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  // In the page's own words: these files know nothing of a document.
  await page.addInitScript({
    content: `document.addEventListener('securitypolicyviolation', (event) =>
      console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI));`,
  });
  return {
    context,
    page,
    strays,
    complaints,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
};

const standards = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** What axe finds against WCAG 2.2 AA. */
export const violations = async (page: Page): Promise<readonly string[]> => {
  // By the debugger, which the page's policy does not bind.
  await page.evaluate(axe.source);
  const found: AxeResults = await page.evaluate(`axe.run(document, {
    runOnly: { type: 'tag', values: ${JSON.stringify(standards)} },
  })`);
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`),
  );
};

/** The same, with the page's name; and whether it is wider than the window. */
export const faultsOf = async (page: Page, name: string): Promise<readonly string[]> => {
  const over = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
  return [
    ...(await violations(page)).map((fault) => `${name}: ${fault}`),
    ...(Number(await page.evaluate(over)) > 0 ? [`${name}: wider than the window`] : []),
  ];
};

/** Where SELKIE_SHOTS names a folder, a picture of the page for people to look at. */
export const picture = async (page: Page, name: string, { width, colorScheme }: Look): Promise<void> => {
  const folder = process.env.SELKIE_SHOTS;
  if (folder === undefined) return;
  // The bar at the top goes along with the window.
  await page.evaluate('scrollTo(0, 0)');
  await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: true });
};

export interface Served {
  readonly origin: string;
  /** An address that opens it, once. */
  link(): string;
  stop(): Promise<void>;
}

export const serveConsole = async (
  api: (request: Request) => Response | Promise<Response>,
  lookEvery = 200,
): Promise<Served> => {
  let origin = '';
  const console = createConsole({
    origin: () => origin,
    api,
    files: consoleFiles,
    place: 'a test',
    lookEvery,
  });
  return new Promise((resolve) => {
    const server = serve(
      {
        fetch: (request) => console.answer(request) ?? new Response('', { status: 404 }),
        port: 0,
        hostname: '127.0.0.1',
      },
      ({ port }) => {
        origin = `http://127.0.0.1:${port}`;
        resolve({
          origin,
          link: console.link,
          stop: () =>
            new Promise((closed) => {
              server.close(() => closed());
              if ('closeAllConnections' in server) server.closeAllConnections();
            }),
        });
      },
    );
  });
};
